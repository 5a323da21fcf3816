//! Metrics of several samples per prompt.

use std::num::NonZeroUsize;

use crate::MetricError;

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
/// used where the order of the samples means something (beams).
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
    fn more_samples_than_drawn_are_refused() {
        let k = NonZeroUsize::new(5).unwrap();
        let error = Err(MetricError::TooFewSamples { k: 5, samples: 4 });
        assert_eq!(pass_at_k(4, 1, k), error);
        assert_eq!(best_of_k(&[true; 4], k), error);
        assert_eq!(pass_at_k(5, 6, k), Err(MetricError::TooManyCorrect { correct: 6, samples: 5 }));
    }
}
