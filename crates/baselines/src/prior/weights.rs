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
