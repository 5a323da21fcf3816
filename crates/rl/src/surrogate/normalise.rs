use std::num::NonZeroUsize;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

use crate::{RlError, Segments};

/// How token terms are averaged. Every denominator is that of the whole optimiser step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Normalise {
    /// Mean over a rollout's tokens, then over the step's rollouts (GRPO, arXiv:2402.03300 eq 3):
    /// a token weighs `1 / (R · len)`, so tokens of long rollouts weigh less.
    #[default]
    Sequence,
    /// Mean over all tokens of the step (DAPO, arXiv:2503.14476 eq 8): a token weighs `1 / N`.
    Token,
    /// Sum over a rollout's tokens, divided by this constant length, then mean over rollouts (Dr. GRPO,
    /// arXiv:2503.20783 §3.1): a token weighs `1 / (R · c)`.
    Constant(NonZeroUsize),
}

impl Normalise {
    /// Weight of one token of a rollout of `len` tokens in a step of this size.
    pub(super) fn token_weight(self, len: usize, step: StepSize) -> f64 {
        let rollouts = step.rollouts.max(1) as f64;
        match self {
            Self::Sequence => (rollouts * len.max(1) as f64).recip(),
            Self::Token => (step.tokens.max(1) as f64).recip(),
            Self::Constant(length) => (rollouts * length.get() as f64).recip(),
        }
    }
}

/// What one optimiser step averages over, all of its micro-batches and devices together.
///
/// ```
/// use sidereal_rl::{Segments, StepSize};
///
/// let (first, second) = (Segments::from_lens([3, 4]), Segments::from_lens([5]));
/// let step: StepSize = StepSize::of(&first) + StepSize::of(&second);
/// assert_eq!(step, StepSize { rollouts: 3, tokens: 12 });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StepSize {
    /// Rollouts of the step.
    pub rollouts: usize,
    /// Tokens of those rollouts that carry loss.
    pub tokens: usize,
}

impl StepSize {
    /// The size of a step that consists of these rollouts.
    #[must_use]
    pub fn of(tokens: &Segments) -> Self {
        Self { rollouts: tokens.len(), tokens: tokens.total() }
    }

    /// Weight of a rollout in a mean over rollouts.
    pub(super) fn rollout_weight(self) -> f64 {
        (self.rollouts.max(1) as f64).recip()
    }

    /// Rejects a step that is smaller than one of its batches.
    pub(super) fn check_contains(self, tokens: &Segments) -> Result<(), RlError> {
        let batch = Self::of(tokens);
        if self.rollouts < batch.rollouts {
            let (found, needed) = (self.rollouts, batch.rollouts);
            return Err(RlError::Step { unit: "rollouts", found, needed });
        }
        if self.tokens < batch.tokens {
            let (found, needed) = (self.tokens, batch.tokens);
            return Err(RlError::Step { unit: "tokens", found, needed });
        }
        Ok(())
    }
}

impl Add for StepSize {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            rollouts: self.rollouts.saturating_add(other.rollouts),
            tokens: self.tokens.saturating_add(other.tokens),
        }
    }
}

impl AddAssign for StepSize {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_weigh_by_their_rollout_by_the_step_or_by_a_constant() {
        let step = StepSize { rollouts: 4, tokens: 10 };
        let weight = |normalise: Normalise, len| normalise.token_weight(len, step);
        assert!((weight(Normalise::Sequence, 5) - 0.05).abs() < 1e-15);
        assert!((weight(Normalise::Sequence, 0) - 0.25).abs() < 1e-15);
        assert!((weight(Normalise::Token, 5) - 0.1).abs() < 1e-15);
        let eight = NonZeroUsize::new(8).unwrap();
        assert!((weight(Normalise::Constant(eight), 5) - 1.0 / 32.0).abs() < 1e-15);
        assert!((step.rollout_weight() - 0.25).abs() < 1e-15);
    }

    #[test]
    fn steps_add_up_and_saturate() {
        let mut step = StepSize::of(&Segments::from_lens([2, 3]));
        assert_eq!(step, StepSize { rollouts: 2, tokens: 5 });
        step += StepSize { rollouts: 1, tokens: 4 };
        assert_eq!(step, StepSize { rollouts: 3, tokens: 9 });
        let most = StepSize { rollouts: usize::MAX, tokens: usize::MAX };
        assert_eq!(step + most, most);
    }
}
