//! Weights of a prior, chosen on validation cases.

use std::fmt;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use sidereal_metrics::{Metric, SeenItems};

use super::groups::GroupTrial;
use super::scale::ScaleTrial;
use super::walk::Walk;
use super::{Prior, PriorCases, PriorWeights, TermForm, TermWeight};
use crate::BaselineError;

/// How weights of a [`Prior`] are looked for, and how they are judged.
///
/// What is ranked is `log p(j | h) + log prior(j | h)`, exactly, over all items. The walk tries all
/// values of one term's weight with the others as they are and keeps the best, term after term, until
/// none alone improves; it begins once from zero weights and once from the middle of the grids, and
/// goes on from the better end with steps of a half and a quarter of the grid's. Equal values go to the
/// smaller weight, so that a term that adds nothing has weight 0. [`run`](Self::run) looks further where
/// a weight is the largest of its grid.
///
/// ```
/// use rand::{Rng as _, SeedableRng as _};
/// use sidereal_baselines::{Case, Popularity, Prior, PriorSearch, TermForm};
/// use sidereal_metrics::SeenItems;
/// use sidereal_sid::ItemId;
///
/// // A policy that knows nothing, beside counts that know the answer.
/// let counts = Popularity::fit(20, &[[ItemId(3), ItemId(3)], [ItemId(3), ItemId(5)]])?;
/// let prior = Prior::new(20).with_term("popularity", counts, TermForm::Log { floor: 0.05 }, 0.0)?;
/// let search = PriorSearch::new(SeenItems::Kept);
/// let mut cases = search.cases(&prior);
/// let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
/// for sample in 0..50 {
///     let case = Case { sample, history: &[ItemId(0)], seen: &[ItemId(0)], target: ItemId(3) };
///     let log_probs: Vec<f32> = (0..20).map(|_| rng.gen_range(-5.0..0.0)).collect();
///     cases.push(&[case], &[&log_probs])?;
/// }
/// let fit = cases.fit()?;
/// assert!(fit.weights.terms[0].weight > 0.0 && fit.value > fit.policy_value);
/// let prior = prior.with_weights(fit.weights)?;
/// # Ok::<(), sidereal_baselines::BaselineError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PriorSearch {
    /// What is maximised: a metric of the target's rank.
    pub metric: Metric,
    /// Whether seen items compete while weights are chosen.
    pub seen_items: SeenItems,
    /// Weights of [`TermForm::Log`] terms that are tried. Ascending from 0.
    pub log_weights: Vec<f32>,
    /// Weights of [`TermForm::Linear`] terms that are tried. Ascending from 0; right for scores in
    /// `[-1, 1]`.
    pub linear_weights: Vec<f32>,
    /// Factors of all weights that are tried in each bucket of histories. Above 0.
    pub factors: Vec<f32>,
    /// Buckets of histories of about equal size, which may scale all weights; below 2, none are scaled.
    pub buckets: usize,
    /// Lengths of histories at which one group ends and the next begins: each group may have weights of
    /// its own. Ascending, above 0. With one bound or more, `buckets` has no say.
    pub by_history: Vec<usize>,
    /// Cases that a group needs for weights of its own; with fewer, it has those of all.
    pub min_group_cases: usize,
}

/// One trial of weights, the same for all histories.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PriorTrial {
    /// A weight for each term, in the order of the prior.
    pub weights: Vec<f32>,
    /// Mean of the metric over the cases.
    pub value: f64,
}

/// The outcome of a search; displays as a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PriorFit {
    /// What was maximised.
    pub metric: Metric,
    /// Whether seen items competed.
    pub seen_items: SeenItems,
    /// Validation cases.
    pub num_cases: usize,
    /// The best weights, with a scale if one helped by more than noise.
    pub weights: PriorWeights,
    /// Mean of the metric under these weights.
    pub value: f64,
    /// Mean of the metric of the policies without a prior, by the mean of their log-probabilities.
    pub policy_value: f64,
    /// Mean of the metric of each policy alone.
    pub policy_values: Vec<f64>,
    /// Every trial of weights, in the order of the walk; no weights twice.
    pub trials: Vec<PriorTrial>,
    /// What scales by history would have gained.
    pub scales: Vec<ScaleTrial>,
    /// What weights of their own gain for groups of histories, shortest first; empty without groups.
    #[serde(default)]
    pub groups: Vec<GroupTrial>,
    /// Names of the terms of which a weight is the largest that was tried: a larger one may be better.
    #[serde(default)]
    pub at_edge: Vec<String>,
}

impl PriorSearch {
    /// A search that maximises NDCG@10, over weights up to 2.4 of logarithms and 8 of similarities, and
    /// no groups; a group would need 200 cases.
    #[must_use]
    pub fn new(seen_items: SeenItems) -> Self {
        const TEN: NonZeroUsize = NonZeroUsize::new(10).unwrap();
        Self {
            metric: Metric::Ndcg(TEN),
            seen_items,
            log_weights: vec![0.0, 0.2, 0.4, 0.7, 1.0, 1.3, 1.6, 2.0, 2.4],
            linear_weights: vec![0.0, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0],
            factors: vec![0.5, 0.7, 1.0, 1.4],
            buckets: 4,
            by_history: Vec::new(),
            min_group_cases: 200,
        }
    }

