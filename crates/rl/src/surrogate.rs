//! Surrogate objectives: value and gradient with respect to the new log-probs.

mod batch;
mod diagnostics;
mod entropy;
mod gbpo;
mod grpo;
mod gspo;
mod kl;
mod normalise;
mod policy_objective;
mod sage;
mod units;

pub use batch::{Diversities, RolloutBatch};
pub(crate) use batch::{check_rollouts, check_tokens};
pub use diagnostics::Diagnostics;
pub use entropy::{EntropyBonus, entropy_bonus};
pub use gbpo::Gbpo;
pub use grpo::{Clip, Grpo};
pub use gspo::Gspo;
pub use kl::{Kl, KlEstimator};
pub use normalise::{Normalise, StepSize};
pub use policy_objective::PolicyObjective;
pub use sage::Sage;
pub use units::{Bound, RolloutView, Term, Token, rollout_objective, token_objective};

use serde::{Deserialize, Serialize};

use crate::RlError;

/// What an update of reinforcement maximises.
///
/// A configuration names it so: `{"grpo": {}}`, `{"gbpo": {}}`, ….
///
/// ```
/// use sidereal_rl::{Clip, Grpo, Surrogate};
///
/// let surrogate = Surrogate::Grpo(Grpo { clip: Clip::new(0.2, 0.28)?, ..Grpo::default() });
/// let text = r#"{"grpo": {"clip": {"low": 0.2, "high": 0.28}}}"#;
/// assert_eq!(serde_json::from_str::<Surrogate>(text)?, surrogate);
/// assert!(serde_json::from_str::<Surrogate>(r#"{"grpo": {"clip_eps": 0.2}}"#).is_err());
/// let gbpo = serde_json::to_string(&serde_json::from_str::<Surrogate>(r#"{"gbpo": {}}"#)?)?;
/// assert_eq!(gbpo, r#"{"gbpo":{}}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Surrogate {
    /// Token ratios; GRPO, Dr. GRPO and DAPO by their settings.
    Grpo(Grpo),
    /// Length-normalised sequence ratios.
    Gspo(Gspo),
    /// Sequence ratios whose gradient is bounded without clipping.
    Gbpo(Gbpo),
    /// Length-normalised sequence ratios with a boosted bound above and one below that follows the
    /// diversity of the rollouts.
    Sage(Sage),
}

impl Surrogate {
    /// Value, gradient and diagnostics of a batch that is all or part of a step of size `step`.
    ///
    /// # Errors
    /// Those of the objective chosen.
    pub fn objective(
        &self,
        batch: &RolloutBatch<'_>,
        step: StepSize,
    ) -> Result<Objective, RlError> {
        self.as_objective().objective(batch, step)
    }

    /// Whether it looks at the log-probs of a reference policy.
    #[must_use]
    pub const fn needs_reference(&self) -> bool {
        match self {
            Self::Grpo(grpo) => grpo.kl.is_some(),
            Self::Gspo(gspo) => gspo.kl.is_some(),
            Self::Gbpo(_) | Self::Sage(_) => false,
        }
    }
}

impl Default for Surrogate {
    /// GRPO with its defaults.
    fn default() -> Self {
        Self::Grpo(Grpo::default())
    }
}

/// What an objective returns for a batch, or for one micro-batch of a step.
///
/// Objectives are **maximised**. With `logp` the tensor of log-probs that carries the graph, a
/// trainer of any framework minimises `-(logp * d_logp).sum()`, whose gradient is that of `-value`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Objective {
    /// The batch's share of the step's objective; shares of a step's micro-batches add up.
    pub value: f64,
    /// `d value / d logp`, `[N]`, in the order of the batch's tokens.
    pub d_logp: Vec<f64>,
    /// Numbers for monitoring.
    pub diagnostics: Diagnostics,
}

