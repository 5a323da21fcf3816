//! Advantages: how much better than its group a rollout is.

mod baseline;
mod decoupled;
mod estimator;
mod srpo;
mod z_score;

pub use baseline::{leave_one_out_advantages, mean_only_advantages};
pub use decoupled::decoupled_advantages;
pub use estimator::{AdvantageEstimator, Decoupled, LeaveOneOut, MeanOnly, RewardBatch};
pub use srpo::{Srpo, SrpoBonus};
pub use z_score::ZScore;

use crate::{RlError, Segments};

/// The advantages of a batch of groups.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Advantages {
    /// Advantage of each rollout, `[R]`, in the order of the rewards.
    pub values: Vec<f64>,
    /// Groups whose rewards have no spread, ascending: their advantages carry no signal.
    pub flat_groups: Vec<usize>,
}

/// Rejects rewards that are not one finite value per rollout.
pub(crate) fn check(what: &'static str, rewards: &[f64], groups: &Segments) -> Result<(), RlError> {
    RlError::length(what, rewards.len(), groups.total(), "rollout of the groups")?;
    if let Some(at) = rewards.iter().position(|reward| !reward.is_finite()) {
        let (group, position) = groups.locate(at);
        return Err(RlError::Reward { what, group, position, found: rewards[at] });
    }
    Ok(())
}

/// Whether rewards have no spread beyond rounding: `max - min <= 1e-12 · max |r|`.
///
/// Groups of fewer than two rollouts are flat.
#[must_use]
pub fn is_flat(rewards: &[f64]) -> bool {
    let (low, high) = bounds(rewards);
    rewards.len() < 2 || high - low <= FLAT * high.abs().max(low.abs())
}

/// Relative spread below which rewards count as equal: a few thousand roundings.
const FLAT: f64 = 1e-12;

fn bounds(rewards: &[f64]) -> (f64, f64) {
    // Comparisons, because `f64::min` and `max` also handle NaN and take three times as long.
    rewards.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), reward| {
        (if *reward < low { *reward } else { low }, if *reward > high { *reward } else { high })
    })
}

/// Mean of finite values, also where their sum would overflow.
pub(crate) fn mean(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let sum: f64 = values.iter().sum();
    if sum.is_finite() { sum / count } else { values.iter().map(|value| value / count).sum() }
}

impl Advantages {
    /// Advantages that were computed elsewhere: one for each rollout, `[R]`, and the groups without
    /// a signal, ascending.
    #[must_use]
    pub const fn new(values: Vec<f64>, flat_groups: Vec<usize>) -> Self {
        Self { values, flat_groups }
    }

    /// Applies `center` to the rewards of each group that is not flat (see [`is_flat`]); it writes
    /// their advantages.
    ///
    /// Groups that are flat, and those for which `center` answers `false`, get zeros and are
    /// reported.
    ///
    /// # Errors
    /// [`RlError::Length`], [`RlError::Reward`] on NaN or infinity, [`RlError::Overflow`] if
    /// `center` writes one of these.
    pub fn per_group(
        rewards: &[f64],
        groups: &Segments,
        center: impl Fn(&[f64], &mut [f64]) -> bool,
    ) -> Result<Self, RlError> {
        check("rewards", rewards, groups)?;
        let mut values = vec![0.0; rewards.len()];
        let mut flat_groups = Vec::new();
        for (group, range) in groups.iter().enumerate() {
            let (input, output) = (&rewards[range.clone()], &mut values[range]);
            if is_flat(input) || !center(input, output) {
                output.fill(0.0);
                flat_groups.push(group);
            } else if !output.iter().all(|value| value.is_finite()) {
                return Err(RlError::Overflow { what: "advantage", unit: "group", index: group });
            }
        }
        Ok(Self { values, flat_groups })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewards_whose_sum_overflows_still_have_a_mean() {
        // mean = 3/4 MAX
        let rewards = [f64::MAX, f64::MAX / 2.0];
        let values = mean_only_advantages(&rewards, &Segments::uniform(1, 2)).unwrap().values;
        for (value, expected) in values.iter().zip([f64::MAX / 4.0, -f64::MAX / 4.0]) {
            assert!((value / expected - 1.0).abs() < 1e-12, "{values:?}");
        }
    }

    #[test]
    fn flatness_is_relative_to_the_largest_reward_of_either_sign() {
        for flat in [&[][..], &[7.0], &[0.0, 0.0], &[1.0, 1.0 + 1e-13], &[-1e6, -1e6 - 1e-7]] {
            assert!(is_flat(flat), "{flat:?}");
        }
        for live in [&[1.0, 1.0 + 1e-11][..], &[0.0, 1e-300], &[-1.0, 1.0], &[1e-20, 2e-20]] {
            assert!(!is_flat(live), "{live:?}");
        }
    }
}
