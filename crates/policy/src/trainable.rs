//! What training needs from a policy besides.

use std::path::Path;

use tch::{Device, Tensor};

use crate::PolicyError;
use crate::decode::constraint::Constraint;
use crate::lora::Lora;
use crate::policy::Policy;
use crate::score::pass::LogpPass;
use crate::score::sequences::{SequencePass, in_completions};
use crate::weights::Weights;

/// A policy whose weights can be trained, kept on the disk and read back.
pub trait Trainable: Policy + Sized {
    /// Every weight by its name; the tensors share storage with the policy's.
    fn weights(&self) -> &Weights;

    /// A frozen copy with storage of its own, adapters merged: the reference of a training.
    ///
    /// # Errors
    /// [`PolicyError::Torch`].
    fn frozen_copy(&self) -> Result<Self, PolicyError>;

    /// Reads the folder that [`save`](Self::save) writes.
    ///
    /// # Errors
    /// Damaged and missing files, by name.
    fn load(dir: &Path, device: Device) -> Result<Self, PolicyError>;

    /// Writes the policy, adapters merged, into a folder of `config.json` and `model.safetensors`.
    ///
    /// # Errors
    /// [`PolicyError::Io`] and [`PolicyError::TensorFile`].
    fn save(&self, dir: &Path) -> Result<(), PolicyError>;

    /// Log-probabilities of targets within sequences, with the backward pass: what supervised
    /// fine-tuning learns. The default reads what comes before the first target of a row as its
    /// prompt, and the rest as its completion; it has neither dropout nor recomputation.
    ///
    /// # Errors
    /// [`PolicyError::Unsupported`] for options that the policy does not have; those of
    /// [`Policy::completion_pass`].
    fn sequence_pass<'a>(
        &'a self,
        constraint: &'a Constraint,
        sequences: &SequencePass<'_>,
    ) -> Result<LogpPass<'a>, PolicyError> {
        in_completions(self, constraint, sequences)
    }

    /// Floating-point operations that learning from sequences of these lengths takes, of which `num_targets`
    /// tokens are learned; see [`DecoderConfig::training_flops`](crate::DecoderConfig::training_flops). `None` by
    /// default: for kinds of policies without a formula.
    fn training_flops(&self, lens: &[usize], num_targets: usize) -> Option<f64> {
        let _ = (lens, num_targets);
        None
    }

    /// Weights as they are written: with adapters merged.
    ///
    /// # Errors
    /// [`PolicyError::Torch`].
    fn merged_weights(&self) -> Result<Weights, PolicyError> {
        let plain = |(name, weight): (&String, &Tensor)| (name.clone(), weight.detach());
        Ok(self.weights().iter().map(plain).collect())
    }

    /// Low-rank adapters by name; none by default.
    fn adapters(&self) -> Weights {
        Weights::new()
    }

    /// The policy with new low-rank adapters, which are trained instead of the matrices that they
    /// belong to.
    ///
    /// # Errors
    /// [`PolicyError::Unsupported`] by default.
    fn with_lora(self, lora: &Lora, seed: i64) -> Result<Self, PolicyError> {
        let _ = (lora, seed);
        Err(PolicyError::Unsupported {
            field: "trainable.layers",
            found: "`lora`".to_owned(),
            expected: "`all` or `frozen`: this kind of policy has no low-rank adapters",
        })
    }

    /// Names of the weights that hold a row for each token; none by default.
    fn embedding_names(&self) -> &'static [&'static str] {
        &[]
    }

    /// Lets gradients reach the weights that `wanted` names, and no others; adapters keep theirs.
    fn require_grad_of(&self, wanted: &dyn Fn(&str) -> bool) {
        for (name, weight) in self.weights() {
            let _ = weight.shallow_clone().requires_grad_(wanted(name));
        }
    }

    /// The weights that gradients reach, adapters included.
    fn trained(&self) -> Weights {
        let adapters = self.adapters();
        let all = self.weights().iter().chain(&adapters);
        let trained = all.filter(|(_, weight)| weight.requires_grad());
        trained.map(|(name, weight)| (name.clone(), weight.shallow_clone())).collect()
    }
}
