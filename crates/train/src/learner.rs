//! A policy in training: its trained weights, its optimiser, and the best weights so far.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sidereal_policy::{Constraint, Trainable, Weights};

use crate::TrainError;
use crate::checkpoint::{Checkpoints, copies, copy_into, prefixed, without_prefix};
use crate::optim::{AdamW, OptimConfig};
use crate::seed::step_seed;
use crate::trainable::{TrainableConfig, freeze};

/// The part that supervised, online and preference training share.
#[derive(Debug)]
pub(crate) struct Learner<P> {
    model: P,
    trained: Weights,
    optim: AdamW,
    best: Weights,
}

impl<P: Trainable> Learner<P> {
    /// A policy that has learned nothing yet; `seed` is that of new adapters.
    pub(crate) fn new(
        model: P,
        trainable: &TrainableConfig,
        optim: &OptimConfig,
        constraint: &Constraint,
        seed: u64,
    ) -> Result<Self, TrainError> {
        let model = trainable.prepare(model, constraint, step_seed(seed, 0))?;
        let trained = model.trained();
        let optim = AdamW::new(optim.clone(), &trained);
        let best = copies(&trained);
        Ok(Self { model, trained, optim, best })
    }

    /// A policy that has learned nothing yet, of which all weights are trained.
    pub(crate) fn whole(model: P, optim: &OptimConfig) -> Self {
        model.require_grad_of(&|_| true);
        let trained = model.trained();
        let optim = AdamW::new(optim.clone(), &trained);
        let best = copies(&trained);
        Self { model, trained, optim, best }
    }

    pub(crate) const fn model(&self) -> &P {
        &self.model
    }

    /// The trained weights of the policy; the tensors share storage with it.
    pub(crate) const fn trained(&self) -> &Weights {
        &self.trained
    }

    /// Updates the weights by the current gradients; returns their norm before clipping.
    pub(crate) fn step(&mut self, lr: f64) -> Result<f64, TrainError> {
        Ok(self.optim.step(&self.trained, lr)?)
    }

    /// Name and value of a trained weight that holds a number that is not finite.
    pub(crate) fn not_finite(&self) -> Result<Option<(&str, f64)>, TrainError> {
        for (name, weight) in &self.trained {
            let weight = weight.detach();
            let finite = weight.f_isfinite()?;
            if !bool::try_from(finite.f_all()?)? {
                let found = weight.f_masked_select(&finite.f_logical_not()?)?;
                return Ok(Some((name, found.f_double_value(&[0])?)));
            }
        }
        Ok(None)
    }

    /// Records the current weights as the best so far.
    pub(crate) fn keep(&mut self) {
        self.best = copies(&self.trained);
    }

    /// Goes on from the newest checkpoint, if there is one: returns the state of the training and
    /// the tensors that it stored besides.
    pub(crate) fn resume<S: DeserializeOwned>(
        &mut self,
        checkpoints: &Checkpoints,
    ) -> Result<Option<(S, Weights)>, TrainError> {
        let Some((state, tensors)) = checkpoints.load::<S>()? else { return Ok(None) };
        copy_into(&self.trained, &without_prefix("weight.", &tensors))?;
        self.optim.restore(&without_prefix("optim.", &tensors))?;
        copy_into(&self.best, &without_prefix("best.", &tensors))?;
        Ok(Some((state, tensors)))
    }

    /// Writes a checkpoint, with `more` tensors of the training's own.
    pub(crate) fn save<S: Serialize>(
        &self,
        checkpoints: &Checkpoints,
        step: usize,
        state: &S,
        more: impl IntoIterator<Item = (String, tch::Tensor)>,
    ) -> Result<(), TrainError> {
        let tensors = prefixed("weight.", &self.trained)
            .chain(prefixed("optim.", &self.optim.state()))
            .chain(prefixed("best.", &self.best))
            .chain(more)
            .collect();
        checkpoints.save(step, state, &tensors)
    }

    /// The policy with its best weights.
    pub(crate) fn finish(self) -> Result<P, TrainError> {
        copy_into(&self.trained, &self.best)?;
        freeze(&self.model);
        Ok(self.model)
    }
}
