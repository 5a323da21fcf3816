use crate::{RlError, Segments};

/// Log-probs and advantages of rollouts, checked: the input of every surrogate objective.
///
/// Log-probs are flat over tokens, in nats, ragged by rollout. Only tokens that carry loss belong in
/// the batch: leave format tokens and padding out instead of masking them. A rollout without tokens
/// is legal and contributes nothing.
///
/// # Shapes
/// `R` rollouts, `N` tokens in all: `logp`, `old_logp`, `ref_logp` `[N]`; `advantages` `[R]`.
///
/// ```
/// use sidereal_rl::{RolloutBatch, Segments};
///
/// let tokens = Segments::from_lens([2, 1]);
/// let batch = RolloutBatch::new(&tokens, &[-1.0, -0.5, -2.0], &[-1.0, -0.4, -2.0], &[1.0, -1.0])?;
/// assert_eq!((batch.num_rollouts(), batch.num_tokens()), (2, 3));
///
/// let error = batch.with_reference(&[-1.0, f64::NAN, -2.0]).unwrap_err();
/// assert!(error.to_string().contains("rollout 0, token 1"));
/// # Ok::<(), sidereal_rl::RlError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct RolloutBatch<'a> {
    tokens: &'a Segments,
    logp: &'a [f64],
    old_logp: &'a [f64],
    ref_logp: Option<&'a [f64]>,
    advantages: &'a [f64],
    lengths: Option<&'a [usize]>,
    diversities: Option<Diversities<'a>>,
}

/// Diversities of the rollouts and the running target that they are compared with, in one unit: nats
/// for an entropy of categories.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Diversities<'a> {
    /// Diversity of each rollout, `[R]`.
    pub values: &'a [f64],
    /// Running target; −∞ before the first step.
    pub target: f64,
}

impl<'a> RolloutBatch<'a> {
    /// A batch of rollouts whose tokens are cut by `tokens`, with the log-probs of the policy being
    /// trained (`logp`) and of the policy that generated them (`old_logp`; the same values if each
    /// batch is used once).
    ///
    /// # Errors
    /// [`RlError::Length`] on a wrong length; [`RlError::Token`] and [`RlError::Rollout`] on NaN or
    /// infinity.
    pub fn new(
        tokens: &'a Segments,
        logp: &'a [f64],
        old_logp: &'a [f64],
        advantages: &'a [f64],
    ) -> Result<Self, RlError> {
        check_tokens("logp", logp, tokens)?;
        check_tokens("old_logp", old_logp, tokens)?;
        check_rollouts("advantages", advantages, tokens)?;
        let (ref_logp, lengths, diversities) = (None, None, None);
        Ok(Self { tokens, logp, old_logp, ref_logp, advantages, lengths, diversities })
    }

    /// The same batch with the log-probs of the frozen reference policy, for a KL penalty.
    ///
    /// # Errors
    /// [`RlError::Length`] on a wrong length; [`RlError::Token`] on NaN or infinity.
    pub fn with_reference(mut self, ref_logp: &'a [f64]) -> Result<Self, RlError> {
        check_tokens("ref_logp", ref_logp, self.tokens)?;
        self.ref_logp = Some(ref_logp);
        Ok(self)
    }

    /// The same batch with the length, `[R]`, by which sequence-level ratios average a rollout's
    /// log-ratios; by default its number of tokens. For slates pass the number of items.
    ///
    /// # Errors
    /// [`RlError::Length`] on a wrong number of lengths; [`RlError::ZeroLength`].
    pub fn with_lengths(mut self, lengths: &'a [usize]) -> Result<Self, RlError> {
        RlError::length("lengths", lengths.len(), self.num_rollouts(), "rollout")?;
        if let Some(rollout) = lengths.iter().position(|length| *length == 0) {
            return Err(RlError::ZeroLength { rollout });
        }
        self.lengths = Some(lengths);
        Ok(self)
    }

    /// The same batch with the diversity of each rollout, `[R]`, SAGE's `H(S)`: for a slate the
    /// entropy of its items' categories in nats. `target` is the running mean that SAGE compares it
    /// with ([`RunningDiversity`](crate::RunningDiversity)). Before there is a target, pass −∞: no
    /// diversity is below it.
    ///
    /// # Errors
    /// [`RlError::Length`] on a wrong number of diversities; [`RlError::Rollout`] and
    /// [`RlError::Setting`] on NaN or infinity, except for that target.
    pub fn with_diversities(
        mut self,
        diversities: &'a [f64],
        target: f64,
    ) -> Result<Self, RlError> {
        check_rollouts("diversities", diversities, self.tokens)?;
        let accept = |v: f64| v.is_finite() || v == f64::NEG_INFINITY;
        let range = "a finite value, or -inf before the first step";
        let target = RlError::setting("diversity target", target, range, accept)?;
        self.diversities = Some(Diversities { values: diversities, target });
        Ok(self)
    }

