//! Adam over the weights of a model.

use tch::{COptimizer, Tensor};

use super::NeuralError;
use super::parameters::Parameters;

/// Adam with PyTorch's betas (.9, .999) and epsilon (1e-8).
#[derive(Debug)]
pub(crate) struct Adam {
    optimizer: COptimizer,
    weights: Vec<Tensor>,
    clip_norm: f64,
}

impl Adam {
    /// An optimiser without momentum yet. `clip_norm`: 0 for no limit.
    pub(crate) fn new(
        parameters: &Parameters,
        lr: f64,
        weight_decay: f64,
        clip_norm: f64,
    ) -> Result<Self, NeuralError> {
        let mut optimizer = COptimizer::adam(lr, 0.9, 0.999, weight_decay, 1e-8, false)?;
        let weights: Vec<Tensor> =
            parameters.named().map(|(_, weight)| weight.shallow_clone()).collect();
        for weight in &weights {
            optimizer.add_parameters(weight, 0)?;
        }
        Ok(Self { optimizer, weights, clip_norm })
    }

    /// One step against the gradient of a loss `[]`.
    pub(crate) fn step(&mut self, loss: &Tensor) -> Result<(), NeuralError> {
        self.optimizer.zero_grad()?;
        loss.f_backward()?;
        if self.clip_norm > 0.0 {
            self.clip()?;
        }
        Ok(self.optimizer.step()?)
    }

    /// Scales a gradient that is too long to the limit.
    fn clip(&self) -> Result<(), NeuralError> {
        let _guard = tch::no_grad_guard();
        let gradients: Vec<Tensor> =
            self.weights.iter().map(Tensor::grad).filter(Tensor::defined).collect();
        let norms = gradients.iter().map(Tensor::f_norm).collect::<Result<Vec<_>, _>>()?;
        let norm = Tensor::f_stack(&norms, 0)?.f_norm()?.f_double_value(&[])?;
        if norm > self.clip_norm {
            for mut gradient in gradients {
                let _ = gradient.f_mul_scalar_(self.clip_norm / norm)?;
            }
        }
        Ok(())
    }
}
