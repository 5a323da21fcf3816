//! AdamW, learning-rate schedules and gradient clipping.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sidereal_policy::{PolicyError, Weights};
use tch::{Kind, Tensor};

/// Settings of AdamW with a cosine schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimConfig {
    /// Highest learning rate.
    pub lr: f64,
    /// Share of the run over which the rate rises linearly from 0. Range `[0, 1)`.
    pub warmup: f64,
    /// Rate at the end as a share of the highest; the way there is a half cosine.
    pub final_lr: f64,
    /// Decay rates of the gradient's first and second moments.
    pub betas: (f64, f64),
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay of matrices; vectors (norms) have none.
    pub weight_decay: f64,
    /// Longest gradient; longer ones are scaled to this Euclidean norm.
    pub clip_norm: f64,
}

impl Default for OptimConfig {
    fn default() -> Self {
        Self {
            lr: 3e-4,
            warmup: 0.05,
            final_lr: 0.0,
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.01,
            clip_norm: 1.0,
        }
    }
}

impl OptimConfig {
    /// Learning rate of 0-based `step` of `total`: linear warm-up, then half a cosine.
    #[must_use]
    pub fn lr_at(&self, step: usize, total: usize) -> f64 {
        let warmup = self.warmup * total as f64;
        let at = step as f64;
        if at < warmup {
            return self.lr * (at + 1.0) / (warmup + 1.0);
        }
        let progress = ((at - warmup) / (total as f64 - warmup).max(1.0)).min(1.0);
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
        self.lr * (self.final_lr + (1.0 - self.final_lr) * cosine)
    }
}

/// AdamW (Loshchilov & Hutter, arXiv:1711.05101) with bias correction, as in PyTorch.
///
/// ```text
/// p ← p·(1 − lr·wd)
/// m ← β₁m + (1−β₁)g     v ← β₂v + (1−β₂)g²
/// p ← p − lr/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + ε)
/// ```
#[derive(Debug)]
pub struct AdamW {
    config: OptimConfig,
    moments: BTreeMap<String, (Tensor, Tensor)>,
    steps: i32,
}

impl AdamW {
    /// A fresh optimiser for these weights.
    #[must_use]
    pub fn new(config: OptimConfig, weights: &Weights) -> Self {
        let moments = weights
            .iter()
            .map(|(name, weight)| {
                let zeros = || weight.detach().zeros_like();
                (name.clone(), (zeros(), zeros()))
            })
            .collect();
        Self { config, moments, steps: 0 }
    }

    /// Updates `weights` from their gradients, which it clears, and returns the gradients'
    /// Euclidean norm before clipping. A norm that is not finite changes nothing.
    ///
    /// # Errors
    /// [`PolicyError::Torch`].
    pub fn step(&mut self, weights: &Weights, lr: f64) -> Result<f64, PolicyError> {
        let _guard = tch::no_grad_guard();
        let grads: Vec<(&String, &Tensor, Tensor)> = weights
            .iter()
            .map(|(name, weight)| (name, weight, weight.grad()))
            .filter(|(.., grad)| grad.defined())
            .collect();
        let squares: Vec<Tensor> =
            grads.iter().map(|(.., grad)| grad.square().sum(Kind::Double)).collect();
        let norm = if squares.is_empty() {
            0.0
        } else {
            Tensor::f_stack(&squares, 0)?.sum(Kind::Double).double_value(&[]).sqrt()
        };
        if !norm.is_finite() {
            clear(weights);
            return Ok(norm);
        }
        self.steps += 1;
        let scale = if norm > self.config.clip_norm { self.config.clip_norm / norm } else { 1.0 };
        let (beta1, beta2) = self.config.betas;
        let correction1 = 1.0 - beta1.powi(self.steps);
        let correction2 = (1.0 - beta2.powi(self.steps)).sqrt();
        for (name, weight, grad) in grads {
            let Some((first, second)) = self.moments.get_mut(name) else { continue };
            let grad = grad * scale;
            let mut weight = weight.detach();
            if weight.dim() > 1 && self.config.weight_decay > 0.0 {
                let _ = weight.f_mul_scalar_(1.0 - lr * self.config.weight_decay)?;
            }
            let _ = first.f_lerp_(&grad, 1.0 - beta1)?;
            let _ = second.f_mul_scalar_(beta2)?;
            let _ = second.f_add_(&(grad.square() * (1.0 - beta2)))?;
            let mut update = second.sqrt();
            let _ = update.f_div_scalar_(correction2)?.f_add_scalar_(self.config.eps)?;
            let update = &*first / update * (lr / correction1);
            let _ = weight.f_sub_(&update)?;
        }
        clear(weights);
        Ok(norm)
    }