impl Objective {
    /// The result of an objective of your own, without diagnostics.
    #[must_use]
    pub fn new(value: f64, d_logp: Vec<f64>) -> Self {
        Self { value, d_logp, diagnostics: Diagnostics::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Segments;

    /// Rollouts of two, one and one tokens with ratios 1.5 and 1, ½, 1; the last has no advantage.
    fn seen(surrogate: &Surrogate) -> Diagnostics {
        let tokens = Segments::from_lens([2, 1, 1]);
        let old = [-2.0; 4];
        let new = [1.5f64, 1.0, 0.5, 1.0].map(|ratio| ratio.ln() - 2.0);
        let reference = new.map(|logp| logp - 0.25);
        let advantages = [1.0, -1.0, 0.0];
        let batch = RolloutBatch::new(&tokens, &new, &old, &advantages).unwrap();
        let batch = batch.with_reference(&reference).unwrap();
        surrogate.objective(&batch, StepSize::of(&tokens)).unwrap().diagnostics
    }

    #[test]
    fn diagnostics_of_token_ratios_are_those_by_hand() {
        let kl = Some(Kl::new(0.1, KlEstimator::K1).unwrap());
        let seen = seen(&Surrogate::Grpo(Grpo { kl, ..Grpo::default() }));
        assert_eq!((seen.units, seen.tokens, seen.rollouts, seen.effective_rollouts), (4, 4, 3, 2));
        assert_eq!((seen.clipped_low, seen.clipped_high), (1, 1));
        let close = |found: f64, expected: f64| (found - expected).abs() < 1e-12;
        assert!(close(seen.clip_fraction_low(), 0.25) && close(seen.clip_fraction_high(), 0.25));
        assert!(close(seen.mean_ratio(), 1.0) && close(seen.max_ratio, 1.5), "{seen:?}");
        // (½ - ln 1.5 - ½ + ln 2) / 4
        assert!(close(seen.approx_kl(), (2f64 / 1.5).ln() / 4.0), "{seen:?}");
        assert!(close(seen.ref_kl(), 0.25) && close(seen.effective_batch(), 2.0 / 3.0), "{seen:?}");
    }

    #[test]
    fn diagnostics_of_rollout_ratios_count_rollouts() {
        // Ratios √1.5, ½ and 1: the square root of a product of two tokens.
        let seen = seen(&Surrogate::Gspo(Gspo::default()));
        assert_eq!((seen.units, seen.tokens, seen.rollouts), (3, 4, 3));
        assert_eq!((seen.clipped_low, seen.clipped_high), (1, 1));
        assert!((seen.ratio_sum - (1.5f64.sqrt() + 1.5)).abs() < 1e-12, "{seen:?}");
        assert!((seen.max_ratio - 1.5f64.sqrt()).abs() < 1e-12, "{seen:?}");
        assert!((seen.old_kl_sum - (2f64 / 1.5).ln()).abs() < 1e-12, "{seen:?}");
    }

    #[test]
    fn nothing_seen_has_shares_of_zero() {
        let none = Diagnostics::default();
        for share in [
            none.clip_fraction_low(),
            none.clip_fraction_high(),
            none.mean_ratio(),
            none.approx_kl(),
            none.ref_kl(),
            none.effective_batch(),
        ] {
            assert!(share.abs() < f64::MIN_POSITIVE, "{share}");
        }
    }

    #[test]
    fn only_a_kl_penalty_needs_a_reference() {
        let kl = Some(Kl::new(0.1, KlEstimator::K3).unwrap());
        let token = |kl| Surrogate::Grpo(Grpo { kl, ..Grpo::default() });
        let sequence = |kl| Surrogate::Gspo(Gspo { kl, ..Gspo::default() });
        for needs in [token(kl), sequence(kl)] {
            assert!(needs.needs_reference(), "{needs:?}");
            let tokens = Segments::uniform(1, 1);
            let batch = RolloutBatch::new(&tokens, &[-1.0], &[-1.0], &[1.0]).unwrap();
            let refused = needs.objective(&batch, StepSize::of(&tokens));
            assert!(matches!(refused, Err(RlError::Missing { what: "ref_logp", .. })));
        }
        let sage = Surrogate::Sage(Sage::default());
        for free in [token(None), sequence(None), Surrogate::Gbpo(Gbpo), sage] {
            assert!(!free.needs_reference(), "{free:?}");
        }
    }

    #[test]
    fn a_step_smaller_than_its_batch_is_refused() {
        let tokens = Segments::from_lens([2, 1]);
        let logp = [-1.0; 3];
        let batch = RolloutBatch::new(&tokens, &logp, &logp, &[1.0, -1.0]).unwrap();
        let batch = batch.with_diversities(&[0.0, 0.0], 0.0).unwrap();
        let sage = Surrogate::Sage(Sage::default());
        for surrogate in
            [Surrogate::default(), Surrogate::Gspo(Gspo::default()), Surrogate::Gbpo(Gbpo), sage]
        {
            let of = |rollouts, tokens| surrogate.objective(&batch, StepSize { rollouts, tokens });
            assert_eq!(of(1, 3), Err(RlError::Step { unit: "rollouts", found: 1, needed: 2 }));
            assert_eq!(of(2, 2), Err(RlError::Step { unit: "tokens", found: 2, needed: 3 }));
            assert!(of(2, 3).is_ok() && of(3, 4).is_ok());
        }
    }

    #[test]
    fn a_value_out_of_range_names_its_rollout() {
        let tokens = Segments::from_lens([1, 0, 2]);
        let (new, old) = ([-1.0, 700.0, -1.0], [-1.0, -9.0, -1.0]);
        let batch = RolloutBatch::new(&tokens, &new, &old, &[1.0, 1.0, -9.0]).unwrap();
        let refused = Grpo::default().objective(&batch, StepSize::of(&tokens));
        let overflow = RlError::Overflow { what: "objective", unit: "rollout", index: 2 };
        assert_eq!(refused, Err(overflow));
    }
}