    /// No cases yet, for the weights of the terms of `prior`. Its own weights are ignored.
    #[must_use]
    pub fn cases<'p>(&'p self, prior: &'p Prior<'p>) -> PriorCases<'p> {
        PriorCases::new(prior, self)
    }

    pub(super) fn grid(&self, form: TermForm) -> &[f32] {
        match form {
            TermForm::Log { .. } => &self.log_weights,
            TermForm::Linear => &self.linear_weights,
        }
    }

    /// Whether scales of all weights are tried.
    pub(super) fn scales(&self) -> bool {
        self.buckets >= 2 && self.by_history.is_empty()
    }

    /// The largest weight of a term of this form, factor included.
    pub(super) fn largest(&self, form: TermForm) -> f32 {
        let factors = self.factors.iter().copied().filter(|_| self.scales());
        factors.fold(1.0, f32::max) * self.top(form)
    }

    /// The largest weight of a term of this form that is tried.
    fn top(&self, form: TermForm) -> f32 {
        self.grid(form).last().copied().unwrap_or(0.0)
    }

    pub(super) fn check(&self) -> Result<(), BaselineError> {
        for (field, grid) in
            [("log_weights", &self.log_weights), ("linear_weights", &self.linear_weights)]
        {
            match grid.first() {
                None => return Err(BaselineError::EmptyGrid { field }),
                Some(first) if *first != 0.0 || !grid.is_sorted_by(|a, b| a < b) => {
                    let needed = "weights that ascend from 0";
                    return Err(BaselineError::Setting { field, value: (*first).into(), needed });
                }
                Some(_) => {}
            }
        }
        let bounds = &self.by_history;
        if bounds.first() == Some(&0) || !bounds.is_sorted_by(|a, b| a < b) {
            let value = bounds.first().map_or(0.0, |first| *first as f64);
            let needed = "lengths that ascend, above 0";
            return Err(BaselineError::Setting { field: "by_history", value, needed });
        }
        match self.factors.iter().find(|factor| !(**factor > 0.0 && factor.is_finite())) {
            Some(factor) => Err(BaselineError::Setting {
                field: "factors",
                value: (*factor).into(),
                needed: "finite numbers above 0",
            }),
            None => Ok(()),
        }
    }
}

impl PriorCases<'_> {
    /// Looks for the weights that maximise the metric over all cases.
    ///
    /// # Errors
    /// [`BaselineError::Metric`] without cases.
    pub fn fit(&self) -> Result<PriorFit, BaselineError> {
        if self.is_empty() {
            return Err(sidereal_metrics::MetricError::NoUsers.into());
        }
        let num_cases = self.len() as f64;
        let mut walk = Walk::over(self, None);
        let (policy_value, best) = walk.best()?;
        let terms = self.prior.terms.iter().zip(&best.weights);
        let terms =
            terms.map(|(term, weight)| TermWeight { name: term.name.clone(), weight: *weight });
        let mut fit = PriorFit {
            metric: self.search.metric,
            seen_items: self.search.seen_items,
            num_cases: self.len(),
            weights: PriorWeights { terms: terms.collect(), ..PriorWeights::default() },
            value: best.value,
            policy_value,
            policy_values: self.trees.iter().map(|sum| sum / num_cases).collect(),
            trials: walk.into_trials(),
            scales: Vec::new(),
            groups: Vec::new(),
            at_edge: Vec::new(),
        };
        self.fit_groups(&mut fit)?;
        self.scale(&mut fit)?;
        fit.at_edge = self.at_edge(&fit);
        Ok(fit)
    }

    /// Names of the terms of which a weight is the largest that is tried.
    fn at_edge(&self, fit: &PriorFit) -> Vec<String> {
        let own = fit.weights.by_history.iter().flat_map(|groups| groups.weights.iter().flatten());
        let overall: Vec<f32> = fit.weights.terms.iter().map(|term| term.weight).collect();
        let all: Vec<&[f32]> =
            std::iter::once(overall.as_slice()).chain(own.map(Vec::as_slice)).collect();
        let largest = |term: usize| {
            let of_term = all.iter().filter_map(|weights| weights.get(term).copied());
            of_term.fold(0.0, f32::max)
        };
        let terms = self.prior.terms.iter().enumerate();
        let at_edge = terms.filter(|(at, term)| {
            let largest = largest(*at);
            largest > 0.0 && largest >= self.search.top(term.form)
        });
        at_edge.map(|(_, term)| term.name.clone()).collect()
    }
}

impl fmt::Display for PriorFit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = match self.seen_items {
            SeenItems::Kept => "kept",
            SeenItems::Removed => "removed",
        };
        let Self { metric, num_cases, trials, .. } = self;
        let trials = trials.len();
        writeln!(
            f,
            "{metric} of {num_cases} validation cases, seen items {seen}, {trials} trials"
        )?;
        let several = self.policy_values.len() > 1;
        for (at, value) in self.policy_values.iter().enumerate().filter(|_| several) {
            writeln!(f, "policy {:<33} {value:.4}", at + 1)?;
        }
        let name = if several { "mean of the policies' log p" } else { "policy" };
        writeln!(f, "{name:<40} {:.4}", self.policy_value)?;
        writeln!(f, "{:<40} {:.4}", "with the prior", self.value)?;
        for TermWeight { name, weight } in &self.weights.terms {
            let remark = match *weight {
                weight if weight <= 0.0 => " (unused)",
                _ if self.at_edge.contains(name) => " (the largest that was tried)",
                _ => "",
            };
            writeln!(f, "  weight of {name:<28} {weight:.3}{remark}")?;
        }
        self.groups.iter().try_for_each(|group| writeln!(f, "  {group}"))?;
        self.scales.iter().try_for_each(|scale| writeln!(f, "  {scale}"))
    }
}