    /// Which tokens belong to which rollout.
    #[must_use]
    pub const fn tokens(&self) -> &'a Segments {
        self.tokens
    }

    /// Log-probs under the policy being trained, `[N]`.
    #[must_use]
    pub const fn logp(&self) -> &'a [f64] {
        self.logp
    }

    /// Log-probs under the policy that generated the rollouts, `[N]`.
    #[must_use]
    pub const fn old_logp(&self) -> &'a [f64] {
        self.old_logp
    }

    /// Log-probs under the frozen reference policy, `[N]`.
    #[must_use]
    pub const fn ref_logp(&self) -> Option<&'a [f64]> {
        self.ref_logp
    }

    /// Advantage of each rollout, `[R]`.
    #[must_use]
    pub const fn advantages(&self) -> &'a [f64] {
        self.advantages
    }

    /// Divisor of a rollout's summed log-ratio.
    pub(super) fn length(&self, rollout: usize, num_tokens: usize) -> f64 {
        self.lengths.map_or(num_tokens.max(1), |lengths| lengths[rollout]) as f64
    }

    /// Diversities and their target, if the batch has them.
    #[must_use]
    pub const fn diversities(&self) -> Option<Diversities<'a>> {
        self.diversities
    }

    /// Number of rollouts `R`.
    #[must_use]
    pub const fn num_rollouts(&self) -> usize {
        self.tokens.len()
    }

    /// Number of tokens `N`.
    #[must_use]
    pub fn num_tokens(&self) -> usize {
        self.tokens.total()
    }
}

pub(crate) fn check_tokens(
    what: &'static str,
    values: &[f64],
    tokens: &Segments,
) -> Result<(), RlError> {
    RlError::length(what, values.len(), tokens.total(), "token of the rollouts")?;
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        let (rollout, position) = tokens.locate(at);
        return Err(RlError::Token { what, rollout, position, found: values[at] });
    }
    Ok(())
}

pub(crate) fn check_rollouts(
    what: &'static str,
    values: &[f64],
    tokens: &Segments,
) -> Result<(), RlError> {
    RlError::length(what, values.len(), tokens.len(), "rollout")?;
    match values.iter().position(|value| !value.is_finite()) {
        Some(rollout) => Err(RlError::Rollout { what, rollout, found: values[rollout] }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_tells_what_it_was_given() {
        let tokens = Segments::from_lens([2, 1]);
        let (new, old, reference) = ([-1.0, -0.5, -2.0], [-1.0, -0.4, -2.0], [-3.0, -4.0, -5.0]);
        let batch = RolloutBatch::new(&tokens, &new, &old, &[1.0, -1.0]).unwrap();
        assert_eq!((batch.num_rollouts(), batch.num_tokens()), (2, 3));
        assert_eq!((batch.logp(), batch.old_logp()), (&new[..], &old[..]));
        assert_eq!((batch.tokens(), batch.advantages()), (&tokens, &[1.0, -1.0][..]));
        assert_eq!(batch.ref_logp(), None);
        assert_eq!(batch.with_reference(&reference).unwrap().ref_logp(), Some(&reference[..]));
    }

    #[test]
    fn inputs_that_do_not_fit_the_rollouts_are_named() {
        let tokens = Segments::from_lens([2, 1]);
        let (logp, advantages) = ([-1.0; 3], [1.0, -1.0]);
        let new = RolloutBatch::new;
        let length =
            |what, found| matches!(what, Err(RlError::Length { found: f, .. }) if f == found);
        assert!(length(new(&tokens, &logp[..2], &logp, &advantages).map(|_| ()), 2));
        assert!(length(new(&tokens, &logp, &logp[..1], &advantages).map(|_| ()), 1));
        assert!(length(new(&tokens, &logp, &logp, &advantages[..1]).map(|_| ()), 1));
        let infinite = new(&tokens, &logp, &logp, &[1.0, f64::INFINITY]).unwrap_err();
        assert!(matches!(infinite, RlError::Rollout { what: "advantages", rollout: 1, .. }));
        let nan = new(&tokens, &logp, &[-1.0, -1.0, f64::NAN], &advantages).unwrap_err();
        assert!(matches!(nan, RlError::Token { what: "old_logp", rollout: 1, position: 0, .. }));
        let batch = new(&tokens, &logp, &logp, &advantages).unwrap();
        assert!(length(batch.with_reference(&logp[..2]).map(|_| ()), 2));
        assert!(length(batch.with_lengths(&[1]).map(|_| ()), 1));
        let zero = batch.with_lengths(&[1, 0]).unwrap_err();
        assert_eq!(zero, RlError::ZeroLength { rollout: 1 });
    }

    #[test]
    fn a_diversity_target_is_finite_or_missing() {
        let tokens = Segments::uniform(1, 1);
        let batch = RolloutBatch::new(&tokens, &[-1.0], &[-1.0], &[1.0]).unwrap();
        assert!(batch.with_diversities(&[0.5], 0.0).is_ok());
        assert!(batch.with_diversities(&[0.5], f64::NEG_INFINITY).is_ok());
        for target in [f64::INFINITY, f64::NAN] {
            assert!(batch.with_diversities(&[0.5], target).is_err(), "{target}");
        }
        assert!(batch.with_diversities(&[f64::NAN], 0.0).is_err());
    }
}
