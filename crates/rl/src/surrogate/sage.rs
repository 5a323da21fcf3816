use serde::{Deserialize, Serialize};

use super::{Bound, Objective, RolloutBatch, StepSize, Term, rollout_objective};
use crate::RlError;

/// SAGE: positives may grow further than negatives shrink, and negatives are pushed further down while
/// they are less diverse than rollouts were before.
///
/// With `r = exp(mean_t (new[t] - old[t]))` (equation 8), `H` a rollout's diversity, `H̄` its running
/// target and `λ = 1 + β·tanh(max(0, H̄ - H))` (equation 6), as in the paper's algorithm 1:
///
/// ```text
/// J = 1/R · Σ_i min(r·A, clip(r, lo, hi)·A)
///     A >= 0: hi = 1 + ε_boost
///     A <  0: lo = 2 - λ
/// ```
/// A boosted positive or a negative loses its gradient beyond its bound. Algorithm 1 also names
/// `ε_clip`, as `lo = 1 - ε_clip` for positive advantages and `hi = 1 + ε_clip` for negative ones. There
/// the minimum takes `r·A` whatever `ε_clip` is, so it changes neither value nor gradient and is no
/// setting here.
///
/// The paper's equations 2 to 5 are not this objective, and are not here: equation 2 has no minimum, and
/// equations 3 to 5 give a gradient `r/Φ·A` whose `Φ`, as printed, makes the coefficient `r·(1 + ε_boost)`
/// beyond the boost, where the text says that it stays `1 + ε_boost`, and `r` for every negative, so that
/// `λ` never acts.
///
/// Before the first step there is no `H̄`; a target of −∞ makes every `λ` 1. `ε_boost = 0` is the
/// paper's ablation "w/o positive boost", `β = 0` the one without the entropy penalty.
///
/// `H` is the diversity of the slate that a rollout is, "e.g., category entropy" (section 3.4.2), and
/// not the entropy of the policy. Unless `β` is 0, it needs [`RolloutBatch::with_diversities`]. For
/// slates give the number of items with [`RolloutBatch::with_lengths`].
///
/// ```
/// use sidereal_rl::{RolloutBatch, Sage, Segments, StepSize};
///
/// let tokens = Segments::uniform(1, 1);
/// let step = StepSize::of(&tokens);
/// // r = e^-0.2 = 0.82 of a negative, whose diversity is 0 or 1 nat below the mean of before.
/// let batch = RolloutBatch::new(&tokens, &[-1.2], &[-1.0], &[-1.0])?;
/// let slope = |diversity: f64| -> Result<f64, sidereal_rl::RlError> {
///     Ok(Sage::default().objective(&batch.with_diversities(&[diversity], 2.0)?, step)?.d_logp[0])
/// };
/// assert_eq!(slope(2.0)?, 0.0); // as diverse as before: clipped below 1
/// assert!(slope(1.0)? < -0.8); // less diverse: pushed down to 2 - λ = 0.62
/// # Ok::<(), sidereal_rl::RlError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "RawSage", into = "RawSage")]
pub struct Sage {
    boost: f64,
    diversity_temperature: f64,
}

#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct RawSage {
    /// How far above 1 the ratio of a rollout with a positive advantage may grow: `ε_boost`. Range `[0, ∞)`.
    #[serde(default = "default_boost")]
    boost: f64,
    /// How strongly low diversity acts on rollouts with negative advantages: the paper's diversity temperature
    /// `β`. With 0 it does not act, and no categories are needed. Range `[0, 1]`.
    #[serde(default = "default_diversity_temperature")]
    diversity_temperature: f64,
}

const fn default_boost() -> f64 {
    0.3
}

const fn default_diversity_temperature() -> f64 {
    0.5
}

impl Default for Sage {
    /// The paper's settings (4.1.4): `ε_boost` 0.3, `β` 0.5.
    fn default() -> Self {
        Self { boost: default_boost(), diversity_temperature: default_diversity_temperature() }
    }
}

