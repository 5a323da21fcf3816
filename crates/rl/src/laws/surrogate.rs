use std::fmt;

use proptest::strategy::Strategy;

use super::{Violation, check, close};
use crate::strategies::{self, LogpCase};
use crate::{Objective, PolicyObjective, StepSize};

/// Laws for an objective: any [`PolicyObjective`], one of your own or a closure too.
///
/// Every batch carries reference log-probs and diversities, whether the objective needs them or not.
///
/// ```
/// use sidereal_rl::Grpo;
/// use sidereal_rl::laws::SurrogateLaws;
///
/// let laws = SurrogateLaws::new(Grpo::dapo());
/// laws.gradient_is_derivative()?;
/// laws.additive_over_micro_batches()?;
/// # Ok::<(), sidereal_rl::laws::Violation>(())
/// ```
pub struct SurrogateLaws<O> {
    objective: O,
}

impl<O: PolicyObjective> SurrogateLaws<O> {
    /// Laws for `objective`, over ragged rollouts, empty ones among them.
    pub const fn new(objective: O) -> Self {
        Self { objective }
    }

    fn run(&self, case: &LogpCase, step: StepSize) -> Result<Objective, String> {
        let batch = case.batch().map_err(|error| error.to_string())?;
        let objective =
            self.objective.objective(&batch, step).map_err(|error| format!("refused: {error}"))?;
        if objective.d_logp.len() == case.logp.len() {
            Ok(objective)
        } else {
            Err(format!("{} derivatives for {} tokens", objective.d_logp.len(), case.logp.len()))
        }
    }

    /// Any floats at all give a finite value and gradient or an error, never a panic.
    ///
    /// # Errors
    /// A [`Violation`] with the smallest counter-example.
    pub fn finite_or_refused(&self) -> Result<(), Violation> {
        check("finite_or_refused", &strategies::any_logp_case(6), |case| {
            let Ok(batch) = case.batch() else {
                return Ok(());
            };
            let Ok(objective) = self.objective.objective(&batch, StepSize::of(&case.tokens)) else {
                return Ok(());
            };
            if !objective.value.is_finite() {
                return Err(format!("the value is {}", objective.value));
            }
            match objective.d_logp.iter().position(|slope| !slope.is_finite()) {
                Some(at) => {
                    Err(format!("the derivative of token {at} is {}", objective.d_logp[at]))
                }
                None => Ok(()),
            }
        })
    }

    /// The gradient agrees with central differences of the value, except at kinks.
    ///
    /// Does not apply to objectives with constants taken from the policy itself (GBPO).
    ///
    /// # Errors
    /// A [`Violation`] with the smallest counter-example.
    pub fn gradient_is_derivative(&self) -> Result<(), Violation> {
        check("gradient_is_derivative", &strategies::logp_case(4), |case| {
            let step = StepSize::of(&case.tokens);
            let objective = self.run(case, step)?;
            for (at, slope) in objective.d_logp.iter().enumerate() {
                let value_at = |h: f64| -> Result<f64, String> {
                    let mut moved = case.clone();
                    moved.logp[at] += h;
                    Ok(self.run(&moved, step)?.value)
                };
                let h = 1e-5;
                let (below, above) = (value_at(-h)?, value_at(h)?);
                let (left, right) = ((objective.value - below) / h, (above - objective.value) / h);
                let scale = slope.abs().max(1.0);
                let kink = (left - right).abs() > 1e-3 * scale;
                let central = (above - below) / (2.0 * h);
                if !kink && (central - slope).abs() > 1e-6 * scale {
                    return Err(format!(
                        "token {at}: derivative {slope}, central difference {central}"
                    ));
                }
            }
            Ok(())
        })
    }

    /// The values of a step's micro-batches add up to the value of the step, and their gradients
    /// together are its gradient.
    ///
    /// # Errors
    /// A [`Violation`] with the smallest counter-example.
    pub fn additive_over_micro_batches(&self) -> Result<(), Violation> {
        let cases = strategies::logp_case(8).prop_flat_map(|case| {
            let rollouts = case.advantages.len();
            (proptest::strategy::Just(case), 0..=rollouts)
        });
        check("additive_over_micro_batches", &cases, |(case, cut)| {
            let step = StepSize::of(&case.tokens);
            let whole = self.run(case, step)?;
            let first = self.run(&case.part(0..*cut), step)?;
            let second = self.run(&case.part(*cut..case.advantages.len()), step)?;
            let sum = first.value + second.value;
            if !close(sum, whole.value) {
                return Err(format!("cut at {cut}: the parts sum to {sum}, not {}", whole.value));
            }
            let parts = first.d_logp.iter().chain(&second.d_logp);
            match parts.zip(&whole.d_logp).position(|(part, whole)| !close(*part, *whole)) {
                Some(at) => Err(format!("cut at {cut}: the derivative of token {at} changes")),
                None => Ok(()),
            }
        })
    }

    /// If new, old and reference policy agree, the gradient of every token has the sign of its
    /// rollout's advantage.
    ///
    /// # Errors
    /// A [`Violation`] with the smallest counter-example.
    pub fn on_policy_gradient_follows_advantage(&self) -> Result<(), Violation> {
        let cases = strategies::logp_case(6).prop_map(|mut case| {
            case.old_logp.clone_from(&case.logp);
            case.ref_logp.clone_from(&case.logp);
            case
        });
        check("on_policy_gradient_follows_advantage", &cases, |case| {
            let objective = self.run(case, StepSize::of(&case.tokens))?;
            for (range, advantage) in case.tokens.iter().zip(&case.advantages) {
                for (at, slope) in range.clone().zip(&objective.d_logp[range]) {
                    if slope.partial_cmp(&0.0) != advantage.partial_cmp(&0.0) {
                        return Err(format!(
                            "token {at}: advantage {advantage}, derivative {slope}"
                        ));
                    }
                }
            }
            Ok(())
        })
    }
}

impl<O> fmt::Debug for SurrogateLaws<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SurrogateLaws").finish_non_exhaustive()
    }
}
