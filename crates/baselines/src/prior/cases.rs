//! Validation cases, reduced to the items whose order depends on the weights.

use rayon::prelude::*;
use sidereal_metrics::{Metric, Outcome as _, Placement, SeenItems};

use super::{Prior, PriorSearch};
use crate::{BaselineError, Case};

/// Distance from a tie within which an item is kept: far above the rounding of sums in `f32`.
const MARGIN: f32 = 1e-3;
/// Items that are compared at once.
const BLOCK: usize = 256;

/// Validation cases for [`PriorSearch`]. Of each case, the items are kept that are above the target
/// under some weights and below it under others.
///
/// All weights are between 0 and a largest one, so most items are always on the same side of the
/// target. A case with `k` items above the target under all weights can never be a hit. The result is
/// exact, and a trial of weights costs a pass over the undecided items, which are a small part of
/// `cases · N`.
#[derive(Debug)]
pub struct PriorCases<'p> {
    pub(super) prior: &'p Prior<'p>,
    pub(super) search: &'p PriorSearch,
    pub(super) stored: Vec<Stored>,
    /// Sum of the metric of each policy alone, over all cases.
    pub(super) trees: Vec<f64>,
}

/// What is left of a case.
#[derive(Debug)]
pub(super) struct Stored {
    /// Number of items above the target under all weights; `None` if the target cannot be among the
    /// first.
    above: Option<usize>,
    /// Values of the undecided items minus those of the target, `[1 + T, items]`: the mean
    /// log-probability, then the terms.
    gaps: Vec<f32>,
    pub(super) history: usize,
    /// Mass of each term.
    pub(super) masses: Vec<f32>,
}

impl<'p> PriorCases<'p> {
    pub(super) fn new(prior: &'p Prior<'p>, search: &'p PriorSearch) -> Self {
        Self { prior, search, stored: Vec::new(), trees: Vec::new() }
    }

    /// Number of cases so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.stored.len()
    }

    /// Whether there is no case yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stored.is_empty()
    }

    /// Adds cases with the log-probabilities that the policies give to all items after each history.
    ///
    /// Several policies ("trees") count by the mean of their log-probabilities. `−∞` takes an item
    /// out of the ranking. All cores work on the cases of one call; pass as many cases as the
    /// policies answer at once.
    ///
    /// # Shapes
    /// - `policies`: for each policy `[cases · N]`, case after case, in nats
    ///
    /// # Errors
    /// [`BaselineError::Policies`] for no policy or another number of them than before,
    /// [`BaselineError::LogProbs`] for another number of log-probabilities,
    /// [`BaselineError::LogProb`] for NaN or `+∞`; [`BaselineError::Item`] for an unknown target or
    /// seen item; [`BaselineError::EmptyGrid`] and [`BaselineError::Setting`] for grids of weights
    /// that do not ascend from 0 or factors that are not above 0; those of [`Prior::log_prior`],
    /// and [`BaselineError::Metric`] for a metric that does not depend on ranks.
    pub fn push<S: Sync>(
        &mut self,
        cases: &[Case<'_, S>],
        policies: &[&[f32]],
    ) -> Result<(), BaselineError> {
        self.search.check()?;
        let num_items = self.prior.num_items();
        if policies.is_empty() || !(self.is_empty() || self.trees.len() == policies.len()) {
            let (found, expected) = (policies.len(), self.trees.len().max(1));
            return Err(BaselineError::Policies { found, expected });
        }
        let expected = cases.len() * num_items;
        if let Some(policy) = policies.iter().position(|policy| policy.len() != expected) {
            let found = policies[policy].len();
            return Err(BaselineError::LogProbs { policy, found, expected });
        }
        let reduced: Vec<(Stored, Vec<f64>)> = cases
            .par_iter()
            .enumerate()
            .map_init(
                || Scratch::new(num_items, self.prior.terms.len()),
                |scratch, (at, case)| {
                    let rows = policies.iter().map(|p| &p[at * num_items..(at + 1) * num_items]);
                    self.reduce(case, &rows.collect::<Vec<_>>(), scratch)
                },
            )
            .collect::<Result<_, _>>()?;
        self.trees.resize(policies.len(), 0.0);
        for (stored, values) in reduced {
            self.trees.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
            self.stored.push(stored);
        }
        Ok(())
    }

    /// What is left of one case, and the metric of each policy alone.
    fn reduce<S>(
        &self,
        case: &Case<'_, S>,
        policies: &[&[f32]],
        scratch: &mut Scratch,
    ) -> Result<(Stored, Vec<f64>), BaselineError> {
        let (num_items, target) = (self.prior.num_items(), case.target.index());
        let removed = match self.search.seen_items {
            SeenItems::Kept => &[],
            SeenItems::Removed => case.seen,
        };
        if let Some(&item) =
            removed.iter().chain([&case.target]).find(|item| item.index() >= num_items)
        {
            return Err(BaselineError::Item { item, num_items });
        }
        let Scratch { mean, one, terms } = scratch;
        mean.fill(0.0);
        let mut alone = Vec::with_capacity(policies.len());
        for (policy, logs) in policies.iter().enumerate() {
            if let Some(item) = logs.iter().position(|log| log.is_nan() || *log == f32::INFINITY) {
                return Err(BaselineError::LogProb { policy, item, value: logs[item] });
            }
            one.copy_from_slice(logs);
            for item in removed {
                one[item.index()] = f32::NEG_INFINITY;
            }
            let share = (policies.len() as f32).recip();
            mean.iter_mut().zip(&*one).for_each(|(mean, log)| *mean += share * log);
            let placement = Placement::from_scores(one, target).unwrap_or_default();
            alone.push(placement.value(self.search.metric)?);
        }
        let mut masses = Vec::with_capacity(terms.len());
        for (term, values) in self.prior.terms.iter().zip(terms.iter_mut()) {
            masses.push(term.values(case.history, values)?);
        }
        let mut stored =
            Stored { above: None, gaps: Vec::new(), history: case.history.len(), masses };
        if mean[target] > f32::NEG_INFINITY {
            self.keep_undecided(&mut stored, mean, terms, target)?;
        }
        Ok((stored, alone))
    }

    /// Counts the items that are above the target under all weights, and keeps the undecided ones.
    fn keep_undecided(
        &self,
        stored: &mut Stored,
        mean: &[f32],
        terms: &[Vec<f32>],
        target: usize,
    ) -> Result<(), BaselineError> {
        let most = cut_off(self.search.metric)?;
        let largest: Vec<f32> =
            self.prior.terms.iter().map(|term| self.search.largest(term.form)).collect();
        let (mut above, mut undecided) = (0, Vec::new());
        for (item, log) in mean.iter().enumerate() {
            let gap = log - mean[target];
            let (mut low, mut high) = (gap, gap);
            for (values, largest) in terms.iter().zip(&largest) {
                let reach = largest * (values[item] - values[target]);
                low += reach.min(0.0);
                high += reach.max(0.0);
            }
            if low > MARGIN {
                above += 1;
            } else if high >= -MARGIN && item != target {
                undecided.push(item);
            }
        }
        if above < most {
            stored.above = Some(above);
            for values in std::iter::once(mean).chain(terms.iter().map(Vec::as_slice)) {
                stored.gaps.extend(undecided.iter().map(|item| values[*item] - values[target]));
            }
        }
        Ok(())
    }

    /// The metric of these cases under these weights `[T]`.
    pub(super) fn values_of(
        &self,
        cases: &[usize],
        weights: &[f32],
    ) -> Result<Vec<f64>, BaselineError> {
        let most = cut_off(self.search.metric)?;
        let value = |case: &usize| -> Result<f64, BaselineError> {
            let placement = self.stored[*case].placement(weights, 1.0, most);
            Ok(placement.value(self.search.metric)?)
        };
        cases.par_iter().with_min_len(16).map(value).collect()
    }

    /// The metric of every case under these weights `[T]`, each multiplied with the case's factor.
    pub(super) fn values(
        &self,
        weights: &[f32],
        factor: impl Fn(&Stored) -> f32 + Sync,
    ) -> Result<Vec<f64>, BaselineError> {
        let most = cut_off(self.search.metric)?;
        let value = |stored: &Stored| -> Result<f64, BaselineError> {
            let placement = stored.placement(weights, factor(stored), most);
            Ok(placement.value(self.search.metric)?)
        };
        self.stored.par_iter().with_min_len(16).map(value).collect()
    }
}

