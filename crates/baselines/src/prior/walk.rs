//! The walk over grids of weights that [`PriorSearch`](super::PriorSearch) describes.

use super::{PriorCases, PriorTrial};
use crate::BaselineError;

/// Times that the steps around the best weights are halved.
const HALVINGS: usize = 2;

/// What has been tried so far.
pub(super) struct Walk<'a, 'p> {
    cases: &'a PriorCases<'p>,
    /// The cases that count; `None` for all.
    members: Option<&'a [usize]>,
    trials: Vec<PriorTrial>,
}

impl<'a, 'p> Walk<'a, 'p> {
    /// A walk over these cases, or over all, that has tried nothing.
    pub(super) const fn over(cases: &'a PriorCases<'p>, members: Option<&'a [usize]>) -> Self {
        Self { cases, members, trials: Vec::new() }
    }

    /// Every trial, in the order of the walk; no weights twice.
    pub(super) fn into_trials(self) -> Vec<PriorTrial> {
        self.trials
    }

    /// The value of zero weights, and the best weights.
    pub(super) fn best(&mut self) -> Result<(f64, PriorTrial), BaselineError> {
        let PriorCases { prior, search, .. } = self.cases;
        let grids: Vec<&[f32]> = prior.terms.iter().map(|term| search.grid(term.form)).collect();
        let nothing = vec![0.0; grids.len()];
        let zero = PriorTrial { value: self.value(&nothing)?, weights: nothing };
        let policy_value = zero.value;
        let middle: Vec<f32> = grids.iter().map(|grid| grid[grid.len() / 2]).collect();
        let middle = PriorTrial { value: self.value(&middle)?, weights: middle };
        let all = |term: usize, _: f32| grids[term].to_vec();
        let from_zero = self.climb(zero, all)?;
        let from_middle = self.climb(middle, all)?;
        let mut best = if from_middle.value > from_zero.value { from_middle } else { from_zero };
        for halving in 1..=HALVINGS {
            best = self.climb(best, |term, now| around(grids[term], now, halving))?;
        }
        Ok((policy_value, best))
    }

    fn value(&mut self, weights: &[f32]) -> Result<f64, BaselineError> {
        if let Some(tried) = self.trials.iter().find(|trial| trial.weights == weights) {
            return Ok(tried.value);
        }
        let values = match self.members {
            Some(members) => self.cases.values_of(members, weights)?,
            None => self.cases.values(weights, |_| 1.0)?,
        };
        let value = values.iter().sum::<f64>() / values.len() as f64;
        self.trials.push(PriorTrial { weights: weights.to_vec(), value });
        Ok(value)
    }

    /// From `at` to where none of a term's `choices` alone is better.
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
