//! The encoder-decoder of T5.

pub(crate) mod config;
mod decode;
mod encode;
pub(crate) mod names;
mod relative;
mod shapes;
mod stack;
mod train;

use std::path::Path;

use tch::{Device, Kind, Tensor};

use self::config::T5Config;
use self::shapes::{shapes, spread};
use self::stack::Stack;
use crate::PolicyError;
use crate::cache::{KvCache, TokenBatch, check_prompts};
use crate::checkpoint::{checkpoint_file, read_checkpoint};
use crate::models::head::Head;
use crate::models::token_rows::TokenRows;
use crate::policy::LanguageModel;
use crate::tensor::cast;
use crate::weights::{Fresh, Weights, random_weights, select, share, to_i64, write_checkpoint};

/// A T5 encoder-decoder: the encoder reads a prompt in both directions, and the decoder writes the
/// answer after its start token and attends to the encoder's states. TIGER's policy.
///
/// It has RMS norms before each layer and no biases. Weights for distances in the first layer of
/// each stack take the place of positions, so there is no longest sequence.
///
/// The model is immutable; what it has read is in a [`KvCache`] that the caller owns. The keys and
/// values of the encoder are stored once for each prompt, for any number of branches.
#[derive(Debug)]
pub struct T5 {
    config: T5Config,
    weights: Weights,
    embedding: TokenRows,
    encoder: Stack,
    decoder: Stack,
    head: Head,
    /// Element type that products are computed in.
    kind: Kind,
}

impl LanguageModel for T5 {
    fn prefill(
        &self,
        prompts: &TokenBatch,
        begun: &[usize],
    ) -> Result<(Tensor, KvCache), PolicyError> {
        check_prompts("beginnings of answers", to_i64(begun.len()), prompts.rows()?)?;
        self.read_prompts(prompts, begun)
    }

    fn extend(&self, tokens: &Tensor, cache: &mut KvCache) -> Result<Tensor, PolicyError> {
        self.extend_branches(tokens, cache)
    }

    fn head(&self) -> &Head {
        &self.head
    }

    /// Only memory is a limit, because positions are relative.
    fn positions(&self) -> Option<usize> {
        None
    }
}

impl T5 {
    /// A model with weights drawn as transformers draws T5's, norms at one; equal seeds give equal
    /// weights.
    ///
    /// # Errors
    /// [`PolicyError::Unsupported`] for settings without a model.
    pub fn random(config: T5Config, seed: i64, device: Device) -> Result<Self, PolicyError> {
        config.check()?;
        let fill = |name: &str| spread(&config, name).map_or(Fresh::Ones, Fresh::Normal);
        let weights = random_weights(&shapes(&config), seed, device, fill)?;
        Self::from_weights(config, weights)
    }

    /// Reads `config.json` and `model.safetensors`, or the shards that
    /// `model.safetensors.index.json` names, of a `T5ForConditionalGeneration`; weights become f32.
    ///
    /// The head is the embedding unless the checkpoint has one that differs, or one that is stated
    /// by `tie_word_embeddings: false`. An embedding is also read if the file only has it under the
    /// name of the encoder or of the decoder.
    ///
    /// # Errors
    /// Damaged or missing files, and tensors that the configuration does not expect, by name.
    pub fn load(dir: &Path, device: Device) -> Result<Self, PolicyError> {
        Self::load_as(dir, device, Kind::Float)
    }

    /// As [`load`](Self::load), with weights of another element type.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_as(dir: &Path, device: Device, kind: Kind) -> Result<Self, PolicyError> {
        let mut config = T5Config::load(dir)?;
        let path = checkpoint_file(dir);
        let mut found = read_checkpoint(dir, Some(kind))?;
        config.tie_word_embeddings = names::settle(&mut found, config.tie_word_embeddings, &path)?;
        let weights = select(found, &shapes(&config), device, &path)?;
        Self::from_weights(config, weights)
    }

    /// Writes `config.json`, `generation_config.json` and `model.safetensors` so that transformers
    /// opens the directory with equal logits.
    ///
    /// # Errors
    /// [`PolicyError::Io`] and [`PolicyError::TensorFile`].
    pub fn save(&self, dir: &Path) -> Result<(), PolicyError> {
        let generation = serde_json::json!({
            "do_sample": false,
            "decoder_start_token_id": self.config.decoder_start_token_id,
        });
        write_checkpoint(dir, &self.config.to_json(), &generation, &self.weights)
    }

    fn from_weights(config: T5Config, weights: Weights) -> Result<Self, PolicyError> {
        let embedding = share(&weights, "shared.weight")?;
        let head = if config.tie_word_embeddings {
            embedding.shallow_clone()
        } else {
            share(&weights, "lm_head.weight")?
        };
        Ok(Self {
            encoder: Stack::encoder(&config, &weights)?,
            decoder: Stack::decoder(&config, &weights)?,
            head: Head::new(head),
            kind: embedding.kind(),
            config,
            embedding: TokenRows::new(embedding),
            weights,
        })
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &T5Config {
        &self.config
    }

    /// Every weight by its name in HF checkpoints; tied heads appear once.
    #[must_use]
    pub const fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Makes every weight a leaf that gradients reach, or undoes this.
    #[must_use]
    pub fn require_grad(mut self, on: bool) -> Self {
        for weight in self.weights.values_mut() {
            let _ = weight.requires_grad_(on);
        }
        self
    }

    /// The same model with products computed in another element type: bf16 over f32 weights is
    /// mixed precision with f32 masters, gradients included. Softmax and log-probabilities stay in
    /// f32.
    #[must_use]
    pub fn computing_in(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self.head = self.head.computing_in(kind);
        self
    }

    fn embed(&self, ids: &Tensor) -> Result<Tensor, PolicyError> {
        cast(&self.embedding.of_ids(ids)?, self.kind)
    }

    /// The decoder's states as the head reads them.
    fn finish(&self, x: &Tensor) -> Result<Tensor, PolicyError> {
        let x = self.decoder.normalise(x, &self.decoder.norm, self.kind)?;
        if self.config.scale_decoder_outputs {
            return Ok(x * (self.config.d_model as f64).powf(-0.5));
        }
        Ok(x)
    }
}
