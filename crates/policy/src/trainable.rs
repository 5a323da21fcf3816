//! What training needs from a policy besides.

use std::ops::Range;
use std::path::Path;

use tch::{Device, Tensor};

use crate::PolicyError;
use crate::cache::TokenBatch;
use crate::decode::constraint::Constraint;
use crate::lora::Lora;
use crate::policy::Policy;
use crate::score::pass::LogpPass;
use crate::score::sequences::{SequencePass, in_completions};
use crate::weights::Weights;

/// Which rows of the codes become weights of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeRows {
    /// Those of the embedding and those of the head.
    InputAndOutput,
    /// Those of the head alone.
    Output,
}

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

    /// The policy with the rows of the codes (vocabulary ids `rows`) as weights of their own, which share storage with
    /// the embedding and the head. Gradients and moments then have the size of these rows.
    ///
    /// # Errors
    /// [`PolicyError::Unsupported`] by default; [`PolicyError::Size`] for rows outside the vocabulary.
    fn with_code_rows(self, rows: Range<i64>, of: CodeRows) -> Result<Self, PolicyError> {
        let _ = (rows, of);
        Err(PolicyError::Unsupported {
            field: "trainable.embeddings",
            found: "`codes`".to_owned(),
            expected: "`all` or `frozen`: this kind of policy has no row for each token",
        })
    }

    /// Rows of codes that are weights of their own, by name; none by default.
    fn code_rows(&self) -> Weights {
        Weights::new()
    }

    /// Names of the weights in the `upper` highest layers, and of what follows them except the head.
    ///
    /// # Errors
    /// [`PolicyError::Unsupported`] by default, and for more layers than there are, or none.
    fn upper_weights(&self, upper: usize) -> Result<Vec<String>, PolicyError> {
        Err(PolicyError::Unsupported {
            field: "trainable.layers",
            found: format!("`upper = {upper}`"),
            expected: "`all` or `frozen`: this kind of policy has no layers one above the other",
        })
    }

    /// Number of lowest layers that no gradient reaches, together with the embedding below them: their states of a
    /// sequence stay the same in a training. 0 by default.
    fn frozen_layers(&self) -> usize {
        0
    }

    /// Hidden states `[U, T, D]` after the `layers` lowest layers, without a graph, for [`LowerStates`]; 0 after a
    /// row's end.
    ///
    /// [`LowerStates`]: crate::LowerStates
    ///
    /// # Errors
    /// [`PolicyError::Unsupported`] by default; those of reading the sequences.
    fn lower_states(&self, tokens: &TokenBatch, layers: usize) -> Result<Tensor, PolicyError> {
        let _ = tokens;
        Err(PolicyError::Unsupported {
            field: "lower layers",
            found: layers.to_string(),
            expected: "0: this kind of policy has no layers one above the other",
        })
    }

    /// Names of the weights that hold a row for each token; none by default.
    fn embedding_names(&self) -> &'static [&'static str] {
        &[]
    }

    /// Lets gradients reach the weights that `wanted` names, and no others; adapters and rows of codes keep theirs.
    fn require_grad_of(&self, wanted: &dyn Fn(&str) -> bool) {
        for (name, weight) in self.weights() {
            let _ = weight.shallow_clone().requires_grad_(wanted(name));
        }
    }

    /// The weights that gradients reach, adapters and rows of codes included.
    fn trained(&self) -> Weights {
        let (adapters, rows) = (self.adapters(), self.code_rows());
        let all = self.weights().iter().chain(&adapters).chain(&rows);
        let trained = all.filter(|(_, weight)| weight.requires_grad());
        trained.map(|(name, weight)| (name.clone(), weight.shallow_clone())).collect()
    }
}
