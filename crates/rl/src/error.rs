//! Why a computation was rejected.

/// Why a reward, an advantage, an objective or a setting was rejected.
///
/// Groups, rollouts, tokens and positions are counted from 0.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each message names its fields")]
pub enum RlError {
    /// Offsets that do not describe consecutive segments.
    #[error(
        "offset {index} is {found}; expected {needed}, because offsets start at 0 and never fall"
    )]
    Offsets { index: usize, found: usize, needed: String },
    /// An array of the wrong length.
    #[error("`{what}` has {found} values; expected {needed}, one for each {per}")]
    Length { what: &'static str, found: usize, needed: usize, per: &'static str },
    /// A reward function returned too few or too many scores.
    #[error(
        "group {group}: the reward returned {found} scores for {needed} rollouts: it must return one for each"
    )]
    ScoreCount { group: usize, found: usize, needed: usize },
    /// A reward that is NaN or infinite.
    #[error("`{what}` of group {group}, rollout {position}, is {found}; expected a finite value")]
    Reward { what: &'static str, group: usize, position: usize, found: f64 },
    /// A per-token input that is NaN or infinite.
    #[error("`{what}` of rollout {rollout}, token {position}, is {found}; expected a finite value")]
    Token { what: &'static str, rollout: usize, position: usize, found: f64 },
    /// A per-rollout input that is NaN or infinite.
    #[error("`{what}` of rollout {rollout} is {found}; expected a finite value")]
    Rollout { what: &'static str, rollout: usize, found: f64 },
    /// A rollout of length 0, by which an objective would divide.
    #[error("the length of rollout {rollout} is 0; expected at least 1")]
    ZeroLength { rollout: usize },
    /// Finite inputs whose result no `f64` can hold.
    #[error("`{what}` overflows in {unit} {index}: its inputs are too far apart")]
    Overflow { what: &'static str, unit: &'static str, index: usize },
    /// An input that the chosen objective needs and the batch lacks.
    #[error("{objective} needs `{what}`, but the batch does not have it")]
    Missing { objective: &'static str, what: &'static str },
    /// A step that is smaller than the batch that it should contain.
    #[error("the step has {found} {unit}, but this batch alone has {needed}: count the whole step")]
    Step { unit: &'static str, found: usize, needed: usize },
    /// An input that an objective or an estimator outside this crate cannot use.
    #[error("{by} did not accept its input: {reason}")]
    Refused { by: String, reason: String },
    /// A setting outside its range.
    #[error("`{name}` is {found}; expected {range}")]
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

    /// Rejects an array whose length is not `needed`.
    pub(crate) fn length(
        what: &'static str,
        found: usize,
        needed: usize,
        per: &'static str,
    ) -> Result<(), Self> {
        if found == needed { Ok(()) } else { Err(Self::Length { what, found, needed, per }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_is_wrong_where_and_what_was_expected() {
        let error = RlError::Length { what: "old_logp", found: 5, needed: 6, per: "token" };
        insta::assert_snapshot!(error.to_string(), @"`old_logp` has 5 values; expected 6, one for each token");
    }
}
