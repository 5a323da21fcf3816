//! Metrics of several samples per prompt.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use crate::run::Outcome;
use crate::{Metric, MetricError};

/// The answers that were drawn for one sample: how many, how many of them were right, and which was
/// the first right one.
///
/// ```
/// use sidereal_metrics::{Draws, Metric, Outcome};
/// let draws = Draws::new(&[false, true, false, true])?;
/// assert_eq!((draws.count(), draws.right()), (4, 2));
/// assert!((draws.value("Pass@2".parse()?)? - 5.0 / 6.0).abs() < 1e-12);
/// assert_eq!(draws.value("Best@1".parse()?)?, 0.0);
/// # Ok::<(), sidereal_metrics::MetricError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawDraws", into = "RawDraws")]
pub struct Draws(RawDraws);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDraws {
    count: usize,
    right: usize,
    /// From 0; `count` where none is right.
    first: usize,
}

impl Draws {
    /// Answers by whether they were right, in the order in which they were drawn.
    ///
    /// # Errors
    /// [`MetricError::TooFewSamples`] without answers.
    pub fn new(right: &[bool]) -> Result<Self, MetricError> {
        let (count, first) = (right.len(), right.iter().position(|right| *right));
        let right = right.iter().filter(|right| **right).count();
        RawDraws { count, right, first: first.unwrap_or(count) }.try_into()
    }

    /// Answers.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.0.count
    }

    /// Right answers.
    #[must_use]
    pub const fn right(&self) -> usize {
        self.0.right
    }
}

impl Outcome for Draws {
    fn value(&self, metric: Metric) -> Result<f64, MetricError> {
        let RawDraws { count: samples, right, first } = self.0;
        match metric {
            Metric::Pass(k) => pass_at_k(samples, right, k),
            Metric::Best(k) if k.get() > samples => {
                Err(MetricError::TooFewSamples { k: k.get(), samples })
            }
            Metric::Average(average) => average.mean(|part| self.value(part)),
            Metric::Best(k) => Ok(f64::from(u8::from(first < k.get()))),
            _ => Err(MetricError::NotDraws { metric }),
        }
    }
}

impl TryFrom<RawDraws> for Draws {
    type Error = MetricError;

    fn try_from(raw: RawDraws) -> Result<Self, MetricError> {
        let RawDraws { count: samples, right, first } = raw;
        if samples == 0 {
            return Err(MetricError::TooFewSamples { k: 1, samples });
        }
        // All right answers stand from the first one on.
        let room = samples.saturating_sub(first);
        if right > room || (right == 0) != (first == samples) {
            return Err(MetricError::TooManyCorrect { correct: right, samples: room });
        }
        Ok(Self(raw))
    }
}

impl From<Draws> for RawDraws {
    fn from(draws: Draws) -> Self {
        draws.0
    }
}

/// Unbiased estimate of the probability that at least one of `k` samples is correct, from `samples`
/// independent samples of which `correct` are.
///
/// ```text
/// 1 − C(samples − correct, k) / C(samples, k)
/// ```
/// Chen et al., [arXiv:2107.03374](https://arxiv.org/abs/2107.03374) §2.1, as the product
/// `1 − Π (1 − k/i)` over `i = samples − correct + 1, …, samples`, which cannot overflow.
///
/// ```
/// use std::num::NonZeroUsize;
/// // Two samples of four are correct; of the six pairs only one has neither.
/// let value = sidereal_metrics::pass_at_k(4, 2, NonZeroUsize::new(2).unwrap())?;
/// assert!((value - 5.0 / 6.0).abs() < 1e-12);
/// # Ok::<(), sidereal_metrics::MetricError>(())
/// ```
///
/// # Errors
/// [`MetricError::TooManyCorrect`]; [`MetricError::TooFewSamples`] if `k` exceeds `samples`.
pub fn pass_at_k(samples: usize, correct: usize, k: NonZeroUsize) -> Result<f64, MetricError> {
    let k = k.get();
    if correct > samples {
        return Err(MetricError::TooManyCorrect { correct, samples });
    }
    if k > samples {
        return Err(MetricError::TooFewSamples { k, samples });
    }
    let wrong = samples - correct;
    if wrong < k {
        return Ok(1.0);
    }
    let none: f64 = (wrong + 1..=samples).map(|i| 1.0 - k as f64 / i as f64).product();
    Ok(1.0 - none)
}

