//! Whether the weights of a prior should depend on the history.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::weights::bucket;
use super::{PriorCases, PriorFit, ScaleBy, TermForm, UserScale};
use crate::BaselineError;

/// Standard errors by which a scale must help on cases that it was not chosen on.
const NOISE: f64 = 2.0;

/// What a scale of all weights by history would gain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScaleTrial {
    /// The scale, its factors chosen on all cases.
    pub scale: UserScale,
    /// Mean gain of the metric if each half of the cases is scaled by the factors that were chosen
    /// on the other half.
    pub gain: f64,
    /// Standard error of the gain, over cases.
    pub standard_error: f64,
    /// Whether the weights use it: the largest gain, and above two standard errors.
    pub used: bool,
}

impl PriorCases<'_> {
    /// Adds to `fit` what scales by history gain, and adds the best of them to its weights if its
    /// gain is more than noise.
    pub(super) fn scale(&self, fit: &mut PriorFit) -> Result<(), BaselineError> {
        let factors = &self.search.factors;
        let weights: Vec<f32> = fit.weights.terms.iter().map(|term| term.weight).collect();
        if !self.search.scales() || factors.is_empty() || weights.iter().all(|w| *w <= 0.0) {
            return Ok(());
        }
        let plain = self.values(&weights, |_| 1.0)?;
        let scaled: Vec<Vec<f64>> = factors
            .iter()
            .map(|factor| self.values(&weights, |_| *factor))
            .collect::<Result<_, _>>()?;
        // gains[f][case]: what factor f gains over factor 1.
        let gains: Vec<Vec<f64>> = scaled
            .iter()
            .map(|values| values.iter().zip(&plain).map(|(value, plain)| value - plain).collect())
            .collect();
        let logs =
            self.prior.terms.iter().enumerate().filter(|(at, term)| {
                matches!(term.form, TermForm::Log { .. }) && weights[*at] > 0.0
            });
        let ways = std::iter::once((ScaleBy::HistoryLength, None))
            .chain(logs.map(|(at, term)| (ScaleBy::Mass { term: term.name.clone() }, Some(at))));
        for (by, term) in ways {
            let measured: Vec<f32> = self
                .stored
                .iter()
                .map(|case| term.map_or(case.history as f32, |term| case.masses[term]))
                .collect();
            let bounds = quantiles(&measured, self.search.buckets);
            if bounds.is_empty() {
                continue;
            }
            let buckets: Vec<usize> = measured.iter().map(|m| bucket(&bounds, *m)).collect();
            let choose =
                |of: &dyn Fn(usize) -> bool| best_factors(&gains, &buckets, bounds.len() + 1, of);
            let of_even = choose(&|case| case % 2 == 0);
            let of_odd = choose(&|case| case % 2 == 1);
            let crossed: Vec<f64> = (0..plain.len())
                .map(|case| {
                    let choice = if case % 2 == 0 { &of_odd } else { &of_even };
                    choice[buckets[case]].map_or(0.0, |factor| gains[factor][case])
                })
                .collect();
            let (gain, standard_error) = mean_and_error(&crossed);
            let chosen = choose(&|_| true);
            let chosen = chosen.iter().map(|choice| choice.map_or(1.0, |factor| factors[factor]));
            let scale = UserScale { by, bounds, factors: chosen.collect() };
            fit.scales.push(ScaleTrial { scale, gain, standard_error, used: false });
        }
        let best = fit
            .scales
            .iter_mut()
            .filter(|trial| trial.gain > NOISE * trial.standard_error)
            .max_by(|a, b| a.gain.total_cmp(&b.gain));
        if let Some(best) = best {
            best.used = true;
            let weights_with =
                super::PriorWeights { scale: Some(best.scale.clone()), ..fit.weights.clone() };
            let factor =
                |case: &super::cases::Stored| weights_with.factor(case.history, &case.masses);
            let values = self.values(&weights, factor)?;
            fit.value = values.iter().sum::<f64>() / values.len() as f64;
            fit.weights = weights_with;
        }
        Ok(())
    }
}

/// Bounds between buckets of about equal size; none if all measures are equal.
fn quantiles(measured: &[f32], buckets: usize) -> Vec<f32> {
    let mut sorted = measured.to_vec();
    sorted.sort_by(f32::total_cmp);
    let mut bounds: Vec<f32> =
        (1..buckets).map(|part| sorted[part * sorted.len() / buckets]).collect();
    bounds.dedup();
    bounds.retain(|bound| sorted.first().is_some_and(|least| bound > least));
    bounds
}

/// The factor of most gain in each bucket, over the cases of which `of` holds; `None` if no factor
/// gains.
fn best_factors(
    gains: &[Vec<f64>],
    buckets: &[usize],
    num_buckets: usize,
    of: &dyn Fn(usize) -> bool,
) -> Vec<Option<usize>> {
    let mut best = vec![(0.0, None); num_buckets];
    for (factor, gains) in gains.iter().enumerate() {
        let mut sums = vec![0.0; num_buckets];
        for (case, (bucket, gain)) in buckets.iter().zip(gains).enumerate() {
            if of(case) {
                sums[*bucket] += gain;
            }
        }
        for (sum, best) in sums.into_iter().zip(&mut best) {
            if sum > best.0 {
                *best = (sum, Some(factor));
            }
        }
    }
    best.into_iter().map(|(_, factor)| factor).collect()
}

/// Mean, and the standard deviation of the mean; infinite for fewer than two values.
pub(super) fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let error =
        if values.len() < 2 { f64::INFINITY } else { (squares / (count - 1.0) / count).sqrt() };
    (mean, error)
}

impl fmt::Display for ScaleTrial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match &self.scale.by {
            ScaleBy::HistoryLength => "history length".to_owned(),
            ScaleBy::Mass { term } => format!("mass of {term}"),
        };
        let verdict = if self.used { "used" } else { "not used" };
        let UserScale { bounds, factors, .. } = &self.scale;
        write!(
            f,
            "scaled by {by}: gain {:+.4} ± {:.4}, {verdict} (factors {factors:?} between {bounds:?})",
            self.gain, self.standard_error
        )
    }
}
