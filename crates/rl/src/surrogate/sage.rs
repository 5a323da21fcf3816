use serde::{Deserialize, Serialize};

use super::{Bound, Objective, RolloutBatch, StepSize, Term, rollout_objective};
use crate::RlError;

/// Which of its paper's two descriptions SAGE follows; they are not the same objective.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SageReading {
    /// The paper's algorithm 1: a clipped surrogate. A boosted positive or a damped negative loses
    /// its gradient beyond its bound.
    Algorithm1,
    /// The paper's equations 3-6 as its text explains them: bounds on the gradient's coefficient. No
    /// rollout loses its gradient.
    GradientCoefficient,
}

/// SAGE: positives may grow further than negatives shrink, and negatives are pushed further down while
/// they are less diverse than rollouts were before.
///
/// With `r = exp(mean_t (new[t] - old[t]))`, `H` a rollout's diversity, `H̄` its running target and
/// `λ = 1 + β·tanh(max(0, H̄ - H))` (equation 6):
///
/// ```text
/// Algorithm1            J = 1/R · Σ_i min(r·A, clip(r, lo, hi)·A)
///                       A >= 0: hi = 1 + ε_boost
///                       A <  0: lo = 2 - λ
///
/// GradientCoefficient   dJ/d new[t] = 1/(R·len) · A · c
///                       A >= 0: c = min(r, 1 + ε_boost)
///                       A <  0: c = λ·r
/// ```
/// The value of `GradientCoefficient` is the primitive of its gradient: `A·r` up to the cap
/// `h = 1 + ε_boost`, `A·h·(1 + ln(r/h))` beyond, and `A·λ·r` for negative advantages. Open in the
/// paper: its equation 4 with the printed `Φ` does not cap, and equation 5's `Φ` is 1 for every
/// `r >= 0`. Algorithm 1 also names `ε_clip`, as `lo = 1 - ε_clip` for positive advantages and
/// `hi = 1 + ε_clip` for negative ones. There the minimum takes `r·A` whatever `ε_clip` is, so it
/// changes neither value nor gradient and is no setting here.
///
/// Before the first step there is no `H̄`; a target of −∞ makes every `λ` 1. `ε_boost = 0` is the
/// paper's ablation "w/o positive boost", `β = 0` the one without the entropy penalty.
///
/// `H` is the diversity of the slate that a rollout is, "e.g., category entropy" (section 3.4.2), and
/// not the entropy of the policy. Unless `β` is 0, it needs [`RolloutBatch::with_diversities`]. For
/// slates give the number of items with
/// [`RolloutBatch::with_lengths`].
///
/// ```
/// use sidereal_rl::{RolloutBatch, Sage, SageReading, Segments, StepSize};
///
/// // r = e^0.5 = 1.65 lies above 1 + 0.3: capped by one reading, silenced by the other.
/// let tokens = Segments::uniform(1, 1);
/// let batch = RolloutBatch::new(&tokens, &[-0.5], &[-1.0], &[1.0])?.with_diversities(&[1.0], 1.0)?;
/// let step = StepSize::of(&tokens);
/// let algorithm = Sage::new(SageReading::Algorithm1).objective(&batch, step)?;
/// let coefficient = Sage::new(SageReading::GradientCoefficient).objective(&batch, step)?;
/// assert_eq!((algorithm.d_logp[0], coefficient.d_logp[0]), (0.0, 1.3));
/// # Ok::<(), sidereal_rl::RlError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "RawSage", into = "RawSage")]
pub struct Sage {
    reading: SageReading,
    boost: f64,
    damping: f64,
}

#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct RawSage {
    /// Which of the paper's two descriptions is followed.
    reading: SageReading,
    /// How far above 1 the ratio of a rollout with a positive advantage may grow: `ε_boost`. Range `[0, ∞)`.
    #[serde(default = "default_boost")]
    boost: f64,
    /// How strongly low diversity acts on rollouts with negative advantages: `β`. With 0 it does not, and no
    /// categories are needed. Range `[0, 1]`.
    #[serde(default = "default_damping")]
    damping: f64,
}

const fn default_boost() -> f64 {
    0.3
}

const fn default_damping() -> f64 {
    0.5
}

impl Sage {
    /// SAGE in one of its readings, `ε_boost` 0.3, `β` 0.5.
    #[must_use]
    pub const fn new(reading: SageReading) -> Self {
        Self { reading, boost: default_boost(), damping: default_damping() }
    }

    /// The same with another `ε_boost` from 0 on and `β` in `[0, 1]`.
    ///
    /// # Errors
    /// [`RlError::Setting`] outside those ranges.
    pub fn with_bounds(mut self, boost: f64, damping: f64) -> Result<Self, RlError> {
        let accept = |v: f64| v >= 0.0 && v.is_finite();
        self.boost = RlError::setting("boost", boost, "a finite value from 0 on", accept)?;
        let range = "a value in [0, 1]";
        self.damping = RlError::setting("damping", damping, range, |v| (0.0..=1.0).contains(&v))?;
        Ok(self)
    }

