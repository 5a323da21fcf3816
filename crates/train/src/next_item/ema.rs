//! Running averages of weights.

use sidereal_policy::Weights;
use tch::Tensor;

use crate::TrainError;
use crate::checkpoint::{copies, copy_into, prefixed, without_prefix};

const PREFIX: &str = "ema.";

/// Averages of weights over the steps. Newer weights count more.
///
/// ```text
/// w̄ ← d·w̄ + (1 − d)·w     d = min(decay, (1 + k)/(10 + k)) at step k, from 1
/// ```
#[derive(Debug)]
pub(super) struct Ema {
    weights: Weights,
    averages: Weights,
    decay: f64,
    steps: usize,
}

impl Ema {
    /// Averages that begin with the current values of these weights.
    pub(super) fn new(weights: &Weights, decay: f64) -> Self {
        let share = |(name, weight): (&String, &Tensor)| (name.clone(), weight.detach());
        let weights: Weights = weights.iter().map(share).collect();
        Self { averages: copies(&weights), weights, decay, steps: 0 }
    }

    /// Adds the current weights to the averages.
    pub(super) fn update(&mut self) -> Result<(), TrainError> {
        let _guard = tch::no_grad_guard();
        self.steps += 1;
        let step = self.steps as f64;
        // Without averaging, the first steps are not averaged either.
        let decay = self.decay.min((1.0 + step) / (10.0 + step));
        for (average, weight) in self.averages.values_mut().zip(self.weights.values()) {
            let _ = average.f_lerp_(weight, 1.0 - decay)?;
        }
        Ok(())
    }

    /// Exchanges the averages and the weights.
    pub(super) fn swap(&self) -> Result<(), TrainError> {
        let _guard = tch::no_grad_guard();
        let kept = copies(&self.weights);
        copy_into(&self.weights, &self.averages)?;
        copy_into(&self.averages, &kept)
    }

    /// The averages as tensors, for a checkpoint.
    pub(super) fn tensors(&self) -> Vec<(String, Tensor)> {
        prefixed(PREFIX, &self.averages).collect()
    }

    /// Goes on from the averages of a checkpoint that was written after `steps` steps.
    pub(super) fn restore(&mut self, tensors: &Weights, steps: usize) -> Result<(), TrainError> {
        self.steps = steps;
        copy_into(&self.averages, &without_prefix(PREFIX, tensors))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_warm_up_and_change_places_with_their_weights() {
        let weights = Weights::from([("w".to_owned(), Tensor::from_slice(&[1f32]))]);
        let mut ema = Ema::new(&weights, 0.25);
        let at = |tensor: &Tensor| tensor.double_value(&[0]);
        let _ = weights["w"].shallow_clone().fill_(2.0);
        // d = min(0.25, 2/11): 2/11 · 1 + 9/11 · 2
        ema.update().unwrap();
        assert!((at(&ema.averages["w"]) - 20.0 / 11.0).abs() < 1e-6);
        // d = min(0.25, 3/12) = 0.25
        ema.update().unwrap();
        let average = 0.25 * 20.0 / 11.0 + 0.75 * 2.0;
        assert!((at(&ema.averages["w"]) - average).abs() < 1e-6);
        ema.swap().unwrap();
        assert!((at(&weights["w"]) - average).abs() < 1e-6);
        ema.swap().unwrap();
        assert!((at(&weights["w"]) - 2.0).abs() < 1e-6);
    }
}
