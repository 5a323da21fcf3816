use serde::{Deserialize, Serialize};

use crate::{Group, Reward, RlError};

/// Partial credit by the correct share of the levels to the power `β`, which a configuration gives; the first
/// levels are worth most. Range `(0, 1]`.
///
/// ```text
/// R_res(y) = (ℓ / L)^β        ℓ of the L levels of y* are right, from the first on
/// ```
/// GREAM eq 14. A suffix is no level ([`Group::with_levels`]). `β = 1` is linear; a smaller `β` favours the coarse levels. Rewards are in
/// `[0, 1]`; an empty target gives 0.
///
/// ```
/// use sidereal_rl::{Group, ResidualSensitive, Reward};
/// use sidereal_sid::SemanticId;
///
/// let target = SemanticId::from([1, 2, 3, 4]);
/// let rollouts = [SemanticId::from([1, 0, 0, 0]), target.clone()];
/// assert_eq!(ResidualSensitive::default().score(&Group::new(&target, &rollouts)), [0.5, 1.0]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "f64", into = "f64")]
pub struct ResidualSensitive {
    exponent: f64,
}

impl ResidualSensitive {
    /// The reward with exponent `β`, in `(0, 1]`.
    ///
    /// # Errors
    /// [`RlError::Setting`] outside that range.
    pub fn new(exponent: f64) -> Result<Self, RlError> {
        let accept = |v: f64| v > 0.0 && v <= 1.0;
        Ok(Self { exponent: RlError::setting("exponent", exponent, "a value in (0, 1]", accept)? })
    }

    /// The exponent `β`.
    #[must_use]
    pub const fn exponent(&self) -> f64 {
        self.exponent
    }
}

impl Default for ResidualSensitive {
    /// `β = 0.5`.
    fn default() -> Self {
        Self { exponent: 0.5 }
    }
}

impl TryFrom<f64> for ResidualSensitive {
    type Error = RlError;

    fn try_from(exponent: f64) -> Result<Self, RlError> {
        Self::new(exponent)
    }
}

impl From<ResidualSensitive> for f64 {
    fn from(reward: ResidualSensitive) -> Self {
        reward.exponent
    }
}

impl Reward for ResidualSensitive {
    fn score(&self, group: &Group<'_>) -> Vec<f64> {
        let levels = group.levels().max(1) as f64;
        group.correct_levels().map(|len| (len as f64 / levels).powf(self.exponent)).collect()
    }
}
