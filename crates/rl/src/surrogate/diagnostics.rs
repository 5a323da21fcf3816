use std::ops::AddAssign;

use super::{Bound, RolloutBatch, Term};

/// The sums from which the logged numbers are computed. Add the sums of the micro-batches of a
/// step, then read the numbers.
///
/// A *unit* is what the objective forms a ratio for: a token (GRPO) or a rollout (GSPO, GBPO,
/// SAGE). Rollouts without tokens are not units.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct Diagnostics {
    /// Number of ratios.
    pub units: usize,
    /// Units with a negative advantage on which the lower bound acts: a clipped unit has no
    /// gradient.
    pub clipped_low: usize,
    /// Units with a positive advantage on which the upper bound acts: a clipped unit has no
    /// gradient.
    pub clipped_high: usize,
    /// Sum of the ratios.
    pub ratio_sum: f64,
    /// Largest ratio; 0 if there is none.
    pub max_ratio: f64,
    /// Number of tokens.
    pub tokens: usize,
    /// Sum over tokens of the k3 estimate of `KL(π_old ‖ π)`, nats: `r - 1 - ln r`.
    pub old_kl_sum: f64,
    /// Sum over tokens of the penalty's estimate of `KL(π ‖ π_ref)`, nats; 0 without a penalty.
    pub ref_kl_sum: f64,
    /// Number of rollouts.
    pub rollouts: usize,
    /// Rollouts whose advantage is not zero: only these teach.
    pub effective_rollouts: usize,
}

impl Diagnostics {
    /// Share of units on which the lower bound acts, in `[0, 1]`.
    #[must_use]
    pub fn clip_fraction_low(&self) -> f64 {
        share(self.clipped_low as f64, self.units)
    }

    /// Share of units on which the upper bound acts, in `[0, 1]`.
    #[must_use]
    pub fn clip_fraction_high(&self) -> f64 {
        share(self.clipped_high as f64, self.units)
    }

    /// Mean ratio over units; near 1 while the policy stays near the one that generated the
    /// rollouts.
    #[must_use]
    pub fn mean_ratio(&self) -> f64 {
        share(self.ratio_sum, self.units)
    }

    /// Estimate of `KL(π_old ‖ π)` per token, nats.
    #[must_use]
    pub fn approx_kl(&self) -> f64 {
        share(self.old_kl_sum, self.tokens)
    }

    /// Estimate of `KL(π ‖ π_ref)` per token, nats; 0 without a penalty.
    #[must_use]
    pub fn ref_kl(&self) -> f64 {
        share(self.ref_kl_sum, self.tokens)
    }

    /// Share of rollouts with a non-zero advantage, in `[0, 1]`.
    #[must_use]
    pub fn effective_batch(&self) -> f64 {
        share(self.effective_rollouts as f64, self.rollouts)
    }
}

impl Diagnostics {
    /// Counts of a batch, before any ratio is seen.
    #[must_use]
    pub fn of(batch: &RolloutBatch<'_>) -> Self {
        let teaches = |advantage: &&f64| **advantage != 0.0;
        Self {
            tokens: batch.num_tokens(),
            rollouts: batch.num_rollouts(),
            effective_rollouts: batch.advantages().iter().filter(teaches).count(),
            ..Self::default()
        }
    }

    /// Adds the ratio of a unit, and the bound that acts on it.
    pub fn see(&mut self, term: &Term) {
        self.units += 1;
        self.ratio_sum += term.ratio;
        self.max_ratio = self.max_ratio.max(term.ratio);
        match term.bound {
            Some(Bound::Low) => self.clipped_low += 1,
            Some(Bound::High) => self.clipped_high += 1,
            None => {}
        }
    }
}

fn share(sum: f64, count: usize) -> f64 {
    if count == 0 { 0.0 } else { sum / count as f64 }
}

impl AddAssign for Diagnostics {
    fn add_assign(&mut self, other: Self) {
        self.units += other.units;
        self.clipped_low += other.clipped_low;
        self.clipped_high += other.clipped_high;
        self.ratio_sum += other.ratio_sum;
        self.max_ratio = self.max_ratio.max(other.max_ratio);
        self.tokens += other.tokens;
        self.old_kl_sum += other.old_kl_sum;
        self.ref_kl_sum += other.ref_kl_sum;
        self.rollouts += other.rollouts;
        self.effective_rollouts += other.effective_rollouts;
    }
}
