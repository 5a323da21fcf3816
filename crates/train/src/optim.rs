//! AdamW and gradient clipping.

mod fused;
mod schedule;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sidereal_policy::{PolicyError, Weights};
use tch::{Kind, Tensor};

use crate::TrainError;
use crate::checkpoint::same_shape;

use self::fused::{Factors, Part, Pieces};
pub use self::schedule::Schedule;

/// Settings of AdamW and of its learning rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct OptimConfig {
    /// Highest learning rate. Range `(0, ∞)`.
    pub lr: f64,
    /// Share of the run over which the rate rises linearly from 0. Range `[0, 1)`.
    pub warmup: f64,
    /// How the rate changes after the warm-up.
    pub schedule: Schedule,
    /// Rate at the end as a share of the highest. Range `[0, 1]`.
    pub final_lr: f64,
    /// Decay rates of the gradient's first and second moments. Range `[0, 1)`.
    pub betas: (f64, f64),
    /// Added to the root of the second moment. Range `(0, ∞)`.
    pub eps: f64,
    /// Decoupled weight decay of matrices; vectors (norms) have none. Range `[0, ∞)`.
    pub weight_decay: f64,
    /// The largest Euclidean norm of the gradient; a larger gradient is scaled down to it.
    /// Range `(0, ∞)`.
    pub clip_norm: f64,
}

impl Default for OptimConfig {
    fn default() -> Self {
        Self {
            lr: 3e-4,
            warmup: 0.05,
            schedule: Schedule::Cosine,
            final_lr: 0.0,
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.01,
            clip_norm: 1.0,
        }
    }
}

/// AdamW (Loshchilov & Hutter, arXiv:1711.05101) with bias correction, as in PyTorch.
///
/// ```text
/// p ← p·(1 − lr·wd)
/// m ← β₁m + (1−β₁)g     v ← β₂v + (1−β₂)g²
/// p ← p − lr/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + ε)
/// ```
/// It keeps moments only for the weights that it trains. f32 weights on the CPU are updated in
/// one pass over memory, with the same bits for any number of threads; others by libtorch's
/// operations.
#[derive(Debug)]
pub struct AdamW {
    config: OptimConfig,
    moments: BTreeMap<String, Moments>,
    steps: i32,
}

/// Running means of a weight's gradients.
#[derive(Debug)]
struct Moments {
    first: Tensor,
    second: Tensor,
}

impl AdamW {
    /// A fresh optimiser for those of `weights` that require gradients.
    #[must_use]
    pub fn new(config: OptimConfig, weights: &Weights) -> Self {
        let moments = weights
            .iter()
            .filter(|(_, weight)| weight.requires_grad())
            .map(|(name, weight)| {
                let zeros = || weight.detach().zeros_like();
                (name.clone(), Moments { first: zeros(), second: zeros() })
            })
            .collect();
        Self { config, moments, steps: 0 }
    }

    /// Updates `weights` from their gradients, which it clears, and returns the gradients'
    /// Euclidean norm before clipping. If the norm is not finite, nothing changes.
    ///
    /// # Errors
    /// [`PolicyError::Torch`].
    pub fn step(&mut self, weights: &Weights, lr: f64) -> Result<f64, PolicyError> {
        let _guard = tch::no_grad_guard();
        let mut parts = self.parts(weights);
        let norm = match Pieces::new(&mut parts) {
            Some(pieces) => {
                let norm = pieces.sum_of_squares().sqrt();
                if norm.is_finite() {
                    pieces.update(self.factors(norm, lr));
                }
                norm
            }
            None => self.step_plain(&mut parts, lr)?,
        };
        clear(weights);
        Ok(norm)
    }

