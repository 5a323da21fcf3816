use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use super::{Bound, Kl, Normalise, Objective, RolloutBatch, StepSize, Term, token_objective};
use crate::RlError;

/// Trust region `[1 - low, 1 + high]` of a probability ratio.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "RawClip", into = "RawClip")]
pub struct Clip {
    low: f64,
    high: f64,
}

#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct RawClip {
    /// How far below 1 the region reaches. Range `(0, 1]`.
    low: f64,
    /// How far above 1 the region reaches. Range `(0, ∞)`.
    high: f64,
}

impl Clip {
    /// The paper's region for a sequence ratio.
    pub(super) const GSPO: Self = Self { low: 3e-4, high: 4e-4 };

    /// A region from `1 - low` to `1 + high`: `low` in `(0, 1]`, `high` above 0.
    ///
    /// # Errors
    /// [`RlError::Setting`] outside those ranges.
    pub fn new(low: f64, high: f64) -> Result<Self, RlError> {
        let low = RlError::setting("clip low", low, "a value in (0, 1]", |v| v > 0.0 && v <= 1.0)?;
        let accept = |v: f64| v > 0.0 && v.is_finite();
        let high = RlError::setting("clip high", high, "a finite value above 0", accept)?;
        Ok(Self { low, high })
    }

    /// How far below 1 the region reaches.
    #[must_use]
    pub const fn low(&self) -> f64 {
        self.low
    }

    /// How far above 1 the region reaches.
    #[must_use]
    pub const fn high(&self) -> f64 {
        self.high
    }

    /// `min(r·A, clip(r)·A)` and its derivative with respect to `ln r`.
    #[must_use]
    pub fn term(self, ratio: f64, advantage: f64) -> Term {
        let (low, high) = (1.0 - self.low, 1.0 + self.high);
        if advantage > 0.0 && ratio > high {
            Term::new(ratio, high * advantage, 0.0).at(Bound::High)
        } else if advantage < 0.0 && ratio < low {
            Term::new(ratio, low * advantage, 0.0).at(Bound::Low)
        } else {
            Term::linear(ratio, advantage)
        }
    }
}

impl Default for Clip {
    /// 0.2 on both sides.
    fn default() -> Self {
        Self { low: 0.2, high: 0.2 }
    }
}

impl TryFrom<RawClip> for Clip {
    type Error = RlError;

    fn try_from(raw: RawClip) -> Result<Self, RlError> {
        Self::new(raw.low, raw.high)
    }
}

impl From<Clip> for RawClip {
    fn from(clip: Clip) -> Self {
        Self { low: clip.low, high: clip.high }
    }
}

/// Group relative policy optimisation: a clipped ratio per token, minus a KL penalty.
///
/// ```text
/// r[t] = exp(new[t] - old[t])
/// J    = Σ_t w[t] · ( min(r[t]·A, clip(r[t], 1 - low, 1 + high)·A) - β·KL[t] )
/// dJ/d new[t] = w[t] · ( r[t]·A·1[not clipped] - β·dKL[t] )
/// ```
/// `DeepSeekMath`, [arXiv:2402.03300](https://arxiv.org/abs/2402.03300) eq 3. `w[t]` is given by
/// [`Normalise`]; `A` is the advantage of the token's rollout, computed beforehand, and enters as a
/// constant. [`Grpo::dr_grpo`] and [`Grpo::dapo`] are settings of the same formula. Deviation: the
/// mean over rollouts is over those of the step, not first within each group, which differs where
/// groups have different sizes.
///
/// ```
/// use sidereal_rl::{Grpo, RolloutBatch, Segments, StepSize};
///
/// // On-policy (all ratios 1) the gradient is A / (R · len).
/// let tokens = Segments::from_lens([2, 1]);
/// let logp = [-0.7, -0.1, -2.0];
/// let batch = RolloutBatch::new(&tokens, &logp, &logp, &[1.0, -1.0])?;
/// let objective = Grpo::default().objective(&batch, StepSize::of(&tokens))?;
/// assert_eq!(objective.d_logp, [0.25, 0.25, -0.5]);
/// assert_eq!(objective.value, 0.0);
/// assert_eq!(objective.diagnostics.mean_ratio(), 1.0);
/// # Ok::<(), sidereal_rl::RlError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Grpo {
    /// Trust region of the ratio.
    pub clip: Clip,
    /// Penalty towards the reference policy; without it none, and no reference is kept.
    pub kl: Option<Kl>,
    /// Weight of a token.
    pub normalise: Normalise,
}

