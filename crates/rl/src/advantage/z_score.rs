use serde::{Deserialize, Serialize};

use super::{Advantages, mean};
use crate::{RlError, Segments};

/// Group-relative advantages: each reward against its group's mean, in units of its spread.
///
/// ```text
/// A[i] = (r[i] - mean(r)) / (std(r) + eps)      std divides by G - ddof
/// ```
/// GRPO, [arXiv:2402.03300](https://arxiv.org/abs/2402.03300) §4.1.2. The paper names neither `ddof`
/// nor `eps`; the two public trainers differ, hence the presets.
///
/// A flat group (see [`is_flat`](crate::is_flat)) gets exact zeros and is reported, whatever `eps`
/// is; so does a group with no more than `ddof` rollouts.
///
/// ```
/// use sidereal_rl::{Segments, ZScore};
///
/// // Two groups: one hit of four (mean 1/4, std √3/4), and one where all miss.
/// let rewards = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0];
/// let advantages = ZScore::POPULATION.advantages(&rewards, &Segments::from_lens([4, 2]))?;
/// assert!((advantages.values[0] - 3f64.sqrt()).abs() < 1e-6);
/// assert_eq!(advantages.values[4..], [0.0, 0.0]);
/// assert_eq!(advantages.flat_groups, [1]);
/// # Ok::<(), sidereal_rl::RlError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "RawZScore", into = "RawZScore")]
pub struct ZScore {
    ddof: usize,
    eps: f64,
}

#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct RawZScore {
    /// What the standard deviation subtracts from the rollouts of a group when it divides: 0 for that of a
    /// population, 1 for that of a sample. Range `0..`.
    ddof: usize,
    /// Added to the standard deviation. Range `[0, ∞)`.
    eps: f64,
}

impl ZScore {
    /// Population standard deviation, `eps` 1e-8.
    pub const POPULATION: Self = Self { ddof: 0, eps: 1e-8 };
    /// As in TRL: sample standard deviation, `eps` 1e-4.
    pub const TRL: Self = Self { ddof: 1, eps: 1e-4 };
    /// As in verl: sample standard deviation, `eps` 1e-6.
    pub const VERL: Self = Self { ddof: 1, eps: 1e-6 };

    /// A z-score whose standard deviation divides by `G - ddof`, with `eps` added to it.
    ///
    /// # Errors
    /// [`RlError::Setting`] unless `eps` is finite and at least 0.
    pub fn new(ddof: usize, eps: f64) -> Result<Self, RlError> {
        let accept = |v: f64| v >= 0.0 && v.is_finite();
        Ok(Self { ddof, eps: RlError::setting("eps", eps, "a finite value from 0", accept)? })
    }

    /// Delta degrees of freedom: what the standard deviation subtracts from `G`.
    #[must_use]
    pub const fn ddof(&self) -> usize {
        self.ddof
    }

    /// What is added to the standard deviation.
    #[must_use]
    pub const fn eps(&self) -> f64 {
        self.eps
    }

    /// The advantages of a batch of groups.
    ///
    /// # Shapes
    /// `rewards`: `[R]`, the rollouts of a group adjacent; the values come back in the same order.
    ///
    /// # Errors
    /// [`RlError::Length`] unless `groups` covers `rewards`; [`RlError::Reward`] on NaN or
    /// infinity; [`RlError::Overflow`] if rewards lie further apart than an `f64` can say.
    pub fn advantages(&self, rewards: &[f64], groups: &Segments) -> Result<Advantages, RlError> {
        Advantages::per_group(rewards, groups, |input, output| self.standardise(input, output))
    }

    /// Writes the z-scores of `input` (not flat) to `output`; `false` if it has too few values.
    pub(super) fn standardise(&self, input: &[f64], output: &mut [f64]) -> bool {
        let Some(freedom) = input.len().checked_sub(self.ddof).filter(|n| *n > 0) else {
            return false;
        };
        let mean = mean(input);
        output.iter_mut().zip(input).for_each(|(out, reward)| *out = reward - mean);
        let spread = root_mean_square(output, freedom) + self.eps;
        for out in output.iter_mut() {
            *out /= spread;
        }
        true
    }
}

/// `√(Σ d² / freedom)`.
fn root_mean_square(deviations: &[f64], freedom: usize) -> f64 {
    let squares: f64 = deviations.iter().map(|deviation| deviation * deviation).sum();
    if (1e-200..1e200).contains(&squares) {
        return (squares / freedom as f64).sqrt();
    }
    // Squares of deviations in units of the largest one neither overflow nor vanish.
    let largest = deviations.iter().fold(0.0f64, |most, deviation| most.max(deviation.abs()));
    let squares: f64 = deviations.iter().map(|deviation| (deviation / largest).powi(2)).sum();
    largest * (squares / freedom as f64).sqrt()
}

impl Default for ZScore {
    /// [`ZScore::POPULATION`].
    fn default() -> Self {
        Self::POPULATION
    }
}

impl TryFrom<RawZScore> for ZScore {
    type Error = RlError;

    fn try_from(raw: RawZScore) -> Result<Self, RlError> {
        Self::new(raw.ddof, raw.eps)
    }
}

impl From<ZScore> for RawZScore {
    fn from(z: ZScore) -> Self {
        Self { ddof: z.ddof, eps: z.eps }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_not_larger_than_ddof_is_reported_as_flat() {
        let z = ZScore::new(2, 0.0).unwrap();
        let advantages =
            z.advantages(&[1.0, 0.0, 1.0, 0.0, 0.0], &Segments::from_lens([2, 3])).unwrap();
        assert_eq!(advantages.flat_groups, [0]);
        assert_eq!(advantages.values[..2], [0.0, 0.0]);
        assert!(advantages.values[2] > 0.0);
    }

    #[test]
    fn denormal_and_huge_spreads_are_standardised_alike() {
        let z = ZScore::new(0, 0.0).unwrap();
        for scale in [1e-320, 1.0, 1e300] {
            let values = z.advantages(&[scale, -scale], &Segments::uniform(1, 2)).unwrap().values;
            assert!((values[0] - 1.0).abs() < 1e-12, "{scale}: {values:?}");
        }
        // A root that a denormal number could not hold to so many digits.
        for scale in [1e-300, 1.0, 1e300] {
            let four = [scale, -scale, 0.0, 0.0];
            let values = z.advantages(&four, &Segments::uniform(1, 4)).unwrap().values;
            assert!((values[0] - 2f64.sqrt()).abs() < 1e-12, "{scale}: {values:?}");
        }
    }

    #[test]
    fn a_nan_reward_names_group_and_position() {
        let groups = Segments::from_lens([1, 0, 2]);
        let error = ZScore::TRL.advantages(&[0.0, 1.0, f64::NAN], &groups).unwrap_err();
        assert!(matches!(error, RlError::Reward { group: 2, position: 1, .. }), "{error}");
    }

    #[test]
    fn settings_are_told_and_refused_out_of_range() {
        let z = ZScore::new(3, 0.25).unwrap();
        assert_eq!((z.ddof(), z.eps()), (3, 0.25));
        assert!(ZScore::new(0, 0.0).is_ok());
        for eps in [-1e-9, f64::NAN, f64::INFINITY] {
            assert!(ZScore::new(0, eps).is_err(), "{eps}");
        }
    }
}
