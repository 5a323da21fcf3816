use serde::{Deserialize, Serialize};

use super::{Bound, Objective, RolloutBatch, StepSize, Term, rollout_objective};
use crate::RlError;

/// Gradient-bounded policy optimisation: no clipping, a denominator that bounds the gradient.
///
/// ```text
/// π = exp(Σ_t new[t]),  π_old = exp(Σ_t old[t])          probabilities of whole rollouts
/// d = max(π_old, sg π)        for A >= 0
///     max(π_old, 1 - sg π)    for A < 0                  sg: taken as a constant
/// J = 1/R · Σ_i π/d · A,      dJ/d new[t] = 1/R · π/d · A
/// ```
/// OneRec-V2, [arXiv:2508.20900](https://arxiv.org/abs/2508.20900). For `A >= 0` the coefficient never
/// exceeds `A`; for `A < 0` it is at most `π/(1 - π)`, the bound of binary cross-entropy. Every rollout
/// keeps a gradient. Computed from logarithms, so probabilities below the smallest float keep their
/// ratio. Log-probs above 0 (`π > 1`) leave `1 - π` negative, and `π_old` the denominator.
///
/// The diagnostics count a bound that replaced `π_old` as clipping on that side.
///
/// ```
/// use sidereal_rl::{Gbpo, RolloutBatch, Segments, StepSize};
///
/// // π rose from 0.1 to 0.4: GRPO's ratio would be 4, here it is bounded by 1.
/// let tokens = Segments::uniform(1, 1);
/// let (new, old) = ([0.4f64.ln()], [0.1f64.ln()]);
/// let rise = RolloutBatch::new(&tokens, &new, &old, &[1.0])?;
/// let objective = Gbpo.objective(&rise, StepSize::of(&tokens))?;
/// assert!((objective.d_logp[0] - 1.0).abs() < 1e-12);
/// // A < 0: 0.4 / max(0.1, 0.6) = 2/3.
/// let fall = RolloutBatch::new(&tokens, &new, &old, &[-1.0])?;
/// assert!((Gbpo.objective(&fall, StepSize::of(&tokens))?.value + 2.0 / 3.0).abs() < 1e-12);
/// # Ok::<(), sidereal_rl::RlError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(from = "RawGbpo", into = "RawGbpo")]
pub struct Gbpo;

/// A table without settings: the form in which configurations hold it, as they do the others.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct RawGbpo {}

impl From<RawGbpo> for Gbpo {
    fn from(RawGbpo {}: RawGbpo) -> Self {
        Self
    }
}

impl From<Gbpo> for RawGbpo {
    fn from(_: Gbpo) -> Self {
        Self {}
    }
}

impl Gbpo {
    /// Value, gradient and diagnostics of a batch that is all or part of a step of size `step`.
    ///
    /// # Errors
    /// [`RlError::Step`] if `step` counts less than the batch; [`RlError::Overflow`] if the result
    /// is beyond an `f64`.
    pub fn objective(
        &self,
        batch: &RolloutBatch<'_>,
        step: StepSize,
    ) -> Result<Objective, RlError> {
        rollout_objective(batch, step, None, |rollout| {
            let (new, old): (f64, f64) = (rollout.logp.iter().sum(), rollout.old_logp.iter().sum());
            let advantage = rollout.advantage;
            let bound = if advantage >= 0.0 { new } else { ln_one_minus_exp(new) };
            let term = Term::linear((new - old.max(bound)).exp(), advantage);
            match advantage {
                _ if bound <= old || advantage == 0.0 => term,
                _ if advantage > 0.0 => term.at(Bound::High),
                _ => term.at(Bound::Low),
            }
        })
    }
}

/// `ln(1 - e^x)`; minus infinity where `e^x >= 1`.
fn ln_one_minus_exp(x: f64) -> f64 {
    if x >= 0.0 {
        f64::NEG_INFINITY
    } else if x > -std::f64::consts::LN_2 {
        (-x.exp_m1()).ln()
    } else {
        (-x.exp()).ln_1p()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Segments;

    #[test]
    fn a_bound_that_replaces_the_old_probability_counts_as_clipping() {
        // π and π_old of each rollout; the bound is π for positives, 1 - π for negatives.
        let cases = [
            (0.4, 0.1, 1.0, 1.0, (0, 1)),
            (0.1, 0.4, 1.0, 0.25, (0, 0)),
            (0.4, 0.1, -1.0, 0.4 / 0.6, (1, 0)),
            (0.4, 0.8, -1.0, 0.5, (0, 0)),
            (0.9, 0.05, -1.0, 9.0, (1, 0)),
            (0.4, 0.1, 0.0, 1.0, (0, 0)),
        ];
        for (new, old, advantage, ratio, clipped) in cases {
            let tokens = Segments::uniform(1, 1);
            let (new, old, advantages) = ([f64::ln(new)], [f64::ln(old)], [advantage]);
            let batch = RolloutBatch::new(&tokens, &new, &old, &advantages).unwrap();
            let objective = Gbpo.objective(&batch, StepSize::of(&tokens)).unwrap();
            let seen = objective.diagnostics;
            assert!((seen.ratio_sum - ratio).abs() < 1e-12, "{new:?} {old:?}: {seen:?}");
            assert!((objective.value - ratio * advantage).abs() < 1e-12);
            assert_eq!((seen.clipped_low, seen.clipped_high), clipped, "{new:?} {old:?}");
        }
    }

    #[test]
    fn one_minus_a_probability_keeps_its_digits_at_both_ends() {
        // 1 - e^-1e-10 = 1e-10 - 5e-21; ln(1 - e^-40) = -e^-40 to first order.
        assert!((ln_one_minus_exp(-1e-10) - (1e-10f64.ln() - 5e-11)).abs() < 1e-14);
        assert!((ln_one_minus_exp(-40.0) / -(-40f64).exp() - 1.0).abs() < 1e-14);
        assert!((ln_one_minus_exp(0.5f64.ln()) - 0.5f64.ln()).abs() < 1e-15);
        assert!([0.0, 1.0].map(ln_one_minus_exp).iter().all(|ln| ln.is_infinite() && *ln < 0.0));
    }
}
