//! Advantages that subtract a baseline and keep the reward's unit.

use super::{Advantages, mean};
use crate::{RlError, Segments};

/// Rewards minus their group's mean.
///
/// ```text
/// A[i] = r[i] - mean(r)        per group
/// ```
/// Dr. GRPO, [arXiv:2503.20783](https://arxiv.org/abs/2503.20783) §3.1: no division by the spread,
/// which would give more weight to groups whose rewards differ little.
///
/// # Shapes
/// `rewards`: `[R]`, the rollouts of a group adjacent; the values come back in the same order.
///
/// # Errors
/// [`RlError::Length`], [`RlError::Reward`] on NaN or infinity, [`RlError::Overflow`].
///
/// ```
/// use sidereal_rl::{Segments, mean_only_advantages};
///
/// let advantages = mean_only_advantages(&[1.0, 0.0, 5.0], &Segments::from_lens([2, 1]))?;
/// assert_eq!(advantages.values, [0.5, -0.5, 0.0]);
/// assert_eq!(advantages.flat_groups, [1]);
/// # Ok::<(), sidereal_rl::RlError>(())
/// ```
pub fn mean_only_advantages(rewards: &[f64], groups: &Segments) -> Result<Advantages, RlError> {
    Advantages::per_group(rewards, groups, |input, output| {
        let mean = mean(input);
        output.iter_mut().zip(input).for_each(|(out, reward)| *out = reward - mean);
        true
    })
}

/// Rewards minus the mean of the *other* rollouts of their group.
///
/// ```text
/// A[i] = r[i] - (Σ_{j≠i} r[j]) / (G - 1) = (r[i] - mean(r)) · G / (G - 1)
/// ```
/// RLOO, [arXiv:2402.14740](https://arxiv.org/abs/2402.14740) eq 8. A group of one is flat.
///
/// # Shapes
/// `rewards`: `[R]`, the rollouts of a group adjacent; the values come back in the same order.
///
/// # Errors
/// [`RlError::Length`], [`RlError::Reward`] on NaN or infinity, [`RlError::Overflow`].
///
/// ```
/// use sidereal_rl::{Segments, leave_one_out_advantages};
///
/// let advantages = leave_one_out_advantages(&[3.0, 0.0, 0.0], &Segments::uniform(1, 3))?;
/// assert_eq!(advantages.values, [3.0, -1.5, -1.5]);
/// # Ok::<(), sidereal_rl::RlError>(())
/// ```
pub fn leave_one_out_advantages(rewards: &[f64], groups: &Segments) -> Result<Advantages, RlError> {
    Advantages::per_group(rewards, groups, |input, output| {
        let mean = mean(input);
        let scale = input.len() as f64 / (input.len() as f64 - 1.0);
        output.iter_mut().zip(input).for_each(|(out, reward)| *out = (reward - mean) * scale);
        true
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leave_one_out_equals_the_group_mean_times_a_factor() {
        // Means 1 and 2; of the others (0 and 1.5 and 1.5), (3 and 1).
        let groups = Segments::from_lens([3, 2]);
        let rewards = [3.0, 0.0, 0.0, 1.0, 3.0];
        let of_all = mean_only_advantages(&rewards, &groups).unwrap();
        assert_eq!(of_all.values, [2.0, -1.0, -1.0, -1.0, 1.0]);
        let of_others = leave_one_out_advantages(&rewards, &groups).unwrap();
        assert_eq!(of_others.values, [3.0, -1.5, -1.5, -2.0, 2.0]);
        assert!(of_all.flat_groups.is_empty() && of_others.flat_groups.is_empty());
    }
}