impl Stored {
    /// The place of the target; some rank beyond `most` if it is not among the first `most`.
    #[allow(clippy::float_cmp, reason = "only scores that are exactly equal tie")]
    fn placement(&self, weights: &[f32], factor: f32, most: usize) -> Placement {
        let Some(mut above) = self.above else { return Placement::Absent };
        let count = self.gaps.len() / (1 + weights.len());
        let mut equal = std::num::NonZeroUsize::MIN;
        let mut sums = [0.0f32; BLOCK];
        for start in (0..count).step_by(BLOCK) {
            let end = (start + BLOCK).min(count);
            let sums = &mut sums[..end - start];
            sums.copy_from_slice(&self.gaps[start..end]);
            for (term, weight) in (1..).zip(weights).filter(|(_, weight)| **weight > 0.0) {
                let weight = factor * weight;
                let gaps = &self.gaps[term * count + start..term * count + end];
                sums.iter_mut().zip(gaps).for_each(|(sum, gap)| *sum += weight * gap);
            }
            above += sums.iter().filter(|sum| **sum > 0.0).count();
            equal = equal.saturating_add(sums.iter().filter(|sum| **sum == 0.0).count());
            if above >= most {
                return Placement::Absent;
            }
        }
        Placement::tied(above, equal)
    }
}

/// Values of one case.
struct Scratch {
    mean: Vec<f32>,
    one: Vec<f32>,
    terms: Vec<Vec<f32>>,
}

impl Scratch {
    fn new(num_items: usize, terms: usize) -> Self {
        let row = || vec![0.0; num_items];
        Self { mean: row(), one: row(), terms: (0..terms).map(|_| row()).collect() }
    }
}

/// Rank beyond which the metric is 0.
fn cut_off(metric: Metric) -> Result<usize, BaselineError> {
    match metric {
        Metric::HitRate(k) | Metric::Ndcg(k) | Metric::Mrr(k) => Ok(k.get()),
        _ => Err(sidereal_metrics::MetricError::NotRanking { metric }.into()),
    }
}
