//! Training of a T5, as in TIGER: the encoder reads the prompt, and the decoder writes the answer.

use std::path::Path;

use tch::{Device, Tensor};

use super::T5;
use crate::PolicyError;
use crate::cache::TokenBatch;
use crate::config::unsupported;
use crate::decode::constraint::Constraint;
use crate::policy::LanguageModel as _;
use crate::score::pass::LogpPass;
use crate::score::sequences::{Divided, SequencePass, divided};
use crate::score::way_back::target_pass;
use crate::trainable::Trainable;
use crate::weights::{Weights, to_i64};

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

    /// The first target of a row is the first token that the decoder writes; the encoder reads what
    /// comes before. So a row is one sample, and samples that continue one another cannot share a
    /// row.
    fn sequence_pass<'a>(
        &'a self,
        constraint: &'a Constraint,
        sequences: &SequencePass<'_>,
    ) -> Result<LogpPass<'a>, PolicyError> {
        let SequencePass { targets, law, dropout, recompute, .. } = *sequences;
        if recompute {
            let expected = "false: a T5 computes no layer again";
            return Err(unsupported("recompute", recompute.to_string(), expected));
        }
        let rows = divided(sequences)?;
        // Ids that fill short rows are never read.
        let batch = |part: &dyn Fn(&Divided) -> Vec<u32>| {
            let ids: Vec<Vec<u32>> = rows.iter().map(part).collect();
            TokenBatch::new(&ids, 0, usize::MAX, self.head().device())
        };
        let prompts = batch(&|row| row.prompt.clone())?;
        let answers = batch(&|row| row.completion.clone())?;
        let states = self.forward(&prompts, &answers, dropout)?; // [U, 1 + S, D]
        let per_row = states.size()[1];
        let mut index = vec![0; targets.len()];
        for (row, Divided { learned, .. }) in (0..).zip(&rows) {
            for (target, at) in learned {
                index[*target] = row * per_row + to_i64(*at);
            }
        }
        let index = Tensor::from_slice(&index).to_device(states.device());
        let states = states.flatten(0, 1).f_index_select(0, &index)?; // [N, D]
        target_pass(self, constraint, law.tempered(states, targets)?, targets, law.scoring)
    }

    fn embedding_names(&self) -> &'static [&'static str] {
        &["shared.weight", "lm_head.weight"]
    }
}
