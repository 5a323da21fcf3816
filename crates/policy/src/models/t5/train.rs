//! Training of a T5: TIGER's way, the prompt through the encoder and the answer through the decoder.

use std::path::Path;

use tch::Device;

use super::T5;
use crate::PolicyError;
use crate::trainable::Trainable;
use crate::weights::Weights;

impl Trainable for T5 {
    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn frozen_copy(&self) -> Result<Self, PolicyError> {
        let copy = self.weights.iter().map(|(name, weight)| (name.clone(), weight.detach().copy()));
        Ok(Self::from_weights(self.config.clone(), copy.collect())?.computing_in(self.kind))
    }

    fn load(dir: &Path, device: Device) -> Result<Self, PolicyError> {
        Self::load(dir, device)
    }

    fn save(&self, dir: &Path) -> Result<(), PolicyError> {
        Self::save(self, dir)
    }

    fn embedding_names(&self) -> &'static [&'static str] {
        &["shared.weight", "lm_head.weight"]
    }
}
