//! A matrix that is applied to the last axis, with or without a bias.

use tch::{Kind, Tensor};

use crate::PolicyError;
use crate::lora::Adapter;
use crate::tensor::cast;

/// `x·Wᵀ + b`, plus what an adapter adds.
#[derive(Debug)]
pub(crate) struct Linear {
    /// `[out, in]`.
    pub(crate) weight: Tensor,
    /// `[out]`.
    pub(crate) bias: Option<Tensor>,
    /// The adapter that is trained instead of the matrix, if there is one.
    pub(crate) adapter: Option<Adapter>,
}

impl Linear {
    /// A matrix without a bias.
    pub(crate) const fn plain(weight: Tensor) -> Self {
        Self { weight, bias: None, adapter: None }
    }

    /// The product, computed in `kind`, whatever the element type of the weights is.
    pub(crate) fn apply(&self, x: &Tensor, kind: Kind) -> Result<Tensor, PolicyError> {
        let bias = self.bias.as_ref().map(|bias| cast(bias, kind)).transpose()?;
        let y = x.f_linear(&cast(&self.weight, kind)?, bias.as_ref())?;
        Ok(match &self.adapter {
            None => y,
            Some(adapter) => y + adapter.apply(x, kind)?,
        })
    }
}