impl Sage {
    /// The objective with `ε_boost` from 0 on and a diversity temperature `β` in `[0, 1]`.
    ///
    /// # Errors
    /// [`RlError::Setting`] outside those ranges.
    pub fn new(boost: f64, diversity_temperature: f64) -> Result<Self, RlError> {
        let accept = |v: f64| v >= 0.0 && v.is_finite();
        let boost = RlError::setting("boost", boost, "a finite value from 0 on", accept)?;
        let accept = |v: f64| (0.0..=1.0).contains(&v);
        let (name, range) = ("diversity_temperature", "a value in [0, 1]");
        let diversity_temperature = RlError::setting(name, diversity_temperature, range, accept)?;
        Ok(Self { boost, diversity_temperature })
    }

    /// Whether it looks at the diversity of rollouts: unless `β` is 0.
    #[must_use]
    pub fn needs_diversity(&self) -> bool {
        self.diversity_temperature > 0.0
    }

    /// Value, gradient and diagnostics of a batch that is all or part of a step of size `step`.
    ///
    /// # Errors
    /// [`RlError::Missing`] if `β` is above 0 and the batch has no diversities; [`RlError::Step`] if
    /// `step` counts less than the batch; [`RlError::Overflow`] if the result is beyond an `f64`.
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
                1.0 + self.diversity_temperature * shortfall.tanh()
            });
            let term = self.term(rollout.mean_log_ratio(), rollout.advantage, lambda);
            term.per_token(rollout.length)
        })
    }

    /// A rollout's term and its derivative with respect to `ln r`.
    fn term(&self, log_ratio: f64, advantage: f64, lambda: f64) -> Term {
        let ratio = log_ratio.exp();
        let (low, high) = (2.0 - lambda, 1.0 + self.boost);
        if advantage > 0.0 && ratio > high {
            Term::new(ratio, high * advantage, 0.0).at(Bound::High)
        } else if advantage < 0.0 && ratio < low {
            Term::new(ratio, low * advantage, 0.0).at(Bound::Low)
        } else {
            Term::linear(ratio, advantage)
        }
    }
}

impl TryFrom<RawSage> for Sage {
    type Error = RlError;

    fn try_from(raw: RawSage) -> Result<Self, RlError> {
        Self::new(raw.boost, raw.diversity_temperature)
    }
}

