//! The weight of each term of a prior, and how it depends on the history.

use serde::{Deserialize, Serialize};

use crate::BaselineError;

/// Weights of the terms of a [`Prior`](crate::Prior), as a file stores them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriorWeights {
    /// A weight for each term, in the order of the prior.
    pub terms: Vec<TermWeight>,
    /// What all weights are multiplied with, by history; `None` for the same weights for all
    /// histories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<UserScale>,
    /// Other weights after histories of some lengths; `None` for the same after all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_history: Option<HistoryWeights>,
}

/// Weights of the terms by the length of the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryWeights {
    /// Lengths at which one group ends and the next begins, ascending: a group holds its lower bound.
    pub bounds: Vec<usize>,
    /// A weight for each term, in the order of the prior, for each group, shortest histories first; `None`
    /// for those of [`PriorWeights::terms`]. One more than there are bounds.
    pub weights: Vec<Option<Vec<f32>>>,
}

/// The weight of one term.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TermWeight {
    /// Name of the term.
    pub name: String,
    /// Its weight: 0 or more, finite; 0 leaves the term unused.
    pub weight: f32,
}

/// A factor of all weights that depends on the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserScale {
    /// How the history is measured.
    pub by: ScaleBy,
    /// The bounds between buckets, ascending. A bucket includes its lower bound.
    pub bounds: Vec<f32>,
    /// The factor of each bucket: 0 or more, finite; one more than there are bounds.
    pub factors: Vec<f32>,
}

/// How a history is measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ScaleBy {
    /// The number of its items.
    HistoryLength,
    /// How much a [`Log`](crate::TermForm::Log) term knows about it: the sum of the scores of the
    /// term.
    Mass {
        /// Name of the term.
        term: String,
    },
}

impl PriorWeights {
    /// Rejects weights that cannot order items, or do not name a term.
    pub(super) fn check(&self) -> Result<(), BaselineError> {
        let legal = |value: f32| value >= 0.0 && value.is_finite();
        let refuse = |term: &str, problem: String| {
            Err(BaselineError::Term { term: term.to_owned(), problem })
        };
        if let Some(TermWeight { name, weight }) =
            self.terms.iter().find(|term| !legal(term.weight))
        {
            return refuse(
                name,
                format!("its weight is {weight}, needed a finite number, 0 or more"),
            );
        }
        self.check_groups()?;
        let Some(UserScale { by, bounds, factors }) = &self.scale else { return Ok(()) };
        let name = match by {
            ScaleBy::HistoryLength => "scale",
            ScaleBy::Mass { term } => term.as_str(),
        };
        if let ScaleBy::Mass { term } = by
            && self.terms.iter().all(|known| known.name != *term)
        {
            return refuse(
                name,
                "weights are scaled by its mass, but there is no such term".into(),
            );
        }
        if factors.len() != bounds.len() + 1 {
            let (found, needed) = (factors.len(), bounds.len() + 1);
            return refuse(name, format!("found {found} factors of the weights, needed {needed}"));
        }
        if !factors.iter().all(|factor| legal(*factor)) {
            return refuse(name, format!("factors {factors:?} must be finite, 0 or more"));
        }
        if !bounds.is_sorted_by(|a, b| a < b) || bounds.iter().any(|bound| !bound.is_finite()) {
            return refuse(name, format!("bounds {bounds:?} must ascend and be finite"));
        }
        Ok(())
    }

    /// Refuses groups of histories whose weights are not a weight for each term.
    fn check_groups(&self) -> Result<(), BaselineError> {
        let Some(HistoryWeights { bounds, weights }) = &self.by_history else { return Ok(()) };
        let refuse = |problem: String| {
            Err(BaselineError::Term { term: "groups of histories".to_owned(), problem })
        };
        if weights.len() != bounds.len() + 1 {
            let (found, needed) = (weights.len(), bounds.len() + 1);
            return refuse(format!("found weights of {found} groups, needed {needed}"));
        }
        if !bounds.is_sorted_by(|a, b| a < b) {
            return refuse(format!("bounds {bounds:?} must ascend"));
        }
        let legal = |value: &f32| *value >= 0.0 && value.is_finite();
        match weights
            .iter()
            .flatten()
            .find(|of_group| of_group.len() != self.terms.len() || !of_group.iter().all(legal))
        {
            Some(of_group) => refuse(format!(
                "weights {of_group:?} must be {} finite numbers, 0 or more",
                self.terms.len()
            )),
            None => Ok(()),
        }
    }

    /// The weights of the terms after a history of `length` items, without the scale.
    pub(super) fn of_length(&self, length: usize) -> Vec<f32> {
        let own = self.by_history.as_ref().and_then(|HistoryWeights { bounds, weights }| {
            weights.get(group_of(bounds, length))?.clone()
        });
        own.unwrap_or_else(|| self.terms.iter().map(|term| term.weight).collect())
    }

    /// The largest weight of a term after any history, without the scale.
    pub(super) fn largest(&self, term: usize) -> f32 {
        let own = self.by_history.iter().flat_map(|groups| groups.weights.iter().flatten());
        let of_groups = own.filter_map(|weights| weights.get(term).copied());
        of_groups.fold(self.terms.get(term).map_or(0.0, |term| term.weight), f32::max)
    }

    /// The factor of all weights after a history of `length` items, with these masses of the terms.
    pub(super) fn factor(&self, length: usize, masses: &[f32]) -> f32 {
        let Some(scale) = &self.scale else { return 1.0 };
        let measure = match &scale.by {
            ScaleBy::HistoryLength => length as f32,
            ScaleBy::Mass { term } => self
                .terms
                .iter()
                .zip(masses)
                .find(|(known, _)| known.name == *term)
                .map_or(0.0, |(_, mass)| *mass),
        };
        scale.factors.get(bucket(&scale.bounds, measure)).copied().unwrap_or(1.0)
    }
}

/// Which bucket a measure falls into.
pub(super) fn bucket(bounds: &[f32], measure: f32) -> usize {
    bounds.partition_point(|bound| *bound <= measure)
}

/// Which group a history of so many items is in: a group begins at its lower bound.
pub(super) fn group_of(bounds: &[usize], length: usize) -> usize {
    bounds.partition_point(|bound| *bound <= length)
}
