//! Training of a T5, as in TIGER: the encoder reads the prompt, and the decoder writes the answer.

use std::ops::Range;
use std::path::Path;

use tch::{Device, Tensor};

use super::T5;
use crate::PolicyError;
use crate::cache::TokenBatch;
use crate::config::unsupported;
use crate::decode::constraint::Constraint;
use crate::models::token_rows::named_leaves;
use crate::policy::LanguageModel as _;
use crate::score::pass::LogpPass;
use crate::score::sequences::{Divided, SequencePass, divided};
use crate::score::way_back::target_pass;
use crate::trainable::{CodeRows, Trainable};
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
        sequences.starts_at_the_tokens()?;
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

    fn with_code_rows(mut self, rows: Range<i64>, of: CodeRows) -> Result<Self, PolicyError> {
        if of == CodeRows::Output {
            let expected = "the rows of the embedding too: a T5 keeps its head tied, if it is";
            return Err(unsupported("trainable.embeddings", "code_outputs".to_owned(), expected));
        }
        self.embedding.take_out(rows.clone())?;
        if self.config.tie_word_embeddings {
            self.head.rows_mut().take_out_as(&self.embedding);
        } else {
            self.head.rows_mut().take_out(rows)?;
        }
        Ok(self)
    }

    fn code_rows(&self) -> Weights {
        let head = (!self.config.tie_word_embeddings).then(|| ("lm_head.weight", self.head.own()));
        named_leaves([Some(("shared.weight", self.embedding.own())), head])
    }

    fn embedding_names(&self) -> &'static [&'static str] {
        &["shared.weight", "lm_head.weight"]
    }
}