    /// The state as named tensors: `m.NAME`, `v.NAME` and `steps`.
    #[must_use]
    pub fn state(&self) -> Weights {
        let mut state =
            Weights::from([("steps".to_owned(), Tensor::from_slice(&[i64::from(self.steps)]))]);
        for (name, (first, second)) in &self.moments {
            state.insert(format!("m.{name}"), first.shallow_clone());
            state.insert(format!("v.{name}"), second.shallow_clone());
        }
        state
    }

    /// Takes over a state of the same weights.
    ///
    /// # Errors
    /// [`PolicyError::MissingTensor`] names what `state` lacks; [`PolicyError::Torch`] for another
    /// shape.
    pub fn restore(&mut self, state: &Weights) -> Result<(), PolicyError> {
        let get = |name: String| {
            state
                .get(&name)
                .ok_or(PolicyError::MissingTensor { path: "optimiser state".into(), name })
        };
        let steps = Vec::<i64>::try_from(get("steps".into())?)?;
        self.steps = steps.first().and_then(|n| i32::try_from(*n).ok()).unwrap_or(0);
        for (name, (first, second)) in &mut self.moments {
            first.f_copy_(get(format!("m.{name}"))?)?;
            second.f_copy_(get(format!("v.{name}"))?)?;
        }
        Ok(())
    }
}

fn clear(weights: &Weights) {
    for weight in weights.values() {
        weight.shallow_clone().zero_grad();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_then_falls_to_its_end() {
        let config = OptimConfig { lr: 1.0, warmup: 0.1, final_lr: 0.1, ..Default::default() };
        let rates: Vec<f64> = (0..100).map(|step| config.lr_at(step, 100)).collect();
        assert!(rates[..10].is_sorted() && rates[10..].iter().rev().is_sorted());
        assert!((rates[10] - 1.0).abs() < 1e-9);
        assert!(rates[99] < 0.11 && rates[99] >= 0.1);
    }

    #[test]
    fn first_steps_equal_those_computed_by_hand() {
        // One weight p = 1, gradients 2 then 1, lr 0.1, no decay (a vector):
        // t = 1: m̂ = 2, v̂ = 4, p = 1 − 0.1·2/2 = 0.9
        // t = 2: m = 0.9·0.2 + 0.1 = 0.28, m̂ = 0.28/0.19; v = 0.999·0.004 + 0.001 = 0.004996,
        //        v̂ = 0.004996/0.001999
        let config = OptimConfig { clip_norm: 1e9, ..Default::default() };
        let weights =
            Weights::from([("p".to_owned(), Tensor::from_slice(&[1f32]).set_requires_grad(true))]);
        let mut optim = AdamW::new(config, &weights);
        for (factor, expected) in
            [(2.0, 0.9), (1.0, 0.9 - 0.1 * (0.28 / 0.19) / (0.004_996_f64 / 0.001_999).sqrt())]
        {
            (&weights["p"] * factor).sum(Kind::Float).backward();
            optim.step(&weights, 0.1).unwrap();
            assert!((weights["p"].double_value(&[0]) - expected).abs() < 1e-5);
        }
    }

    #[test]
    fn a_gradient_that_is_not_finite_changes_nothing() {
        let weights =
            Weights::from([("p".to_owned(), Tensor::from_slice(&[1f32]).set_requires_grad(true))]);
        let mut optim = AdamW::new(OptimConfig::default(), &weights);
        (&weights["p"] * f64::NAN).sum(Kind::Float).backward();
        assert!(optim.step(&weights, 0.1).unwrap().is_nan());
        assert_eq!(weights["p"].double_value(&[0]).to_bits(), 1f64.to_bits());
    }
}