    /// The weights to update: all that have moments and a gradient.
    fn parts(&self, weights: &Weights) -> Vec<Part> {
        let mut parts = Vec::new();
        for (name, weight) in weights {
            let (grad, Some(moments)) = (weight.grad(), self.moments.get(name)) else { continue };
            if grad.defined() {
                parts.push(Part {
                    weight: weight.detach(),
                    grad,
                    first: moments.first.shallow_clone(),
                    second: moments.second.shallow_clone(),
                    decays: weight.dim() > 1,
                });
            }
        }
        parts
    }

    /// Counts a step and returns its factors.
    #[allow(clippy::cast_possible_truncation, reason = "computed in f64, applied in f32")]
    fn factors(&mut self, norm: f64, lr: f64) -> Factors {
        self.steps += 1;
        let OptimConfig { clip_norm, betas: (beta1, beta2), weight_decay, eps, .. } = self.config;
        Factors {
            scale: if norm > clip_norm { (clip_norm / norm) as f32 } else { 1.0 },
            keep: (1.0 - lr * weight_decay) as f32,
            beta1: beta1 as f32,
            beta2: beta2 as f32,
            rate: (lr / (1.0 - beta1.powi(self.steps))) as f32,
            root_scale: (1.0 / (1.0 - beta2.powi(self.steps)).sqrt()) as f32,
            eps: eps as f32,
        }
    }

    /// The step by libtorch's operations, on any device and in any element type.
    fn step_plain(&mut self, parts: &mut [Part], lr: f64) -> Result<f64, PolicyError> {
        let squares: Vec<Tensor> =
            parts.iter().map(|part| part.grad.square().sum(Kind::Double)).collect();
        let norm = if squares.is_empty() {
            0.0
        } else {
            Tensor::f_stack(&squares, 0)?.sum(Kind::Double).double_value(&[]).sqrt()
        };
        if !norm.is_finite() {
            return Ok(norm);
        }
        let factors = self.factors(norm, lr);
        let [scale, keep, beta1, beta2, rate, root_scale, eps] = [
            factors.scale,
            factors.keep,
            factors.beta1,
            factors.beta2,
            factors.rate,
            factors.root_scale,
            factors.eps,
        ]
        .map(f64::from);
        for Part { weight, grad, first, second, decays } in parts {
            let grad = &*grad * scale;
            if *decays {
                let _ = weight.f_mul_scalar_(keep)?;
            }
            let _ = first.f_lerp_(&grad, 1.0 - beta1)?;
            let _ = second.f_mul_scalar_(beta2)?.f_add_(&(grad.square() * (1.0 - beta2)))?;
            let mut root = second.sqrt();
            let _ = root.f_mul_scalar_(root_scale)?.f_add_scalar_(eps)?;
            let _ = weight.f_sub_(&(&*first / root * rate))?;
        }
        Ok(norm)
    }

    /// The state as named tensors: `m.NAME`, `v.NAME` and `steps`.
    #[must_use]
    pub fn state(&self) -> Weights {
        let mut state =
            Weights::from([("steps".to_owned(), Tensor::from_slice(&[i64::from(self.steps)]))]);
        for (name, moments) in &self.moments {
            state.insert(format!("m.{name}"), moments.first.shallow_clone());
            state.insert(format!("v.{name}"), moments.second.shallow_clone());
        }
        state
    }

