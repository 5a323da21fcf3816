//! AdamW over one buffer of parameters.

use tch::{Device, Kind, Tensor};

use super::params::Settings;
use crate::QuantizerError;

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPS: f64 = 1e-8;

/// AdamW (Loshchilov and Hutter, [arXiv:1711.05101](https://arxiv.org/abs/1711.05101)) with bias
/// correction, as in PyTorch.
///
/// ```text
/// g ← g · min(1, clip / ‖g‖)          p ← p (1 - lr·wd)
/// m ← β₁m + (1-β₁)g                   v ← β₂v + (1-β₂)g²
/// p ← p - lr/(1-β₁ᵗ) · m / (√v/√(1-β₂ᵗ) + ε)
/// ```
#[derive(Debug)]
pub(super) struct AdamW {
    /// `[P]`, moments of the gradient; the second is kept divided by `1 - β₂`.
    pub(super) first: Tensor,
    pub(super) second: Tensor,
    scratch: Tensor,
}

impl AdamW {
    pub(super) fn new(count: i64, device: Device) -> Result<Self, QuantizerError> {
        let zeros = || Tensor::f_zeros([count], (Kind::Float, device));
        Ok(Self { first: zeros()?, second: zeros()?, scratch: zeros()? })
    }

    /// Update number `step`, from 1; returns the gradient's norm `[]` before clipping. Overwrites
    /// `gradient`.
    pub(super) fn step(
        &mut self,
        settings: &Settings,
        step: usize,
        parameters: &mut Tensor,
        gradient: &mut Tensor,
    ) -> Result<Tensor, QuantizerError> {
        let norm = gradient.f_norm()?;
        // Reading the norm would wait for a GPU; there the product costs almost nothing.
        let device = gradient.device();
        let is_short = || (0.0..=settings.clip_norm).contains(&norm.double_value(&[]));
        if device != Device::Cpu || !is_short() {
            let scale = norm.f_reciprocal()?.f_mul_scalar(settings.clip_norm)?.f_clamp_max(1.0)?;
            let _ = gradient.f_mul_(&scale)?;
        }
        let step = i32::try_from(step).unwrap_or(i32::MAX);
        let rate = settings.learning_rate / (1.0 - BETA1.powi(step));
        // p + m / (-√(v / (1-β₂)) · root - eps), both factors already divided by the rate.
        let root = ((1.0 - BETA2) / (1.0 - BETA2.powi(step))).sqrt() / rate;
        let eps = EPS / rate;
        if settings.weight_decay > 0.0 {
            let keep = 1.0 - settings.learning_rate * settings.weight_decay;
            let _ = parameters.f_mul_scalar_(keep)?;
        }
        let _ = self.first.f_lerp_(gradient, 1.0 - BETA1)?;
        let _ = self.second.f_mul_scalar_(BETA2)?.f_addcmul_(gradient, gradient)?;
        let _ = self.second.f_sqrt_out(&self.scratch)?;
        let scalar = |value: f64| Tensor::f_full([], value, (Kind::Float, device));
        let _ = scalar(-eps)?.f_addcmul_out(&self.scratch, &self.scratch, &scalar(-root)?)?;
        let _ = parameters.f_addcdiv_(&self.first, &self.scratch)?;
        Ok(norm)
    }
}
