//! Why a computation was refused.

/// Why a reward, an advantage, an objective or a setting was refused.
///
/// Groups, rollouts, tokens and positions are counted from 0.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each message names its fields")]
pub enum RlError {
    /// Offsets that do not describe consecutive segments.
    #[error("offset {index} is {found}: offsets start at 0 and never fall, needed {needed}")]
    Offsets { index: usize, found: usize, needed: String },
    /// An array of the wrong length.
    #[error("`{what}` has {found} values, needed {needed}: one for each {per}")]
    Length { what: &'static str, found: usize, needed: usize, per: &'static str },
    /// A reward function returned too few or too many scores.
    #[error("group {group}: the reward returned {found} scores for {needed} rollouts")]
    ScoreCount { group: usize, found: usize, needed: usize },
    /// A reward that is NaN or infinite.
    #[error("`{what}` of group {group}, rollout {position}, is {found}: needed a finite value")]
    Reward { what: &'static str, group: usize, position: usize, found: f64 },
    /// A per-token input that is NaN or infinite.
    #[error("`{what}` of rollout {rollout}, token {position}, is {found}: needed a finite value")]
    Token { what: &'static str, rollout: usize, position: usize, found: f64 },
    /// A per-rollout input that is NaN or infinite.
    #[error("`{what}` of rollout {rollout} is {found}: needed a finite value")]
    Rollout { what: &'static str, rollout: usize, found: f64 },
    /// A rollout whose length divides but is 0.
    #[error("the length of rollout {rollout} is 0, needed at least 1")]
    ZeroLength { rollout: usize },
    /// Finite inputs whose result no `f64` can hold.
    #[error("`{what}` overflows in {unit} {index}: its inputs lie too far apart")]
    Overflow { what: &'static str, unit: &'static str, index: usize },
    /// An input that the chosen objective needs and the batch lacks.
    #[error("{objective} needs `{what}`, which the batch does not have")]
    Missing { objective: &'static str, what: &'static str },
    /// A step that counts less than the batch it should contain.
    #[error("the step counts {found} {unit}, fewer than the {needed} of this batch")]
    Step { unit: &'static str, found: usize, needed: usize },
    /// An input that an objective or an estimator outside this crate cannot use.
    #[error("{by} refused its input: {reason}")]
    Refused { by: String, reason: String },
    /// A setting outside its range.
    #[error("`{name}` is {found}, needed {range}")]
    Setting { name: &'static str, found: f64, range: &'static str },
}

impl RlError {
    /// The value if `accept` holds of it; a NaN never passes a comparison.
    pub(crate) fn setting(
        name: &'static str,
        found: f64,
        range: &'static str,
        accept: impl Fn(f64) -> bool,
    ) -> Result<f64, Self> {
        if accept(found) { Ok(found) } else { Err(Self::Setting { name, found, range }) }
    }

    /// Refuses an array whose length is not `needed`.
    pub(crate) fn length(
        what: &'static str,
        found: usize,
        needed: usize,
        per: &'static str,
    ) -> Result<(), Self> {
        if found == needed { Ok(()) } else { Err(Self::Length { what, found, needed, per }) }
    }
}