/// Plain best-of-`k`: 1 if any of the first `k` samples is correct, else 0.
///
/// Unbiased as well, with more variance than [`pass_at_k`]; the only one of the two that may be
/// used if the order of the samples means something (beams).
///
/// ```
/// use std::num::NonZeroUsize;
/// let value = sidereal_metrics::best_of_k(&[false, true, false], NonZeroUsize::MIN)?;
/// assert_eq!(value, 0.0);
/// # Ok::<(), sidereal_metrics::MetricError>(())
/// ```
///
/// # Errors
/// [`MetricError::TooFewSamples`].
pub fn best_of_k(correct: &[bool], k: NonZeroUsize) -> Result<f64, MetricError> {
    let samples = correct.len();
    let first = correct.get(..k.get()).ok_or(MetricError::TooFewSamples { k: k.get(), samples })?;
    Ok(f64::from(u8::from(first.contains(&true))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_agree_with_the_metrics_over_slices() {
        for bits in 0..32u32 {
            let right: Vec<bool> = (0..5).map(|at| bits >> at & 1 == 1).collect();
            let draws = Draws::new(&right).unwrap();
            for k in (1..=6).filter_map(NonZeroUsize::new) {
                let best = best_of_k(&right, k);
                assert_eq!(draws.value(Metric::Best(k)), best);
                let count = right.iter().filter(|right| **right).count();
                assert_eq!(draws.value(Metric::Pass(k)), pass_at_k(5, count, k));
            }
        }
        assert!(Draws::new(&[]).is_err());
        let read = |json: &str| serde_json::from_str::<Draws>(json);
        assert!(read("{\"count\": 3, \"right\": 2, \"first\": 2}").is_err());
        assert!(read("{\"count\": 3, \"right\": 0, \"first\": 2}").is_err());
        assert!(read("{\"count\": 3, \"right\": 1, \"first\": 2}").is_ok());
    }

    #[test]
    fn more_samples_than_drawn_are_refused() {
        let k = NonZeroUsize::new(5).unwrap();
        let error = Err(MetricError::TooFewSamples { k: 5, samples: 4 });
        assert_eq!(pass_at_k(4, 1, k), error);
        assert_eq!(best_of_k(&[true; 4], k), error);
        assert_eq!(pass_at_k(5, 6, k), Err(MetricError::TooManyCorrect { correct: 6, samples: 5 }));
    }

    #[test]
    fn draws_report_their_number_and_how_many_are_correct() {
        let draws = Draws::new(&[false, true, false, true]).unwrap();
        assert_eq!((draws.count(), draws.right()), (4, 2));
        let [one, two, three] = [1, 2, 3].map(|k| NonZeroUsize::new(k).unwrap());
        // Of six pairs one has neither right one; of four triples none.
        assert!((pass_at_k(4, 2, two).unwrap() - 5.0 / 6.0).abs() < 1e-12);
        assert!((pass_at_k(4, 2, three).unwrap() - 1.0).abs() < 1e-12);
        assert!((pass_at_k(4, 1, one).unwrap() - 0.25).abs() < 1e-12);
        assert_eq!([one, two].map(|k| draws.value(Metric::Best(k))), [Ok(0.0), Ok(1.0)]);
        let json = r#"{"count":4,"right":2,"first":1}"#;
        assert_eq!(serde_json::to_string(&draws).unwrap(), json);
    }
}
