use super::{Gbpo, Grpo, Gspo, Objective, RolloutBatch, Sage, StepSize, Surrogate};
use crate::RlError;

/// What a trainer needs from an objective. For an objective of your own, implement this trait or
/// pass a closure.
///
/// A trainer needs three answers before a step (which log-probs and diversities to compute) and one
/// call for each micro-batch. The objectives of this crate and [`Surrogate`] implement it;
/// `laws::SurrogateLaws` (feature `proptest`) tests any implementation.
/// [`token_objective`](crate::token_objective) and [`rollout_objective`](crate::rollout_objective)
/// turn the formula of one unit into value, gradient and diagnostics.
///
/// If your objective cannot use its input, it returns [`RlError::Refused`].
///
/// ```
/// use sidereal_rl::{
///     Normalise, Objective, PolicyObjective, RlError, RolloutBatch, Segments, StepSize, Term,
///     token_objective,
/// };
///
/// /// `J = 1/R · Σ_i 1/len · Σ_t min(sg r[t], cap)·A·new[t]`: truncated importance weights.
/// struct TruncatedWeights {
///     cap: f64,
/// }
///
/// impl PolicyObjective for TruncatedWeights {
///     fn name(&self) -> &str {
///         "truncated weights"
///     }
///
///     fn objective(&self, batch: &RolloutBatch<'_>, step: StepSize) -> Result<Objective, RlError> {
///         token_objective(batch, step, Normalise::Sequence, None, |token| {
///             let ratio = token.log_ratio().exp();
///             let slope = ratio.min(self.cap) * token.advantage;
///             Term::new(ratio, slope * token.logp, slope)
///         })
///     }
/// }
///
/// // A trainer holds `&dyn PolicyObjective`.
/// let objective: &dyn PolicyObjective = &TruncatedWeights { cap: 2.0 };
/// assert!(objective.needs_old_logp() && !objective.needs_reference());
/// let tokens = Segments::uniform(1, 1);
/// let batch = RolloutBatch::new(&tokens, &[-1.0], &[-3.0], &[0.5])?;
/// assert_eq!(objective.objective(&batch, StepSize::of(&tokens))?.d_logp, [1.0]); // e² is cut to 2
/// # Ok::<(), RlError>(())
/// ```
pub trait PolicyObjective {
    /// Value, gradient and diagnostics of a batch that is all or part of a step of size `step`.
    ///
    /// The objective is maximised; the values of a step's micro-batches add up to the step's. The
    /// batch has what the `needs_` methods ask for.
    ///
    /// # Errors
    /// [`RlError`] if the batch or its numbers do not allow an answer.
    fn objective(&self, batch: &RolloutBatch<'_>, step: StepSize) -> Result<Objective, RlError>;

    /// Its name in logs and messages; by default the name of the type.
    fn name(&self) -> &str {
        std::any::type_name::<Self>()
    }

    /// Whether it reads [`RolloutBatch::ref_logp`]. If so, a trainer keeps a reference policy and
    /// also passes groups without advantages.
    fn needs_reference(&self) -> bool {
        false
    }

    /// Whether it reads [`RolloutBatch::old_logp`]. If not, a trainer may pass the new log-probs
    /// instead and save a pass of the policy before several updates. Then all ratios in the
    /// diagnostics are 1, and a limit on the divergence within a step has no effect.
    fn needs_old_logp(&self) -> bool {
        true
    }

    /// Whether it reads [`RolloutBatch::diversities`].
    fn needs_diversity(&self) -> bool {
        false
    }
}

impl<F> PolicyObjective for F
where
    F: Fn(&RolloutBatch<'_>, StepSize) -> Result<Objective, RlError>,
{
    fn objective(&self, batch: &RolloutBatch<'_>, step: StepSize) -> Result<Objective, RlError> {
        self(batch, step)
    }
}

/// Implements the trait for pointers to an objective.
macro_rules! pass_on {
    ($($pointer:ty),*) => {$(
        impl PolicyObjective for $pointer {
            fn objective(
                &self,
                batch: &RolloutBatch<'_>,
                step: StepSize,
            ) -> Result<Objective, RlError> {
                (**self).objective(batch, step)
            }

            fn name(&self) -> &str {
                (**self).name()
            }

            fn needs_reference(&self) -> bool {
                (**self).needs_reference()
            }

            fn needs_old_logp(&self) -> bool {
                (**self).needs_old_logp()
            }

            fn needs_diversity(&self) -> bool {
                (**self).needs_diversity()
            }
        }
    )*};
}

pass_on!(&dyn PolicyObjective, Box<dyn PolicyObjective + '_>);

/// Implements the trait by the type's own method `objective`.
macro_rules! shipped {
    ($type:ty, $name:literal, $reference:expr, $diversity:expr) => {
        impl PolicyObjective for $type {
            fn objective(
                &self,
                batch: &RolloutBatch<'_>,
                step: StepSize,
            ) -> Result<Objective, RlError> {
                <$type>::objective(self, batch, step)
            }

            fn name(&self) -> &str {
                $name
            }

            fn needs_reference(&self) -> bool {
                let reference: fn(&$type) -> bool = $reference;
                reference(self)
            }

            fn needs_diversity(&self) -> bool {
                let diversity: fn(&$type) -> bool = $diversity;
                diversity(self)
            }
        }
    };
}

shipped!(Grpo, "GRPO", |grpo| grpo.kl.is_some(), |_| false);
shipped!(Gspo, "GSPO", |gspo| gspo.kl.is_some(), |_| false);
shipped!(Gbpo, "GBPO", |_| false, |_| false);
shipped!(Sage, "SAGE", |_| false, Sage::needs_diversity);

impl Surrogate {
    /// The objective chosen.
    #[must_use]
    pub fn as_objective(&self) -> &dyn PolicyObjective {
        match self {
            Self::Grpo(grpo) => grpo,
            Self::Gspo(gspo) => gspo,
            Self::Gbpo(gbpo) => gbpo,
            Self::Sage(sage) => sage,
        }
    }
}

impl PolicyObjective for Surrogate {
    fn objective(&self, batch: &RolloutBatch<'_>, step: StepSize) -> Result<Objective, RlError> {
        self.as_objective().objective(batch, step)
    }

    fn name(&self) -> &str {
        self.as_objective().name()
    }

    fn needs_reference(&self) -> bool {
        self.as_objective().needs_reference()
    }

    fn needs_diversity(&self) -> bool {
        self.as_objective().needs_diversity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kl, KlEstimator, Segments};

    #[test]
    fn an_objective_says_what_it_looks_at() {
        let kl = Some(Kl::new(0.1, KlEstimator::K3).unwrap());
        let sage = Sage::default();
        let without = Sage::new(0.3, 0.0).unwrap();
        // name, reference, diversity
        for (surrogate, name, reference, diversity) in [
            (Surrogate::Grpo(Grpo { kl, ..Grpo::default() }), "GRPO", true, false),
            (Surrogate::Grpo(Grpo::default()), "GRPO", false, false),
            (Surrogate::Gspo(Gspo { kl, ..Gspo::default() }), "GSPO", true, false),
            (Surrogate::Gbpo(Gbpo), "GBPO", false, false),
            (Surrogate::Sage(sage), "SAGE", false, true),
            (Surrogate::Sage(without), "SAGE", false, false),
        ] {
            let boxed: Box<dyn PolicyObjective> = Box::new(surrogate);
            for objective in [&surrogate as &dyn PolicyObjective, &boxed, &&*boxed] {
                assert_eq!(objective.name(), name);
                assert_eq!(objective.needs_reference(), reference, "{name}");
                assert_eq!(objective.needs_diversity(), diversity, "{name}");
                assert!(objective.needs_old_logp(), "{name}");
            }
        }
    }

    #[test]
    fn a_closure_is_an_objective() {
        let constant = |batch: &RolloutBatch<'_>, _: StepSize| {
            Ok(Objective::new(0.5, vec![0.0; batch.num_tokens()]))
        };
        let objective: &dyn PolicyObjective = &constant;
        assert!(!objective.needs_reference() && !objective.needs_diversity());
        let tokens = Segments::uniform(1, 2);
        let batch = RolloutBatch::new(&tokens, &[-1.0; 2], &[-1.0; 2], &[1.0]).unwrap();
        let found = objective.objective(&batch, StepSize::of(&tokens)).unwrap();
        assert_eq!((found.value, found.d_logp), (0.5, vec![0.0; 2]));
    }
}
