//! Surrogate objectives: value and gradient with respect to the new log-probs.

mod batch;
mod diagnostics;
mod grpo;
mod kl;
mod normalise;

pub use batch::RolloutBatch;
pub use diagnostics::Diagnostics;
pub use grpo::{Clip, Grpo};
pub use kl::{Kl, KlEstimator};
pub use normalise::{Normalise, StepSize};

use crate::RlError;

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
    /// What to watch.
    pub diagnostics: Diagnostics,
}

/// A term of an objective and its derivative with respect to a log-prob or log-ratio.
#[derive(Debug, Clone, Copy)]
struct Gain {
    value: f64,
    slope: f64,
}

impl Gain {
    /// `r·A`, whose derivative with respect to `ln r` is itself; exactly 0 for a zero advantage,
    /// even where the ratio overflows.
    fn linear(ratio: f64, advantage: f64) -> Self {
        let value = if advantage == 0.0 { 0.0 } else { ratio * advantage };
        Self { value, slope: value }
    }
}

/// A rollout's share of the value, refused where it overflows; its gradient then does too.
fn finite(share: f64, rollout: usize) -> Result<f64, RlError> {
    if share.is_finite() {
        Ok(share)
    } else {
        Err(RlError::Overflow { what: "objective", unit: "rollout", index: rollout })
    }
}