impl From<Sage> for RawSage {
    fn from(sage: Sage) -> Self {
        let Sage { boost, diversity_temperature } = sage;
        Self { boost, diversity_temperature }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Segments;

    /// Value, gradient, clipped below, clipped above of one rollout of one token.
    fn seen(
        sage: Sage,
        (ratio, advantage): (f64, f64),
        (diversity, target): (f64, f64),
    ) -> (f64, f64, usize, usize) {
        let tokens = Segments::uniform(1, 1);
        let (new, old, advantages) = ([ratio.ln() - 1.0], [-1.0], [advantage]);
        let batch = RolloutBatch::new(&tokens, &new, &old, &advantages).unwrap();
        let diversities = [diversity];
        let batch = batch.with_diversities(&diversities, target).unwrap();
        let objective = sage.objective(&batch, StepSize::of(&tokens)).unwrap();
        let seen = objective.diagnostics;
        assert!((seen.ratio_sum - ratio).abs() < 1e-12 && seen.units == 1);
        (objective.value, objective.d_logp[0], seen.clipped_low, seen.clipped_high)
    }

    #[test]
    fn bounds_act_above_positives_and_below_negatives() {
        let sage = Sage::new(0.5, 0.5).unwrap();
        for (ratio, advantage, value, slope, low, high) in [
            (2.0, 2.0, 3.0, 0.0, 0, 1),
            (1.4, 2.0, 2.8, 2.8, 0, 0),
            (0.5, 2.0, 1.0, 1.0, 0, 0),
            (2.0, -2.0, -4.0, -4.0, 0, 0),
            (0.5, -2.0, -2.0, 0.0, 1, 0),
            (2.0, 0.0, 0.0, 0.0, 0, 0),
        ] {
            let found = seen(sage, (ratio, advantage), (1.0, 1.0));
            let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
            assert!(
                close(found.0, value) && close(found.1, slope),
                "{ratio} {advantage}: {found:?}"
            );
            assert_eq!((found.2, found.3), (low, high), "{ratio} {advantage}");
        }
    }

    #[test]
    fn without_a_boost_positives_are_clipped_at_the_old_policy() {
        let sage = Sage::new(0.0, 0.5).unwrap();
        let slope = |ratio| seen(sage, (ratio, 2.0), (1.0, 1.0)).1;
        assert!((slope(1.0) - 2.0).abs() < 1e-12);
        assert!(slope(1.01).abs() < 1e-12);
    }

    #[test]
    fn a_diversity_below_its_target_lets_negatives_fall_further() {
        // 2 - λ = 1 - ½ · tanh(1)
        let low = 1.0 - 0.5 * 1f64.tanh();
        let slope = |ratio, diversities| seen(Sage::default(), (ratio, -2.0), diversities).1;
        assert!((slope(low + 1e-9, (1.0, 2.0)) + 2.0 * low).abs() < 1e-8);
        assert!(slope(low - 1e-9, (1.0, 2.0)).abs() < 1e-12);
        // At its target or above it, negatives are bounded at the old policy.
        for diversities in [(2.0, 2.0), (3.0, 2.0)] {
            assert!(slope(1.0 - 1e-9, diversities).abs() < 1e-12);
            assert!((slope(1.0, diversities) + 2.0).abs() < 1e-12);
        }
    }

    #[test]
    fn the_first_step_has_no_diversity_target() {
        // λ = 1 bounds negatives at a ratio of 1; a target above the diversity moves the bound down.
        for (target, expected) in [(f64::NEG_INFINITY, 0.0), (5.0, -0.9)] {
            let found = seen(Sage::default(), (0.9, -1.0), (0.1, target)).1;
            assert!((found - expected).abs() < 1e-12, "target {target}: {found}");
        }
    }

    #[test]
    fn settings_are_those_of_the_paper_by_default_and_checked_when_read() {
        let sage: Sage = serde_json::from_str("{}").unwrap();
        assert_eq!(sage, Sage::new(0.3, 0.5).unwrap());
        let other = Sage::new(0.0, 1.0).unwrap();
        let text = serde_json::to_string(&other).unwrap();
        assert_eq!(serde_json::from_str::<Sage>(&text).unwrap(), other);
        for (boost, temperature) in
            [(-0.1, 0.5), (f64::NAN, 0.5), (f64::INFINITY, 0.5), (0.3, -0.1), (0.3, 1.1)]
        {
            assert!(Sage::new(boost, temperature).is_err(), "{boost} {temperature}");
        }
        assert!(serde_json::from_str::<Sage>(r#"{"reading": "algorithm1"}"#).is_err());
        assert!(serde_json::from_str::<Sage>(r#"{"diversity_temperature": 2}"#).is_err());
    }

    #[test]
    fn only_a_penalty_on_low_diversity_needs_diversities() {
        let tokens = Segments::uniform(1, 1);
        let batch = RolloutBatch::new(&tokens, &[-1.1], &[-1.0], &[-1.0]).unwrap();
        let of = |sage: Sage| sage.objective(&batch, StepSize::of(&tokens));
        let sage = Sage::default();
        assert!(matches!(of(sage), Err(RlError::Missing { what: "diversities", .. })));
        // Without the penalty λ is 1, whatever the diversity: a negative below a ratio of 1 is clipped.
        let without = Sage::new(0.3, 0.0).unwrap();
        assert!(sage.needs_diversity() && !without.needs_diversity());
        assert!(of(without).unwrap().d_logp[0].abs() < 1e-12);
        let low = batch.with_diversities(&[0.0], 9.0).unwrap();
        let found = without.objective(&low, StepSize::of(&tokens)).unwrap();
        assert!(found.d_logp[0].abs() < 1e-12);
    }
}
