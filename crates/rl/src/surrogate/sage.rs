use serde::{Deserialize, Serialize};

use super::{
    Diagnostics, Gain, Objective, RolloutBatch, StepSize, finite, mean_log_ratio, token_ratios,
};
use crate::RlError;

/// Which of its paper's two descriptions SAGE follows; they are not the same objective.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SageReading {
    /// The paper's algorithm 1: a clipped surrogate. A boosted positive or a damped negative loses
    /// its gradient beyond its bound.
    Algorithm1,
    /// The paper's equations 3-6 as its text explains them: bounds on the gradient's coefficient. No
    /// rollout loses its gradient.
    GradientCoefficient,
}

/// SAGE: positives may grow further than negatives shrink, negatives are held by the entropy.
///
/// With `r = exp(mean_t (new[t] - old[t]))`, `H` a rollout's entropy, `H̄` its running target and
/// `λ = 1 + β·tanh(max(0, H̄ - H))`:
///
/// ```text
/// Algorithm1            J = 1/R · Σ_i min(r·A, clip(r, lo, hi)·A)
///                       A >= 0: lo = 1 - ε_clip, hi = 1 + ε_boost
///                       A <  0: lo = 2 - λ,      hi = 1 + ε_clip
///
/// GradientCoefficient   dJ/d new[t] = 1/(R·len) · A · c
///                       A >= 0: c = min(r, 1 + ε_boost)
///                       A <  0: c = λ·r
/// ```
/// The value of `GradientCoefficient` is the primitive of its gradient: `A·r` up to the cap
/// `h = 1 + ε_boost`, `A·h·(1 + ln(r/h))` beyond, and `A·λ·r` for negative advantages. Open in the
/// paper: its equation 4 with the printed `Φ` does not cap, and equation 5's `Φ` is 1 for every
/// `r >= 0`.
///
/// Needs [`RolloutBatch::with_entropies`]. For slates give the number of items with
/// [`RolloutBatch::with_lengths`].
///
/// ```
/// use sidereal_rl::{RolloutBatch, Sage, SageReading, Segments, StepSize};
///
/// // r = e^0.5 = 1.65 lies above 1 + 0.3: capped by one reading, silenced by the other.
/// let tokens = Segments::uniform(1, 1);
/// let batch = RolloutBatch::new(&tokens, &[-0.5], &[-1.0], &[1.0])?.with_entropies(&[1.0], 1.0)?;
/// let step = StepSize::of(&tokens);
/// let algorithm = Sage::new(SageReading::Algorithm1).objective(&batch, step)?;
/// let coefficient = Sage::new(SageReading::GradientCoefficient).objective(&batch, step)?;
/// assert_eq!((algorithm.d_logp[0], coefficient.d_logp[0]), (0.0, 1.3));
/// # Ok::<(), sidereal_rl::RlError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawSage", into = "RawSage")]
pub struct Sage {
    reading: SageReading,
    clip: f64,
    boost: f64,
    damping: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSage {
    reading: SageReading,
    #[serde(default = "default_clip")]
    clip: f64,
    #[serde(default = "default_boost")]
    boost: f64,
    #[serde(default = "default_damping")]
    damping: f64,
}

const fn default_clip() -> f64 {
    0.2
}

const fn default_boost() -> f64 {
    0.3
}

const fn default_damping() -> f64 {
    0.5
}

impl Sage {
    /// SAGE in one of its readings, `ε_clip` 0.2, `ε_boost` 0.3, `β` 0.5.
    #[must_use]
    pub const fn new(reading: SageReading) -> Self {
        let (clip, boost, damping) = (default_clip(), default_boost(), default_damping());
        Self { reading, clip, boost, damping }
    }

