//! Weights of a prior for histories of different length.

use std::fmt;

use serde::{Deserialize, Serialize};
use sidereal_metrics::MetricError;

use super::scale::mean_and_error;
use super::walk::Walk;
use super::weights::group_of;
use super::{HistoryWeights, PriorCases, PriorFit};
use crate::BaselineError;

/// What weights of its own would gain for one group of histories.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GroupTrial {
    /// Shortest history of the group, in items.
    pub shortest: usize,
    /// Longest history of the group; `None` where there is no bound.
    pub longest: Option<usize>,
    /// Validation cases of the group.
    pub num_cases: usize,
    /// The best weights of the group, in the order of the prior; `None` where it has too few cases.
    pub weights: Option<Vec<f32>>,
    /// Mean gain of the metric over the overall weights, where each half of the group's cases is ranked by
    /// the weights of the other half; 0 where it has too few cases.
    pub gain: f64,
    /// Standard error of the gain, over the group's cases; 0 where it has too few.
    pub standard_error: f64,
    /// Whether the group has these weights: the gain is larger than its standard error.
    pub used: bool,
}

impl PriorCases<'_> {
    /// Gives each group of histories weights of its own where they help, and tells what all of them gain.
    pub(super) fn fit_groups(&self, fit: &mut PriorFit) -> Result<(), BaselineError> {
        let bounds = &self.search.by_history;
        if bounds.is_empty() || fit.weights.terms.is_empty() {
            return Ok(());
        }
        let overall: Vec<f32> = fit.weights.terms.iter().map(|term| term.weight).collect();
        let mut values = self.values(&overall, |_| 1.0)?;
        let mut own = Vec::new();
        for group in 0..=bounds.len() {
            let in_group = |case: &usize| group_of(bounds, self.stored[*case].history) == group;
            let members: Vec<usize> = (0..self.len()).filter(in_group).collect();
            let shortest = group.checked_sub(1).and_then(|at| bounds.get(at)).copied().unwrap_or(0);
            let mut trial = GroupTrial {
                shortest,
                longest: bounds.get(group).map(|next| next - 1),
                num_cases: members.len(),
                weights: None,
                gain: 0.0,
                standard_error: 0.0,
                used: false,
            };
            if members.len() >= self.search.min_group_cases.max(2) {
                let weights = self.best_of(&members)?;
                let of_weights = self.values(&weights, |_| 1.0)?;
                let crossed = self.crossed_gains(&members, &values)?;
                (trial.gain, trial.standard_error) = mean_and_error(&crossed);
                trial.used = trial.gain > trial.standard_error;
                if trial.used {
                    for case in members {
                        values[case] = of_weights[case];
                    }
                }
                trial.weights = Some(weights);
            }
            own.push(trial.weights.clone().filter(|_| trial.used));
            fit.groups.push(trial);
        }
        if own.iter().any(Option::is_some) {
            fit.weights.by_history = Some(HistoryWeights { bounds: bounds.clone(), weights: own });
            fit.value = values.iter().sum::<f64>() / values.len() as f64;
        }
        Ok(())
    }

    /// The best weights of some cases, looked for as those of all cases are.
    fn best_of(&self, cases: &[usize]) -> Result<Vec<f32>, BaselineError> {
        if cases.is_empty() {
            return Err(MetricError::NoUsers.into());
        }
        let (_, best) = Walk::over(self, Some(cases)).best()?;
        Ok(best.weights)
    }

    /// What each member gains over `values` `[cases]` by the weights of the half that it is not in.
    fn crossed_gains(&self, members: &[usize], values: &[f64]) -> Result<Vec<f64>, BaselineError> {
        let half = |odd: usize| {
            let of_half = members.iter().enumerate().filter(move |(at, _)| at % 2 == odd);
            of_half.map(|(_, case)| *case).collect::<Vec<usize>>()
        };
        let mut gains = Vec::new();
        for odd in [0, 1] {
            let by_others = self.values(&self.best_of(&half(1 - odd))?, |_| 1.0)?;
            gains.extend(half(odd).into_iter().map(|case| by_others[case] - values[case]));
        }
        Ok(gains)
    }
}

impl fmt::Display for GroupTrial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shortest, longest, num_cases, weights, gain, standard_error, used } = self;
        match longest {
            Some(longest) => write!(f, "histories of {shortest} to {longest} items")?,
            None => write!(f, "histories of {shortest} items or more")?,
        }
        let Some(weights) = weights else {
            return write!(f, ": {num_cases} cases are too few, overall weights");
        };
        let verdict = if *used { "used" } else { "not used" };
        write!(
            f,
            ": {num_cases} cases, gain {gain:+.4} ± {standard_error:.4}, {verdict} (weights {weights:?})"
        )
    }
}
