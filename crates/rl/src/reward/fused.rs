use serde::{Deserialize, Serialize};

use crate::RlError;

/// What a chain of thought is worth that a recommendation head ranks all items after: how high the target stands,
/// and how near it is.
///
/// ```text
/// R   = (1 − β) · R_d + β · R_c
/// R_d = 1 / log2(rank + 1) if rank ≤ k, else 0        NDCG@k of the target, whose rank counts from 1
/// R_c = p(target), as a share of all items
/// ```
/// `R²ec`: You and others, [arXiv:2505.16994](https://arxiv.org/abs/2505.16994), its fused reward. The part `R_d`
/// is the same for all chains after which the target has one rank; `R_c` tells them apart. Range `[0, 1]`.
///
/// ```
/// use sidereal_rl::FusedReward;
///
/// let reward = FusedReward::default();
/// // At rank 3: 1 / log2(4) = 1/2.
/// assert!((reward.of(3, 0.2)? - (0.95 * 0.5 + 0.05 * 0.2)).abs() < 1e-12);
/// assert_eq!(reward.of(1, 1.0)?, 1.0);
/// assert!((reward.of(1001, 0.2)? - 0.05 * 0.2).abs() < 1e-12);
/// # Ok::<(), sidereal_rl::RlError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "RawFused", into = "RawFused")]
pub struct FusedReward {
    share: f64,
    cut_off: usize,
}

#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct RawFused {
    /// Weight `β` of the target's share of the probability; its rank has `1 − β`. Range `[0, 1]`.
    share: f64,
    /// The last rank that is worth something, `k`. Range `1..`.
    cut_off: usize,
}

impl FusedReward {
    /// A reward of these weights: `share` is `β`, in `[0, 1]`, and `cut_off` is `k`, at least 1.
    ///
    /// # Errors
    /// [`RlError::Setting`] outside those ranges.
    pub fn new(share: f64, cut_off: usize) -> Result<Self, RlError> {
        let share =
            RlError::setting("share", share, "a value in [0, 1]", |v| (0.0..=1.0).contains(&v))?;
        RlError::setting("cut_off", cut_off as f64, "at least 1", |v| v >= 1.0)?;
        Ok(Self { share, cut_off })
    }

    /// The reward of a chain after which the target has this rank, from 1, and this share of the probability of all
    /// items.
    ///
    /// # Errors
    /// [`RlError::Setting`] for a rank of 0, and for a share outside `[0, 1]`.
    pub fn of(&self, rank: usize, share: f64) -> Result<f64, RlError> {
        RlError::setting("rank", rank as f64, "at least 1", |v| v >= 1.0)?;
        // A softmax of f32 may sum to a little more than one.
        let near = |v: f64| (0.0..=1.0 + 1e-4).contains(&v);
        let share =
            RlError::setting("probability of the target", share, "a value in [0, 1]", near)?;
        let gain = if rank <= self.cut_off { (rank as f64 + 1.0).log2().recip() } else { 0.0 };
        Ok((1.0 - self.share) * gain + self.share * share.min(1.0))
    }
}

impl Default for FusedReward {
    /// `β` 0.05 and `k` 1000, as in the authors' code.
    fn default() -> Self {
        Self { share: 0.05, cut_off: 1000 }
    }
}

impl TryFrom<RawFused> for FusedReward {
    type Error = RlError;

    fn try_from(raw: RawFused) -> Result<Self, RlError> {
        Self::new(raw.share, raw.cut_off)
    }
}

impl From<FusedReward> for RawFused {
    fn from(reward: FusedReward) -> Self {
        Self { share: reward.share, cut_off: reward.cut_off }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_better_rank_and_a_larger_share_are_worth_more_and_settings_have_ranges() {
        let reward = FusedReward::new(0.3, 10).unwrap();
        let of = |rank, share| reward.of(rank, share).unwrap();
        for rank in 1..12 {
            // Worth more in both directions, or as much beyond the cut-off.
            assert!(of(rank, 0.2) > of(rank + 1, 0.2) || rank > 10, "{rank}");
            assert!(of(rank, 0.3) > of(rank, 0.2), "{rank}");
            assert!((0.0..=1.0).contains(&of(rank, 1.0)), "{rank}");
        }
        assert!((of(11, 0.5) - of(99, 0.5)).abs() < 1e-12);
        assert!(reward.of(0, 0.5).is_err() && reward.of(1, f64::NAN).is_err());
        assert!(FusedReward::new(1.5, 10).is_err() && FusedReward::new(0.5, 0).is_err());
        // Only the rank, and only the share.
        assert!(
            (FusedReward::new(0.0, 5).unwrap().of(2, 0.9).unwrap() - 3f64.log2().recip()).abs()
                < 1e-12
        );
        assert!((FusedReward::new(1.0, 5).unwrap().of(2, 0.9).unwrap() - 0.9).abs() < 1e-12);
    }
}
