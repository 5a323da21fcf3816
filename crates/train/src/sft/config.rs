//! Settings of supervised fine-tuning.

use serde::{Deserialize, Serialize};
use sidereal_policy::Scoring;

use super::mixture::MixtureConfig;
use crate::TrainError;
use crate::augment::AugmentConfig;
use crate::checked::Checked;
use crate::lower_states::LowerStatesConfig;
use crate::optim::OptimConfig;
use crate::setting::{End, check_counts, check_optim, check_shares, in_table, of_stage};
use crate::trainable::{Embeddings, Layers, TrainableConfig};

/// Settings of supervised fine-tuning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct SftConfig {
    /// The most passes over the data. Range `1..`.
    pub epochs: usize,
    /// Sequences per step. Range `1..`.
    pub batch_size: usize,
    /// Sequences whose gradients are computed together, in order of length. Without dropout the
    /// result does not depend on it. Range `1..`.
    pub micro_batch: usize,
    /// Share of the alignment sequences (title → SID, SID → title) that are added to each epoch. They
    /// take turns, so `1 / share` epochs see all of them. Range `[0, 1]`.
    pub alignment_share: f64,
    /// Several tasks. Without it, next items and alignment are learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mixture: Option<MixtureConfig>,
    /// Which weights are returned.
    #[cfg_attr(feature = "schema", schemars(extend("default" = "best")))]
    #[serde(skip_serializing_if = "is_best")]
    pub keep: Keep,
    /// Training stops after this number of epochs in a row without a better validation loss, unless
    /// the last weights are kept. Range `1..`.
    pub patience: usize,
    /// Whether each layer is computed again in the backward pass (gradient checkpointing). Then only
    /// the input of each layer is kept in memory. The gradients are the same, but the forward pass is
    /// computed twice.
    pub recompute: bool,
    /// Share of activations that are set to zero in training. Range `[0, 1)`.
    pub dropout: f64,
    /// Random variation of the histories, new in every epoch. None by default.
    pub augment: AugmentConfig,
    /// How the probability of a code is normalised.
    pub scoring: Scoring,
    /// Divisor of the logits in the loss, of training and of validation. Below 1, the tokens that the
    /// model prefers wrongly weigh more: LETTER's ranking-guided loss. Answers are written at 1. Range
    /// `(0, ∞)`.
    #[cfg_attr(feature = "schema", schemars(extend("default" = 1.0)))]
    #[serde(skip_serializing_if = "is_one")]
    pub temperature: f64,
    /// Which weights are trained. Adapters stay separate in the returned model.
    pub trainable: TrainableConfig,
    /// Where the states of frozen lower layers are kept, with `trainable.layers.upper` or with trained rows of the
    /// head alone: they are computed once for each sequence, and later epochs start above them. With 0 and 0 nothing
    /// is kept.
    #[serde(skip_serializing_if = "LowerStatesConfig::is_default")]
    pub lower_states: LowerStatesConfig,
    /// AdamW and its learning rate.
    pub optim: OptimConfig,
    /// Steps between checkpoints. Range `1..`.
    pub checkpoint_every: usize,
}

/// Which weights supervised fine-tuning returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Keep {
    /// The weights with the best validation loss; training stops early.
    #[default]
    Best,
    /// The weights of the last epoch. No held-out event influences them.
    Last,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls it with")]
fn is_best(keep: &Keep) -> bool {
    *keep == Keep::Best
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls it with")]
fn is_one(temperature: &f64) -> bool {
    temperature.total_cmp(&1.0).is_eq()
}

impl Default for SftConfig {
    /// SINGER's schedule: AdamW at 3e-4 with a cosine, batch 128, at most 10 epochs, patience 1.
    fn default() -> Self {
        Self {
            epochs: 10,
            batch_size: 128,
            micro_batch: 128,
            alignment_share: 1.0,
            mixture: None,
            keep: Keep::Best,
            patience: 1,
            recompute: false,
            dropout: 0.0,
            augment: AugmentConfig::default(),
            scoring: Scoring::Full,
            temperature: 1.0,
            trainable: TrainableConfig::default(),
            lower_states: LowerStatesConfig::default(),
            optim: OptimConfig::default(),
            checkpoint_every: 200,
        }
    }
}

impl SftConfig {
    /// Accepts settings with which training is possible; `stage` is for messages.
    ///
    /// # Errors
    /// [`TrainError::Setting`] names stage and field.
    pub fn check(&self, stage: &str) -> Result<Checked<Self>, TrainError> {
        let counts = check_counts(&[
            ("sft.epochs", self.epochs),
            ("sft.batch_size", self.batch_size),
            ("sft.micro_batch", self.micro_batch),
            ("sft.patience", self.patience),
            ("sft.checkpoint_every", self.checkpoint_every),
        ]);
        let shares = check_shares(&[
            ("sft.dropout", self.dropout, End::Excluded),
            ("sft.augment.drop", self.augment.drop, End::Excluded),
            ("sft.augment.reverse", self.augment.reverse, End::Included),
            ("sft.alignment_share", self.alignment_share, End::Included),
        ]);
        let heat = if self.temperature > 0.0 && self.temperature.is_finite() {
            Ok(())
        } else {
            let (field, found) = ("sft.temperature".to_owned(), self.temperature.to_string());
            Err(TrainError::Setting { field, found, needed: "a finite number above 0" })
        };
        let checked = counts.and(shares).and(heat).and(in_table("sft", check_optim(&self.optim)));
        let mixture = self.mixture.as_ref().map_or(Ok(()), |mix| self.check_mix(mix));
        of_stage(stage, checked.and(mixture).and(in_table("sft", self.check_lower_states())))?;
        Ok(Checked::of(self.clone()))
    }

    /// Accepts upper layers over lower ones whose states stay the same, if these are kept.
    fn check_lower_states(&self) -> Result<(), TrainError> {
        if !matches!(self.trainable.layers, Layers::Upper(_)) || !self.lower_states.keeps() {
            return Ok(());
        }
        let refuse = |field: &str, found: String, needed| {
            Err(TrainError::Setting { field: field.to_owned(), found, needed })
        };
        if !matches!(self.trainable.embeddings, Embeddings::Frozen | Embeddings::CodeOutputs) {
            let needed = "`frozen` or `code_outputs` while the states of lower layers are kept, because they would \
                          change with the embedding: train it in a stage before, or keep nothing \
                          (`lower_states = { memory_mib = 0 }`)";
            let found = format!("{:?}", self.trainable.embeddings).to_lowercase();
            return refuse("trainable.embeddings", format!("`{found}`"), needed);
        }
        if self.dropout > 0.0 {
            let needed = "0 while the states of lower layers are kept, because it would change them at every step: \
                          leave it out, or keep nothing (`lower_states = { memory_mib = 0 }`)";
            return refuse("dropout", self.dropout.to_string(), needed);
        }
        Ok(())
    }

    /// Accepts a mixture, but not together with settings of next items and alignment, which would have no effect.
    fn check_mix(&self, mixture: &MixtureConfig) -> Result<(), TrainError> {
        let refuse = |field: &str, found: String| {
            let needed = "no value beside `sft.mixture`, which chooses the samples";
            Err(TrainError::Setting { field: field.to_owned(), found, needed })
        };
        if !self.augment.is_off() {
            return refuse("sft.augment", format!("{:?}", self.augment));
        }
        if self.alignment_share < 1.0 {
            return refuse("sft.alignment_share", self.alignment_share.to_string());
        }
        mixture.check()
    }
}
