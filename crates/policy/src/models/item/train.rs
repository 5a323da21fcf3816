//! How its weights are trained and kept.

use std::path::Path;

use tch::Device;

use super::ItemPolicy;
use crate::PolicyError;
use crate::trainable::Trainable;
use crate::weights::Weights;

impl Trainable for ItemPolicy {
    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn frozen_copy(&self) -> Result<Self, PolicyError> {
        let copy = self.weights.iter().map(|(name, weight)| (name.clone(), weight.detach().copy()));
        let (tree, features) = (self.tree.share(), self.features.share());
        Self::from_parts(self.config.clone(), copy.collect(), tree, features)
    }

    fn load(dir: &Path, device: Device) -> Result<Self, PolicyError> {
        Self::load(dir, device)
    }

    fn save(&self, dir: &Path) -> Result<(), PolicyError> {
        Self::save(self, dir)
    }
}
