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
}

impl<'a> RolloutBatch<'a> {
    /// A batch of rollouts whose tokens are cut by `tokens`, with the log-probs of the policy being
    /// trained (`logp`) and of the policy that generated them (`old_logp`; the same values where
    /// each batch is used once).
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
        Ok(Self { tokens, logp, old_logp, ref_logp: None, advantages })
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

fn check_tokens(what: &'static str, values: &[f64], tokens: &Segments) -> Result<(), RlError> {
    RlError::length(what, values.len(), tokens.total(), "token of the rollouts")?;
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        let (rollout, position) = tokens.locate(at);
        return Err(RlError::Token { what, rollout, position, found: values[at] });
    }
    Ok(())
}

fn check_rollouts(what: &'static str, values: &[f64], tokens: &Segments) -> Result<(), RlError> {
    RlError::length(what, values.len(), tokens.len(), "rollout")?;
    match values.iter().position(|value| !value.is_finite()) {
        Some(rollout) => Err(RlError::Rollout { what, rollout, found: values[rollout] }),
        None => Ok(()),
    }
}
