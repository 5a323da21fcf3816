//! Weights of a prior, chosen on validation cases.

use std::fmt;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use sidereal_metrics::{Metric, SeenItems};

use super::scale::ScaleTrial;
use super::{Prior, PriorCases, PriorWeights, TermForm, TermWeight};
use crate::BaselineError;

/// Times that the steps around the best weights are halved.
const HALVINGS: usize = 2;

/// How the weights of a [`Prior`] are searched, and how they are compared.
///
/// All items are ranked exactly by `log p(j | h) + log prior(j | h)`. The walk tries all values of
/// the weight of one term, with the others as they are, and keeps the best. It goes on term after
/// term until no change of one weight improves the result. It begins once from zero weights and
/// once from the middle of the grids, and goes on from the better end with steps of a half and a
/// quarter of those of the grid. Among equal results it takes the smaller weight, so a term that
/// adds nothing has weight 0.
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
    /// Buckets of histories of about equal size; below 2, the weights are the same for all
    /// histories.
    pub buckets: usize,
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
}

impl PriorSearch {
    /// A search that maximises NDCG@10, over weights up to 2.4 of logarithms and 8 of similarities.
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
        }
    }

    /// No cases yet, for the weights of the terms of `prior`. Its own weights are ignored.
    #[must_use]
    pub fn cases<'p>(&'p self, prior: &'p Prior<'p>) -> PriorCases<'p> {
        PriorCases::new(prior, self)
    }

    fn grid(&self, form: TermForm) -> &[f32] {
        match form {
            TermForm::Log { .. } => &self.log_weights,
            TermForm::Linear => &self.linear_weights,
        }
    }

    /// The largest weight of a term of this form, factor included.
    pub(super) fn largest(&self, form: TermForm) -> f32 {
        let factor = self.factors.iter().copied().fold(1.0, f32::max);
        factor * self.grid(form).last().copied().unwrap_or(0.0)
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
        let grids: Vec<&[f32]> =
            self.prior.terms.iter().map(|term| self.search.grid(term.form)).collect();
        let mut walk = Walk { cases: self, trials: Vec::new() };
        let zero = PriorTrial {
            weights: vec![0.0; grids.len()],
            value: walk.value(&vec![0.0; grids.len()])?,
        };
        let policy_value = zero.value;
        let middle: Vec<f32> = grids.iter().map(|grid| grid[grid.len() / 2]).collect();
        let middle = PriorTrial { value: walk.value(&middle)?, weights: middle };
        let all = |term: usize, _: f32| grids[term].to_vec();
        let from_zero = walk.climb(zero, all)?;
        let from_middle = walk.climb(middle, all)?;
        let mut best = if from_middle.value > from_zero.value { from_middle } else { from_zero };
        for halving in 1..=HALVINGS {
            best = walk.climb(best, |term, now| around(grids[term], now, halving))?;
        }
        let terms = self.prior.terms.iter().zip(&best.weights);
        let terms =
            terms.map(|(term, weight)| TermWeight { name: term.name.clone(), weight: *weight });
        let mut fit = PriorFit {
            metric: self.search.metric,
            seen_items: self.search.seen_items,
            num_cases: self.len(),
            weights: PriorWeights { terms: terms.collect(), scale: None },
            value: best.value,
            policy_value,
            policy_values: self.trees.iter().map(|sum| sum / num_cases).collect(),
            trials: walk.trials,
            scales: Vec::new(),
        };
        self.scale(&mut fit)?;
        Ok(fit)
    }
}

/// Weights half a step of the grid from `now`, or a quarter, on both sides.
fn around(grid: &[f32], now: f32, halvings: usize) -> Vec<f32> {
    let place = grid.partition_point(|weight| *weight <= now);
    let below = grid[place.saturating_sub(1)];
    let step = match (grid.get(place), place.checked_sub(2).and_then(|at| grid.get(at))) {
        (Some(above), _) => above - below,
        (None, Some(before)) => below - before,
        (None, None) => return Vec::new(), // a grid of a single weight
    };
    let step = step / (1 << halvings) as f32;
    let last = grid.last().copied().unwrap_or(0.0);
    [now - step, now + step].into_iter().filter(|weight| (0.0..=last).contains(weight)).collect()
}

/// What has been tried so far.
struct Walk<'a, 'p> {
    cases: &'a PriorCases<'p>,
    trials: Vec<PriorTrial>,
}

impl Walk<'_, '_> {
    fn value(&mut self, weights: &[f32]) -> Result<f64, BaselineError> {
        if let Some(tried) = self.trials.iter().find(|trial| trial.weights == weights) {
            return Ok(tried.value);
        }
        let values = self.cases.values(weights, |_| 1.0)?;
        let value = values.iter().sum::<f64>() / values.len() as f64;
        self.trials.push(PriorTrial { weights: weights.to_vec(), value });
        Ok(value)
    }

    /// Goes from `at` to weights if no change of one term to one of its `choices` is better.
    fn climb(
        &mut self,
        mut at: PriorTrial,
        choices: impl Fn(usize, f32) -> Vec<f32>,
    ) -> Result<PriorTrial, BaselineError> {
        let terms = at.weights.len();
        let mut unmoved = 0;
        for term in (0..terms).cycle() {
            if unmoved == terms {
                break;
            }
            unmoved += 1;
            let from = at.clone();
            for weight in choices(term, from.weights[term]) {
                let mut weights = from.weights.clone();
                weights[term] = weight;
                let value = self.value(&weights)?;
                let as_good_and_smaller = value >= at.value && weight < at.weights[term];
                if value > at.value || as_good_and_smaller {
                    at = PriorTrial { weights, value };
                    unmoved = 1;
                }
            }
        }
        Ok(at)
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
            let unused = if *weight > 0.0 { "" } else { " (unused)" };
            writeln!(f, "  weight of {name:<28} {weight:.3}{unused}")?;
        }
        self.scales.iter().try_for_each(|scale| writeln!(f, "  {scale}"))
    }
}
