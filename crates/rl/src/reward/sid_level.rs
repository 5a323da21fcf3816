use serde::{Deserialize, Serialize};

use crate::{Group, Reward, RlError};

/// Partial credit for a correct prefix, each further level worth `λ` times the one before; a configuration
/// gives `λ`. Range `(0, 1)`.
///
/// ```text
/// R_sid(y) = 1 - λ^ℓ        ℓ levels of y* are right, from the first on
/// ```
/// SINGER eq 8; the paper gives no `λ`, the default here is 0.5. A miss at the first level scores 0,
/// the target `1 - λ^L`: rewards are in `[0, 1)`. A suffix is no level
/// ([`Group::with_levels`]).
///
/// ```
/// use sidereal_rl::{Group, Reward, SidLevel};
/// use sidereal_sid::SemanticId;
///
/// let target = SemanticId::from([1, 2, 3]);
/// let rollouts = [SemanticId::from([1, 2, 3]), SemanticId::from([1, 0, 3])];
/// assert_eq!(SidLevel::default().score(&Group::new(&target, &rollouts)), [0.875, 0.5]);
/// assert!(SidLevel::new(1.0).is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "f64", into = "f64")]
pub struct SidLevel {
    decay: f64,
}

impl SidLevel {
    /// The reward with decay `λ`, in `(0, 1)`.
    ///
    /// # Errors
    /// [`RlError::Setting`] outside that range.
    pub fn new(decay: f64) -> Result<Self, RlError> {
        let decay = RlError::setting("decay", decay, "a value in (0, 1)", |v| v > 0.0 && v < 1.0)?;
        Ok(Self { decay })
    }

    /// The decay `λ`.
    #[must_use]
    pub const fn decay(&self) -> f64 {
        self.decay
    }
}

impl Default for SidLevel {
    /// `λ = 0.5`.
    fn default() -> Self {
        Self { decay: 0.5 }
    }
}

impl TryFrom<f64> for SidLevel {
    type Error = RlError;

    fn try_from(decay: f64) -> Result<Self, RlError> {
        Self::new(decay)
    }
}

impl From<SidLevel> for f64 {
    fn from(reward: SidLevel) -> Self {
        reward.decay
    }
}

impl Reward for SidLevel {
    fn score(&self, group: &Group<'_>) -> Vec<f64> {
        let power = |len| self.decay.powi(i32::try_from(len).unwrap_or(i32::MAX));
        group.correct_levels().map(|len| 1.0 - power(len)).collect()
    }
}
