//! The element type that a run computes in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Kind;

/// Element type of matrix products, in training and decoding. Weights, gradients and moments are f32
/// either way, and so are softmax and log-probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Compute {
    /// Single precision.
    #[default]
    F32,
    /// bfloat16: faster where the processor multiplies it (GPUs, CPUs with AMX), with eight bits of
    /// precision.
    Bf16,
}

impl Compute {
    /// The element type of libtorch.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::F32 => Kind::Float,
            Self::Bf16 => Kind::BFloat16,
        }
    }
}
