use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use crate::RlError;

/// Chance that a reasoning batch follows an alignment batch in the early epochs.
///
/// ```text
/// p(i) = min(1, γ · (i / N_align) · (N_reason / N_align))
/// ```
/// GREAM's curriculum for epochs 1 and 2, `γ = 1.5`: reasoning data arrive late and in proportion to
/// their number.
///
/// ```
/// use std::num::NonZeroU64;
/// use sidereal_rl::ReasoningInsertion;
///
/// let insertion = ReasoningInsertion::new(NonZeroU64::new(100).unwrap(), 50);
/// assert_eq!(insertion.probability(0), 0.0);
/// assert_eq!(insertion.probability(100), 0.75);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawInsertion", into = "RawInsertion")]
pub struct ReasoningInsertion {
    num_align: NonZeroU64,
    num_reason: u64,
    gamma: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInsertion {
    num_align: NonZeroU64,
    num_reason: u64,
    gamma: f64,
}

impl ReasoningInsertion {
    /// The rule for an epoch of `num_align` alignment and `num_reason` reasoning batches, `γ = 1.5`.
    #[must_use]
    pub const fn new(num_align: NonZeroU64, num_reason: u64) -> Self {
        Self { num_align, num_reason, gamma: 1.5 }
    }

    /// The same rule with another `γ`, finite and at least 0.
    ///
    /// # Errors
    /// [`RlError::Setting`] outside that range.
    pub fn with_gamma(mut self, gamma: f64) -> Result<Self, RlError> {
        let accept = |v: f64| v >= 0.0 && v.is_finite();
        self.gamma = RlError::setting("gamma", gamma, "a finite value from 0", accept)?;
        Ok(self)
    }

    /// Probability in `[0, 1]` of inserting a reasoning batch after `done` alignment batches.
    #[must_use]
    pub fn probability(&self, done: u64) -> f64 {
        let align = self.num_align.get() as f64;
        (self.gamma * (done as f64 / align) * (self.num_reason as f64 / align)).min(1.0)
    }
}

impl TryFrom<RawInsertion> for ReasoningInsertion {
    type Error = RlError;

    fn try_from(raw: RawInsertion) -> Result<Self, RlError> {
        Self::new(raw.num_align, raw.num_reason).with_gamma(raw.gamma)
    }
}

impl From<ReasoningInsertion> for RawInsertion {
    fn from(rule: ReasoningInsertion) -> Self {
        Self { num_align: rule.num_align, num_reason: rule.num_reason, gamma: rule.gamma }
    }
}