    /// Loads a state of the same weights.
    ///
    /// # Errors
    /// [`PolicyError::MissingTensor`] names what `state` lacks, [`PolicyError::TensorShape`] a
    /// tensor of the wrong shape; [`TrainError::OptimiserSteps`] for an impossible number of steps.
    /// Then nothing changes.
    pub fn restore(&mut self, state: &Weights) -> Result<(), TrainError> {
        let get = |name: String| {
            state
                .get(&name)
                .ok_or(PolicyError::MissingTensor { path: "optimiser state".into(), name })
        };
        let found = Vec::<i64>::try_from(get("steps".into())?)?;
        let steps = match *found.as_slice() {
            [steps] => i32::try_from(steps).ok().filter(|steps| *steps >= 0),
            _ => None,
        };
        let Some(steps) = steps else { return Err(TrainError::OptimiserSteps { found }) };
        let mut copies = Vec::new();
        for (name, Moments { first, second, .. }) in &self.moments {
            for (moment, name) in [(first, format!("m.{name}")), (second, format!("v.{name}"))] {
                let source = get(name.clone())?;
                same_shape(&name, source, moment)?;
                copies.push((moment.shallow_clone(), source));
            }
        }
        for (mut moment, source) in copies {
            moment.f_copy_(source)?;
        }
        self.steps = steps;
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
    use rand::{Rng as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;

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
    fn long_gradients_are_shortened_and_matrices_decay_as_computed_by_hand() {
        let config = OptimConfig {
            clip_norm: 1.0,
            weight_decay: 0.3,
            betas: (0.8, 0.9),
            eps: 0.05,
            ..Default::default()
        };
        let leaf = |value: f32, shape: &[i64]| {
            Tensor::from_slice(&[value]).view(shape).set_requires_grad(true)
        };
        let weights = Weights::from([
            ("matrix".to_owned(), leaf(2.0, &[1, 1])),
            ("vector".to_owned(), leaf(-1.0, &[1])),
        ]);
        let mut optim = AdamW::new(config, &weights);
        let (lr, mut by_hand, mut m, mut v) = (0.1, [2.0f64, -1.0], [0.0; 2], [0.0; 2]);
        // Norms of 5, 0.5 and 2: the first and the last are too long.
        for (turn, gradients) in [[3.0f64, 4.0], [-0.3, 0.4], [2.0, 0.0]].into_iter().enumerate() {
            for (weight, gradient) in weights.values().zip(gradients) {
                (weight * gradient).sum(Kind::Float).backward();
            }
            let norm = gradients[0].hypot(gradients[1]);
            assert!((optim.step(&weights, lr).unwrap() - norm).abs() < 1e-6);
            let steps = i32::try_from(turn).unwrap() + 1;
            by_hand[0] *= 1.0 - lr * 0.3;
            for (at, gradient) in gradients.into_iter().enumerate() {
                let gradient = gradient / norm.max(1.0);
                m[at] = 0.8 * m[at] + 0.2 * gradient;
                v[at] = 0.9 * v[at] + 0.1 * gradient * gradient;
                let (mean, square) =
                    (m[at] / (1.0 - 0.8f64.powi(steps)), v[at] / (1.0 - 0.9f64.powi(steps)));
                by_hand[at] -= lr * mean / (square.sqrt() + 0.05);
            }
            for (weight, expected) in weights.values().zip(by_hand) {
                let found = weight.sum(Kind::Double).double_value(&[]);
                assert!((found - expected).abs() < 1e-6, "step {steps}: {found} {expected}");
            }
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

    /// Weights of several sizes after some steps with drawn gradients, one of them too long.
    fn run(mut step: impl FnMut(&mut AdamW, &Weights)) -> Vec<f32> {
        // A generator of its own: libtorch's is shared with the tests that run beside this one.
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut draw = |shape: &[i64]| {
            let count = shape.iter().product::<i64>();
            let values: Vec<f32> = (0..count).map(|_| rng.gen_range(-2.0..2.0)).collect();
            Tensor::from_slice(&values).view(shape)
        };
        let shapes: [&[i64]; 4] = [&[7], &[130, 257], &[2, 3, 4], &[0]];
        let weights: Weights = shapes
            .iter()
            .enumerate()
            .map(|(i, shape)| (format!("w{i}"), draw(shape).set_requires_grad(true)))
            .collect();
        let config = OptimConfig { weight_decay: 0.1, ..Default::default() };
        let mut optim = AdamW::new(config, &weights);
        for turn in 0..5 {
            for weight in weights.values() {
                let factor = draw(&weight.size()) * if turn == 2 { 1.0 } else { 1e-3 };
                (weight * factor).sum(Kind::Float).backward();
            }
            step(&mut optim, &weights);
        }
        let state = optim.state();
        let tensors = weights.values().chain(state.values().filter(|t| t.kind() == Kind::Float));
        tensors.flat_map(|t| Vec::<f32>::try_from(t.detach().view(-1)).unwrap()).collect()
    }

    #[test]
    fn one_pass_over_memory_equals_the_operations() {
        let fused = run(|optim, weights| {
            assert!(Pieces::new(&mut optim.parts(weights)).is_some());
            optim.step(weights, 0.01).unwrap();
        });
        let plain = run(|optim, weights| {
            let _guard = tch::no_grad_guard();
            optim.step_plain(&mut optim.parts(weights), 0.01).unwrap();
            clear(weights);
        });
        assert_eq!(fused.len(), plain.len());
        let worst = fused.iter().zip(&plain).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-6, "{worst}");
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let [one, three] = [1, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            run(|optim, weights| {
                let mut parts = optim.parts(weights);
                let pieces = Pieces::new(&mut parts).unwrap();
                let norm = pool.install(|| pieces.sum_of_squares()).sqrt();
                let factors = optim.factors(norm, 0.01);
                pool.install(|| pieces.update(factors));
                clear(weights);
            })
        });
        assert!(one.iter().zip(&three).all(|(a, b)| a.to_bits() == b.to_bits()));
    }

    #[test]
    fn a_damaged_optimiser_state_is_an_error_and_changes_nothing() {
        let weights = Weights::from([(
            "p".to_owned(),
            Tensor::from_slice(&[1f32, 2.0]).set_requires_grad(true),
        )]);
        let mut optim = AdamW::new(OptimConfig::default(), &weights);
        (&weights["p"] * 2.0).sum(Kind::Float).backward();
        optim.step(&weights, 0.1).unwrap();
        let good: Weights =
            optim.state().iter().map(|(name, t)| (name.clone(), t.copy())).collect();
        let with = |name: &str, tensor: Tensor| {
            let mut state: Weights = good.iter().map(|(n, t)| (n.clone(), t.copy())).collect();
            state.insert(name.to_owned(), tensor);
            state
        };
        let long = i64::from(i32::MAX) + 1;
        for steps in [&[-1][..], &[long], &[], &[1, 2]] {
            let error = optim.restore(&with("steps", Tensor::from_slice(steps))).unwrap_err();
            assert!(error.to_string().contains(&format!("{steps:?}")), "{error}");
        }
        let error = optim.restore(&with("v.p", Tensor::from_slice(&[9f32]))).unwrap_err();
        assert!(error.to_string().contains("`v.p` has the shape [1]"), "{error}");
        for (name, tensor) in &good {
            assert!(optim.state()[name].equal(tensor), "{name}");
        }
        optim.restore(&with("steps", Tensor::from_slice(&[7i64]))).unwrap();
        assert_eq!(optim.steps, 7);
    }

    #[test]
    fn frozen_weights_stay_and_have_no_moments() {
        let ones = || Tensor::ones([4, 2], (Kind::Float, tch::Device::Cpu));
        let weights = Weights::from([
            ("trained".to_owned(), ones().set_requires_grad(true)),
            ("frozen".to_owned(), ones()),
        ]);
        let mut optim = AdamW::new(OptimConfig::default(), &weights);
        (&weights["trained"] * &weights["frozen"] * 3.0).sum(Kind::Float).backward();
        let norm = optim.step(&weights, 0.1).unwrap();
        assert!((norm - 72f64.sqrt()).abs() < 1e-9, "√(8 · 3²), found {norm}");
        assert_eq!(optim.state()["m.trained"].size(), [4, 2]);
        assert!(!optim.state().contains_key("m.frozen"));
        assert!(bool::try_from(weights["trained"].ne(1.0).all()).unwrap());
        assert!(weights["frozen"].equal(&ones()));
        assert!(f64::try_from(weights["trained"].grad().abs().max()).unwrap() < 1e-12);
    }
}
