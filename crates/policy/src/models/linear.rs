//! A matrix that is applied to the last axis, with or without a bias.

use tch::{Kind, Tensor};

use crate::PolicyError;

/// `x·Wᵀ + b`.
#[derive(Debug)]
pub(crate) struct Linear {
    /// `[out, in]`.
    pub(crate) weight: Tensor,
    /// `[out]`.
    pub(crate) bias: Option<Tensor>,
}

impl Linear {
    /// A matrix without a bias.
    pub(crate) const fn plain(weight: Tensor) -> Self {
        Self { weight, bias: None }
    }

    /// The product, computed in `kind` whatever the weights are stored in.
    pub(crate) fn apply(&self, x: &Tensor, kind: Kind) -> Result<Tensor, PolicyError> {
        let bias = self.bias.as_ref().map(|bias| cast(bias, kind)).transpose()?;
        Ok(x.f_linear(&cast(&self.weight, kind)?, bias.as_ref())?)
    }
}

/// The tensor itself, or a copy in another element type through which gradients flow.
pub(crate) fn cast(tensor: &Tensor, kind: Kind) -> Result<Tensor, PolicyError> {
    Ok(if tensor.kind() == kind { tensor.shallow_clone() } else { tensor.f_to_kind(kind)? })
}