    /// Which description of the paper this follows; name it beside results.
    #[must_use]
    pub const fn reading(&self) -> SageReading {
        self.reading
    }

    /// Whether it looks at the diversity of rollouts: unless `β` is 0.
    #[must_use]
    pub fn needs_diversity(&self) -> bool {
        self.damping > 0.0
    }

    /// Value, gradient and diagnostics of a batch that is all or part of a step of size `step`.
    ///
    /// # Errors
    /// [`RlError::Missing`] if `β` is above 0 and the batch has no diversities; [`RlError::Step`] if `step` counts less
    /// than the batch; [`RlError::Overflow`] if the result is beyond an `f64`.
    pub fn objective(
        &self,
        batch: &RolloutBatch<'_>,
        step: StepSize,
    ) -> Result<Objective, RlError> {
        let diversities = batch.diversities();
        if self.needs_diversity() && diversities.is_none() {
            return Err(RlError::Missing { objective: "SAGE", what: "diversities" });
        }
        rollout_objective(batch, step, None, |rollout| {
            let lambda = diversities.map_or(1.0, |diversities| {
                let shortfall = (diversities.target - diversities.values[rollout.index]).max(0.0);
                1.0 + self.damping * shortfall.tanh()
            });
            let term = self.term(rollout.mean_log_ratio(), rollout.advantage, lambda);
            term.per_token(rollout.length)
        })
    }

    /// A rollout's term and its derivative with respect to `ln r`.
    fn term(&self, log_ratio: f64, advantage: f64, lambda: f64) -> Term {
        let ratio = log_ratio.exp();
        let (low, high) = (2.0 - lambda, 1.0 + self.boost);
        match self.reading {
            SageReading::Algorithm1 if advantage > 0.0 && ratio > high => {
                Term::new(ratio, high * advantage, 0.0).at(Bound::High)
            }
            SageReading::Algorithm1 if advantage < 0.0 && ratio < low => {
                Term::new(ratio, low * advantage, 0.0).at(Bound::Low)
            }
            SageReading::GradientCoefficient if advantage > 0.0 && ratio > high => {
                let slope = high * advantage;
                let value = slope * (1.0 + log_ratio - high.ln());
                Term::new(ratio, value, slope).at(Bound::High)
            }
            SageReading::GradientCoefficient if advantage < 0.0 => {
                Term::linear(ratio, lambda * advantage)
            }
            _ => Term::linear(ratio, advantage),
        }
    }
}

impl TryFrom<RawSage> for Sage {
    type Error = RlError;

    fn try_from(raw: RawSage) -> Result<Self, RlError> {
        Self::new(raw.reading).with_bounds(raw.boost, raw.damping)
    }
}