    /// The same with another `ε_clip` in `(0, 1]`, `ε_boost` above 0 and `β` in `[0, 1]`.
    ///
    /// # Errors
    /// [`RlError::Setting`] outside those ranges.
    pub fn with_bounds(mut self, clip: f64, boost: f64, damping: f64) -> Result<Self, RlError> {
        let in_unit = |v: f64| v > 0.0 && v <= 1.0;
        self.clip = RlError::setting("clip", clip, "a value in (0, 1]", in_unit)?;
        let positive = |v: f64| v > 0.0 && v.is_finite();
        self.boost = RlError::setting("boost", boost, "a finite value above 0", positive)?;
        let range = "a value in [0, 1]";
        self.damping = RlError::setting("damping", damping, range, |v| (0.0..=1.0).contains(&v))?;
        Ok(self)
    }

    /// Which description of the paper this follows; name it beside results.
    #[must_use]
    pub const fn reading(&self) -> SageReading {
        self.reading
    }

    /// Value, gradient and diagnostics of a batch that is all or part of a step of size `step`.
    ///
    /// # Errors
    /// [`RlError::Missing`] if the batch has no entropies; [`RlError::Step`] if `step` counts less
    /// than the batch; [`RlError::Overflow`] where the result is beyond an `f64`.
    pub fn objective(
        &self,
        batch: &RolloutBatch<'_>,
        step: StepSize,
    ) -> Result<Objective, RlError> {
        step.check_contains(batch.tokens())?;
        let missing = RlError::Missing { objective: "SAGE", what: "entropies" };
        let entropies = batch.entropies().ok_or(missing)?;
        let ratios = token_ratios(batch);
        let mut seen = Diagnostics::of(batch);
        let mut value = 0.0;
        let mut d_logp = vec![0.0; batch.num_tokens()];
        let weight = step.rollout_weight();
        for (rollout, range) in batch.tokens().iter().enumerate().filter(|(_, r)| !r.is_empty()) {
            let log_ratio = mean_log_ratio(batch, &ratios, rollout, range.clone(), &mut seen);
            let shortfall = (entropies.target - entropies.values[rollout]).max(0.0);
            let lambda = 1.0 + self.damping * shortfall.tanh();
            let gain = self.gain(log_ratio, batch.advantages()[rollout], lambda, &mut seen);
            let length = batch.length(rollout, range.len());
            d_logp[range].fill(weight * gain.slope / length);
            value = finite(value + weight * gain.value, rollout)?;
        }
        Ok(Objective { value, d_logp, diagnostics: seen })
    }

    /// A rollout's term and its derivative with respect to `ln r`.
    fn gain(&self, log_ratio: f64, advantage: f64, lambda: f64, seen: &mut Diagnostics) -> Gain {
        let ratio = log_ratio.exp();
        seen.see_ratio(ratio);
        let (low, high) = (2.0 - lambda, 1.0 + self.boost);
        let held = Gain { value: 0.0, slope: 0.0 };
        match self.reading {
            _ if advantage > 0.0 && ratio > high => {
                seen.clipped_high += 1;
                match self.reading {
                    SageReading::Algorithm1 => Gain { value: high * advantage, ..held },
                    SageReading::GradientCoefficient => {
                        let slope = high * advantage;
                        Gain { value: slope * (1.0 + log_ratio - high.ln()), slope }
                    }
                }
            }
            SageReading::Algorithm1 if advantage < 0.0 && ratio < low => {
                seen.clipped_low += 1;
                Gain { value: low * advantage, ..held }
            }
            SageReading::GradientCoefficient if advantage < 0.0 => {
                Gain::linear(ratio, lambda * advantage)
            }
            _ => Gain::linear(ratio, advantage),
        }
    }
}

impl TryFrom<RawSage> for Sage {
    type Error = RlError;

    fn try_from(raw: RawSage) -> Result<Self, RlError> {
        Self::new(raw.reading).with_bounds(raw.clip, raw.boost, raw.damping)
    }
}

impl From<Sage> for RawSage {
    fn from(sage: Sage) -> Self {
        let Sage { reading, clip, boost, damping } = sage;
        Self { reading, clip, boost, damping }
    }
}
