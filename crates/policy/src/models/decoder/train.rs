//! Training of a decoder.

use std::ops::Range;
use std::path::Path;

use tch::{Device, Tensor};

use super::Decoder;
use crate::PolicyError;
use crate::cache::TokenBatch;
use crate::decode::constraint::Constraint;
use crate::lora::Lora;
use crate::score::pass::LogpPass;
use crate::score::sequences::{Place, SequencePass};
use crate::score::way_back::target_pass;
use crate::trainable::{CodeRows, Trainable};
use crate::weights::{Weights, to_i64};

impl Trainable for Decoder {
    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn frozen_copy(&self) -> Result<Self, PolicyError> {
        Self::frozen_copy(self)
    }

    fn load(dir: &Path, device: Device) -> Result<Self, PolicyError> {
        Self::load(dir, device)
    }

    fn save(&self, dir: &Path) -> Result<(), PolicyError> {
        Self::save(self, dir)
    }

    fn training_flops(&self, lens: &[usize], num_targets: usize) -> Option<f64> {
        Some(self.config.training_flops(lens, num_targets))
    }

    fn sequence_pass<'a>(
        &'a self,
        constraint: &'a Constraint,
        pass: &SequencePass<'_>,
    ) -> Result<LogpPass<'a>, PolicyError> {
        let SequencePass { tokens, places, targets, law, dropout, recompute, lower } = *pass;
        if !recompute {
            let states = self.forward_above(tokens, lower, places, dropout)?;
            let states = law.tempered(states, targets)?;
            return target_pass(self, constraint, states, targets, law.scoring);
        }
        let read = self.recomputed_above(tokens, lower, dropout)?;
        let states = law.tempered(at_places(read.states(), places)?, targets)?;
        let learned = target_pass(self, constraint, states, targets, law.scoring)?;
        Ok(learned.and_then(move || read.backward()))
    }

    fn merged_weights(&self) -> Result<Weights, PolicyError> {
        Self::merged_weights(self)
    }

    fn adapters(&self) -> Weights {
        let share = |(name, weight): (&String, &Tensor)| (name.clone(), weight.shallow_clone());
        self.adapters.iter().map(share).collect()
    }

    fn with_lora(self, lora: &Lora, seed: i64) -> Result<Self, PolicyError> {
        Self::with_lora(self, lora, seed)
    }

    fn with_code_rows(self, rows: Range<i64>, of: CodeRows) -> Result<Self, PolicyError> {
        Self::with_code_rows(self, rows, of)
    }

    fn code_rows(&self) -> Weights {
        Self::code_rows(self)
    }

    fn upper_weights(&self, upper: usize) -> Result<Vec<String>, PolicyError> {
        Self::upper_weights(self, upper)
    }

    fn frozen_layers(&self) -> usize {
        Self::frozen_layers(self)
    }

    fn lower_states(&self, tokens: &TokenBatch, layers: usize) -> Result<Tensor, PolicyError> {
        Self::lower_states(self, tokens, layers)
    }

    fn embedding_names(&self) -> &'static [&'static str] {
        &["model.embed_tokens.weight", "lm_head.weight"]
    }
}

/// The states `[N, D]` at places of states `[U, T, D]`.
fn at_places(states: &Tensor, places: &[Place]) -> Result<Tensor, PolicyError> {
    let [_, longest, _] = <[i64; 3]>::try_from(states.size()).unwrap_or([0; 3]);
    let index = |place: &Place| to_i64(place.row) * longest + to_i64(place.position);
    let index: Vec<i64> = places.iter().map(index).collect();
    let index = Tensor::from_slice(&index).to_device(states.device());
    Ok(states.flatten(0, 1).f_index_select(0, &index)?)
}
