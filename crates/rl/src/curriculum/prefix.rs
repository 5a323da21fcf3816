use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

/// How many of the target's codes may guide a hard sample at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum PrefixCap {
    /// All levels but one: at least one code is left to draw.
    #[default]
    LeaveOne,
    /// All levels, as printed. This differs at step 0 alone, where the guide is the whole Semantic ID
    /// unless a suffix is left.
    Whole,
}

/// Length of the target's prefix that is appended to the prompt of a hard sample.
///
/// ```text
/// guide(t) = floor((1 - t / T) · L)        capped at L - 1 by default
/// ```
/// SINGER eqs 3-4, computed in integers. Deviation: the cap, because the printed formula gives the
/// whole Semantic ID at `t = 0` ([`PrefixCap::Whole`] restores it). From `t = T` on there is no guide.
///
/// ```
/// use std::num::NonZeroU64;
/// use sidereal_rl::PrefixSchedule;
///
/// let schedule = PrefixSchedule::new(NonZeroU64::new(100).unwrap());
/// let guides = [0, 1, 33, 34, 66, 67, 100].map(|step| schedule.guide_len(step, 3));
/// assert_eq!(guides, [2, 2, 2, 1, 1, 0, 0]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrefixSchedule {
    /// Steps `T` until no guide is left.
    pub total_steps: NonZeroU64,
    /// Longest guide.
    #[serde(default)]
    pub cap: PrefixCap,
}

impl PrefixSchedule {
    /// A schedule over `total_steps` optimiser steps that leaves at least one code to generate.
    #[must_use]
    pub const fn new(total_steps: NonZeroU64) -> Self {
        Self { total_steps, cap: PrefixCap::LeaveOne }
    }

    /// The same schedule with another cap.
    #[must_use]
    pub const fn with_cap(mut self, cap: PrefixCap) -> Self {
        self.cap = cap;
        self
    }

    /// Number of codes that guide a target of `levels` codes at `step` (from 0).
    #[must_use]
    pub fn guide_len(&self, step: u64, levels: usize) -> usize {
        let total = self.total_steps.get();
        let left = u128::from(total.saturating_sub(step));
        let guide = left * levels as u128 / u128::from(total);
        let guide = usize::try_from(guide).unwrap_or(levels);
        match self.cap {
            PrefixCap::LeaveOne => guide.min(levels.saturating_sub(1)),
            PrefixCap::Whole => guide,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_length_is_exact_despite_rounding() {
        // (1 - 1/7)·7 is 5.999… in f64 on some evaluation orders; 6/7·7 = 6 exactly.
        let schedule = PrefixSchedule::new(NonZeroU64::new(7).unwrap());
        assert_eq!(schedule.guide_len(1, 7), 6);
        // 1 - 0.9 = 0.0999… in f64, times 10 floors to 0; exactly it is 1.
        let schedule = PrefixSchedule::new(NonZeroU64::new(10).unwrap());
        assert_eq!(schedule.guide_len(9, 10), 1);
    }

    #[test]
    fn extremes_neither_overflow_nor_underflow() {
        let schedule = PrefixSchedule::new(NonZeroU64::MAX).with_cap(PrefixCap::Whole);
        assert_eq!(schedule.guide_len(0, usize::MAX), usize::MAX);
        assert_eq!(schedule.guide_len(u64::MAX, 3), 0);
        assert_eq!(PrefixSchedule::new(NonZeroU64::MIN).guide_len(0, 0), 0);
    }

    #[test]
    fn guides_shrink_level_by_level_and_leave_a_code_unless_told_otherwise() {
        // floor((1 - t/6) · 3), capped at 2
        let schedule = PrefixSchedule::new(NonZeroU64::new(6).unwrap());
        assert_eq!(
            [0, 1, 2, 3, 4, 5, 6, 9].map(|t| schedule.guide_len(t, 3)),
            [2, 2, 2, 1, 1, 0, 0, 0]
        );
        assert_eq!(schedule.with_cap(PrefixCap::Whole).guide_len(0, 3), 3);
    }
}