impl Grpo {
    /// Dr. GRPO ([arXiv:2503.20783](https://arxiv.org/abs/2503.20783)): a constant length for all
    /// rollouts, no KL. Pair it with [`mean_only_advantages`](crate::mean_only_advantages).
    #[must_use]
    pub fn dr_grpo(max_tokens: NonZeroUsize) -> Self {
        Self { normalise: Normalise::Constant(max_tokens), ..Self::default() }
    }

    /// DAPO ([arXiv:2503.14476](https://arxiv.org/abs/2503.14476)): `low` 0.2, `high` 0.28, mean
    /// over tokens, no KL. Pair it with dynamic sampling.
    #[must_use]
    pub fn dapo() -> Self {
        let clip = Clip { low: 0.2, high: 0.28 };
        Self { clip, kl: None, normalise: Normalise::Token }
    }

    /// Value, gradient and diagnostics of a batch that is all or part of a step of size `step`.
    ///
    /// # Errors
    /// [`RlError::Missing`] if there is a KL penalty and the batch has no reference log-probs;
    /// [`RlError::Step`] if `step` counts less than the batch; [`RlError::Overflow`] if the result
    /// is beyond an `f64`.
    pub fn objective(
        &self,
        batch: &RolloutBatch<'_>,
        step: StepSize,
    ) -> Result<Objective, RlError> {
        token_objective(batch, step, self.normalise, self.kl, |token| {
            let ratio = token.log_ratio().exp();
            self.clip.term(ratio, token.advantage)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_the_papers() {
        let four = NonZeroUsize::new(4).unwrap();
        let dr_grpo = Grpo::dr_grpo(four);
        assert_eq!((dr_grpo.normalise, dr_grpo.kl), (Normalise::Constant(four), None));
        assert_eq!((dr_grpo.clip.low(), dr_grpo.clip.high()), (0.2, 0.2));
        let dapo = Grpo::dapo();
        assert_eq!((dapo.clip.low(), dapo.clip.high()), (0.2, 0.28));
        assert_eq!((dapo.normalise, dapo.kl), (Normalise::Token, None));
        assert_eq!((Clip::GSPO.low(), Clip::GSPO.high()), (3e-4, 4e-4));
    }

    #[test]
    fn a_ratio_at_a_bound_is_not_clipped_yet() {
        let clip = Clip::new(0.5, 0.5).unwrap();
        // ratio, advantage: value, slope, bound
        for (ratio, advantage, value, slope, bound) in [
            (1.5, 2.0, 3.0, 3.0, None),
            (1.75, 2.0, 3.0, 0.0, Some(Bound::High)),
            (1.75, -2.0, -3.5, -3.5, None),
            (0.5, -2.0, -1.0, -1.0, None),
            (0.25, -2.0, -1.0, 0.0, Some(Bound::Low)),
            (0.25, 2.0, 0.5, 0.5, None),
            (0.25, 0.0, 0.0, 0.0, None),
            (f64::INFINITY, 0.0, 0.0, 0.0, None),
        ] {
            assert_eq!(clip.term(ratio, advantage), Term { ratio, value, slope, bound });
        }
    }

    #[test]
    fn clip_bounds_outside_their_range_are_refused() {
        assert!(Clip::new(1.0, 1e9).is_ok());
        for (low, high) in
            [(0.0, 0.2), (1.5, 0.2), (f64::NAN, 0.2), (0.2, 0.0), (0.2, f64::INFINITY)]
        {
            assert!(Clip::new(low, high).is_err(), "{low} {high}");
        }
        let clip = Clip::new(0.25, 0.5).unwrap();
        let text = serde_json::to_string(&clip).unwrap();
        assert_eq!(serde_json::from_str::<Clip>(&text).unwrap(), clip);
    }
}