impl From<Sage> for RawSage {
    fn from(sage: Sage) -> Self {
        let Sage { reading, boost, damping } = sage;
        Self { reading, boost, damping }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Segments;

    /// Gradient of one rollout of one token with this ratio, advantage and diversity.
    fn slope(sage: Sage, ratio: f64, advantage: f64, diversity: f64, target: f64) -> f64 {
        let tokens = Segments::uniform(1, 1);
        let (new, old, advantages) = ([ratio.ln() - 1.0], [-1.0], [advantage]);
        let batch = RolloutBatch::new(&tokens, &new, &old, &advantages).unwrap();
        let diversities = [diversity];
        let batch = batch.with_diversities(&diversities, target).unwrap();
        sage.objective(&batch, StepSize::of(&tokens)).unwrap().d_logp[0]
    }

    #[test]
    fn without_a_boost_positives_are_clipped_at_the_old_policy() {
        let sage = Sage::new(SageReading::Algorithm1).with_bounds(0.0, 0.5).unwrap();
        assert!((slope(sage, 1.0, 2.0, 1.0, 1.0) - 2.0).abs() < 1e-12);
        assert!(slope(sage, 1.01, 2.0, 1.0, 1.0).abs() < 1e-12);
        assert!(Sage::new(SageReading::Algorithm1).with_bounds(-0.1, 0.5).is_err());
        assert!(Sage::new(SageReading::Algorithm1).with_bounds(f64::NAN, 0.5).is_err());
    }

    #[test]
    fn the_first_step_has_no_diversity_target() {
        let sage = Sage::new(SageReading::Algorithm1);
        // λ = 1 bounds negatives at a ratio of 1; a target above the diversity moves the bound down.
        for (target, expected) in [(f64::NEG_INFINITY, 0.0), (5.0, -0.9)] {
            let found = slope(sage, 0.9, -1.0, 0.1, target);
            assert!((found - expected).abs() < 1e-12, "target {target}: {found}");
        }
    }

    /// Value, clipped below, clipped above of a rollout of one token; its diversity lacks nothing.
    fn seen(sage: Sage, ratio: f64, advantage: f64) -> (f64, usize, usize) {
        let tokens = Segments::uniform(1, 1);
        let (new, old, advantages) = ([ratio.ln() - 1.0], [-1.0], [advantage]);
        let batch = RolloutBatch::new(&tokens, &new, &old, &advantages).unwrap();
        let batch = batch.with_diversities(&[1.0], 1.0).unwrap();
        let objective = sage.objective(&batch, StepSize::of(&tokens)).unwrap();
        let seen = objective.diagnostics;
        assert!((seen.ratio_sum - ratio).abs() < 1e-12 && seen.units == 1);
        (objective.value, seen.clipped_low, seen.clipped_high)
    }

    #[test]
    fn bounds_act_above_positives_and_below_negatives() {
        let sage = |reading| Sage::new(reading).with_bounds(0.5, 0.5).unwrap();
        let algorithm = sage(SageReading::Algorithm1);
        let coefficient = sage(SageReading::GradientCoefficient);
        for (sage, ratio, advantage, value, low, high) in [
            (algorithm, 2.0, 2.0, 3.0, 0, 1),
            (algorithm, 0.5, 2.0, 1.0, 0, 0),
            (algorithm, 2.0, -2.0, -4.0, 0, 0),
            (algorithm, 0.5, -2.0, -2.0, 1, 0),
            (algorithm, 2.0, 0.0, 0.0, 0, 0),
            // 1.5 · 2 · (1 + ln 2 - ln 1.5)
            (coefficient, 2.0, 2.0, 3.0 * (1.0 + (2f64 / 1.5).ln()), 0, 1),
            (coefficient, 0.5, -2.0, -1.0, 0, 0),
        ] {
            let found = seen(sage, ratio, advantage);
            assert!((found.0 - value).abs() < 1e-12, "{ratio} {advantage}: {found:?}");
            assert_eq!((found.1, found.2), (low, high), "{ratio} {advantage}");
        }
    }

    #[test]
    fn a_diversity_below_its_target_pulls_negatives_harder() {
        // λ = 1 + ½ · tanh(1): the coefficient of negatives under the second reading.
        let sage = Sage::new(SageReading::GradientCoefficient);
        let lambda = 1.0 + 0.5 * 1f64.tanh();
        assert!((slope(sage, 0.75, -2.0, 1.0, 2.0) + 1.5 * lambda).abs() < 1e-12);
        assert!((slope(sage, 0.75, -2.0, 2.0, 1.0) + 1.5).abs() < 1e-12);
    }

    #[test]
    fn each_reading_has_the_bounds_of_the_paper_by_default() {
        let sage: Sage = serde_json::from_str(r#"{"reading": "algorithm1"}"#).unwrap();
        assert_eq!(sage, Sage::new(SageReading::Algorithm1).with_bounds(0.3, 0.5).unwrap());
        assert_eq!(sage.reading(), SageReading::Algorithm1);
        let other = Sage::new(SageReading::GradientCoefficient).with_bounds(0.0, 1.0).unwrap();
        let text = serde_json::to_string(&other).unwrap();
        assert_eq!(text, r#"{"reading":"gradient_coefficient","boost":0.0,"damping":1.0}"#);
        for damping in [-0.1, 1.1, f64::NAN] {
            assert!(Sage::new(SageReading::Algorithm1).with_bounds(0.3, damping).is_err());
        }
        assert!(Sage::new(SageReading::Algorithm1).with_bounds(f64::INFINITY, 0.5).is_err());
    }

    #[test]
    fn only_a_penalty_on_low_diversity_needs_diversities() {
        let tokens = Segments::uniform(1, 1);
        let batch = RolloutBatch::new(&tokens, &[-1.1], &[-1.0], &[-1.0]).unwrap();
        let of = |sage: Sage| sage.objective(&batch, StepSize::of(&tokens));
        let sage = Sage::new(SageReading::Algorithm1);
        assert!(matches!(of(sage), Err(RlError::Missing { what: "diversities", .. })));
        // Without the penalty λ is 1, whatever the diversity: a negative below a ratio of 1 is clipped.
        let undamped = sage.with_bounds(0.3, 0.0).unwrap();
        assert!(sage.needs_diversity() && !undamped.needs_diversity());
        assert_eq!(of(undamped).unwrap().d_logp, [0.0]);
        let low = batch.with_diversities(&[0.0], 9.0).unwrap();
        assert_eq!(undamped.objective(&low, StepSize::of(&tokens)).unwrap().d_logp, [0.0]);
    }
}
