//! The decoder of Qwen2, Qwen3 and Llama.

mod adapters;
mod code_rows;
mod extend;
mod lower;
mod packed;
pub(crate) mod places;
mod read;
pub(crate) mod recompute;
mod shapes;
mod span;
mod train;

use std::path::Path;

use tch::{Device, Kind, Tensor};

use self::shapes::shapes;
use crate::PolicyError;
use crate::cache::{KvCache, TokenBatch, check_prompts};
use crate::checkpoint::{checkpoint_file, read_checkpoint};
use crate::config::DecoderConfig;
use crate::lora::Lora;
use crate::models::foreign::{HEAD, decoder_names, settle_head};
use crate::models::head::Head;
use crate::models::linear::Linear;
use crate::models::rotary::rotary_table;
use crate::models::token_rows::TokenRows;
use crate::policy::LanguageModel;
use crate::tensor::cast;
use crate::tokenizer::SidTokenizer;
use crate::weights::{Fresh, Weights, random_weights, select, share, to_i64, write_checkpoint};

/// Name of the embedding.
const EMBEDDING: &str = "model.embed_tokens.weight";

/// Standard deviation of freshly drawn matrices, transformers' `initializer_range`.
const INITIALIZER_RANGE: f64 = 0.02;

/// A decoder language model: pre-norm RMS layers, rotary positions, grouped key-value heads, gated
/// feed-forward, optionally tied output head; by [`Architecture`](crate::Architecture) biases on
/// queries, keys and values (Qwen2) or normalised queries and keys (Qwen3).
///
/// The model is immutable; what it has read is in a [`KvCache`] that the caller owns. Its weights
/// are leaves of the autograd graph after [`Decoder::require_grad`] was called.
#[derive(Debug)]
pub struct Decoder {
    config: DecoderConfig,
    weights: Weights,
    layers: Vec<Layer>,
    embedding: TokenRows,
    norm: Tensor,
    head: Head,
    /// Cosines and sines of every position, `[P, hd]`.
    rotary: (Tensor, Tensor),
    /// Element type that products are computed in.
    kind: Kind,
    /// Low-rank adapters by name, sharing storage with those in the layers, and their settings.
    adapters: Weights,
    lora: Option<Lora>,
}

/// Weights of one layer, sharing storage with the named ones.
#[derive(Debug)]
struct Layer {
    input_norm: Tensor,
    q: Linear,
    k: Linear,
    v: Linear,
    o: Linear,
    /// Norms of each head's queries and keys, if the architecture has them.
    head_norms: Option<(Tensor, Tensor)>,
    post_norm: Tensor,
    gate: Linear,
    up: Linear,
    down: Linear,
}

impl LanguageModel for Decoder {
    fn prefill(
        &self,
        prompts: &TokenBatch,
        begun: &[usize],
    ) -> Result<(Tensor, KvCache), PolicyError> {
        check_prompts("beginnings of answers", to_i64(begun.len()), prompts.rows()?)?;
        self.read_prompts(prompts)
    }

    fn extend(&self, tokens: &Tensor, cache: &mut KvCache) -> Result<Tensor, PolicyError> {
        self.extend_branches(tokens, cache)
    }

    fn head(&self) -> &Head {
        &self.head
    }

    fn positions(&self) -> Option<usize> {
        Some(self.config.max_position_embeddings)
    }
}

impl Decoder {
    /// A model with weights drawn from N(0, 0.02²), norms at one, biases at zero; equal seeds give
    /// equal weights.
    ///
    /// # Errors
    /// [`PolicyError::Unsupported`] for settings without a model.
    pub fn random(config: DecoderConfig, seed: i64, device: Device) -> Result<Self, PolicyError> {
        config.check()?;
        let spread = |name: &str| {
            if name.ends_with("norm.weight") {
                Fresh::Ones
            } else if name.ends_with("bias") {
                Fresh::Zeros
            } else {
                Fresh::Normal(INITIALIZER_RANGE)
            }
        };
        let weights = random_weights(&shapes(&config), seed, device, spread)?;
        Self::from_weights(config, weights)
    }

    /// Reads `config.json` and `model.safetensors`, or the shards that
    /// `model.safetensors.index.json` names, of a checkpoint directory; weights become f32. Names
    /// may lack `model.`, as those of checkpoints of the body do.
    ///
    /// The head is the embedding if the configuration ties them. If the checkpoint still has a
    /// different head, that one is used, with a warning.
    ///
    /// # Errors
    /// Damaged or missing files, and tensors that the configuration does not expect, by name.
    pub fn load(dir: &Path, device: Device) -> Result<Self, PolicyError> {
        Self::load_as(dir, device, Kind::Float)
    }

    /// As [`load`](Self::load), with weights of another element type: bf16 halves their memory,
    /// for use without training.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_as(dir: &Path, device: Device, kind: Kind) -> Result<Self, PolicyError> {
        Self::from_checkpoint(
            DecoderConfig::load(dir)?,
            read_checkpoint(dir, Some(kind))?,
            dir,
            device,
        )
    }

    /// As [`load`](Self::load), without an output head: for states alone.
    pub(crate) fn load_body(dir: &Path, device: Device) -> Result<Self, PolicyError> {
        let config = DecoderConfig { tie_word_embeddings: true, ..DecoderConfig::load(dir)? };
        let mut found = read_checkpoint(dir, Some(Kind::Float))?;
        found.remove(HEAD);
        Self::from_checkpoint(config, found, dir, device)
    }

    fn from_checkpoint(
        mut config: DecoderConfig,
        found: Weights,
        dir: &Path,
        device: Device,
    ) -> Result<Self, PolicyError> {
        let path = checkpoint_file(dir);
        let mut found = decoder_names(found);
        let tied = config.tie_word_embeddings;
        config.tie_word_embeddings = settle_head(&mut found, EMBEDDING, tied, &path)?;
        // A table of frequencies in old checkpoints, which every reader computes itself.
        found.retain(|name, _| !name.ends_with("rotary_emb.inv_freq"));
        let weights = select(found, &shapes(&config), device, &path)?;
        Self::from_weights(config, weights)
    }

    /// Writes `config.json`, `model.safetensors` and, if there is none, `generation_config.json`,
    /// so that transformers opens the directory with equal logits; adapters are merged into what is
    /// written.
    ///
    /// # Errors
    /// [`PolicyError::Io`] and [`PolicyError::TensorFile`].
    pub fn save(&self, dir: &Path) -> Result<(), PolicyError> {
        let generation = serde_json::json!({ "do_sample": false });
        write_checkpoint(dir, &self.config.to_json(), &generation, &self.merged_weights()?)
    }

    /// A model over weights that [`shapes`](Self::save) names; used by loaders and trainers.
    fn from_weights(config: DecoderConfig, weights: Weights) -> Result<Self, PolicyError> {
        let get = |name: String| share(&weights, &name);
        let layers = (0..config.num_hidden_layers)
            .map(|layer| {
                let part = |name: &str| get(format!("model.layers.{layer}.{name}.weight"));
                let linear = |name: &str, biased: bool| -> Result<Linear, PolicyError> {
                    let bias = || get(format!("model.layers.{layer}.{name}.bias"));
                    let bias = biased.then(bias).transpose()?;
                    Ok(Linear { weight: part(name)?, bias, adapter: None })
                };
                let (input, output) = (config.input_bias(), config.output_bias());
                let head_norms = config
                    .architecture
                    .normalises_heads()
                    .then(|| {
                        Ok::<_, PolicyError>((part("self_attn.q_norm")?, part("self_attn.k_norm")?))
                    })
                    .transpose()?;
                Ok(Layer {
                    input_norm: part("input_layernorm")?,
                    q: linear("self_attn.q_proj", input)?,
                    k: linear("self_attn.k_proj", input)?,
                    v: linear("self_attn.v_proj", input)?,
                    o: linear("self_attn.o_proj", output)?,
                    head_norms,
                    post_norm: part("post_attention_layernorm")?,
                    gate: linear("mlp.gate_proj", false)?,
                    up: linear("mlp.up_proj", false)?,
                    down: linear("mlp.down_proj", false)?,
                })
            })
            .collect::<Result<_, PolicyError>>()?;
        let embedding = get("model.embed_tokens.weight".into())?;
        let head = if config.tie_word_embeddings {
            embedding.shallow_clone()
        } else {
            get("lm_head.weight".into())?
        };
        let head = Head::new(head);
        let norm = get("model.norm.weight".into())?;
        let rotary = rotary_table(&config, embedding.device())?;
        let kind = embedding.kind();
        let adapters = Weights::new();
        Ok(Self {
            config,
            weights,
            layers,
            embedding: TokenRows::new(embedding),
            norm,
            head,
            rotary,
            kind,
            adapters,
            lora: None,
        })
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// Every weight by its name in HF checkpoints; tied heads appear once.
    #[must_use]
    pub const fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Number of weights.
    #[must_use]
    pub fn num_parameters(&self) -> usize {
        self.weights.values().map(Tensor::numel).sum()
    }

    /// The device of the weights.
    #[must_use]
    pub fn device(&self) -> Device {
        self.embedding.weight().device()
    }

    /// Makes every weight a leaf that gradients reach, adapters included, or undoes this.
    #[must_use]
    pub fn require_grad(mut self, on: bool) -> Self {
        for weight in self.weights.values_mut().chain(self.adapters.values_mut()) {
            let _ = weight.requires_grad_(on);
        }
        self
    }

    /// A frozen copy with storage of its own, adapters merged: the reference of an RL run.
    ///
    /// # Errors
    /// [`PolicyError::Torch`].
    pub fn frozen_copy(&self) -> Result<Self, PolicyError> {
        let merged = self.merged_weights()?;
        let weights = merged.into_iter().map(|(name, weight)| (name, weight.copy())).collect();
        Ok(Self::from_weights(self.config.clone(), weights)?.computing_in(self.kind))
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

    /// Element type that products are computed in.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Accepts a tokenizer if all its ids have a row in the embedding.
    ///
    /// # Errors
    /// [`PolicyError::Vocabulary`].
    pub fn check_vocabulary(&self, tokenizer: &SidTokenizer) -> Result<(), PolicyError> {
        let (tokenizer, model) = (tokenizer.vocab_size(), self.config.vocab_size);
        if tokenizer > model { Err(PolicyError::Vocabulary { tokenizer, model }) } else { Ok(()) }
    }

    fn embed(&self, ids: &Tensor) -> Result<Tensor, PolicyError> {
        cast(&self.embedding.of_ids(ids)?, self.kind)
    }

    fn check_positions(&self, found: i64) -> Result<(), PolicyError> {
        let limit = to_i64(self.config.max_position_embeddings);
        if found > limit { Err(PolicyError::Positions { found, limit }) } else { Ok(()) }
    }

    /// Queries of normalised states, `[…, H, hd]`, before the rotation.
    fn queries(
        &self,
        layer: &Layer,
        normed: &Tensor,
        shape: &[i64],
    ) -> Result<Tensor, PolicyError> {
        let q = self.heads(&layer.q, normed, shape)?;
        layer
            .head_norms
            .as_ref()
            .map_or(Ok(q.shallow_clone()), |(norm, _)| self.normalise(&q, norm))
    }

    /// Keys before the rotation, and values, of normalised states, each `[…, Hkv, hd]`.
    fn keys_values(
        &self,
        layer: &Layer,
        normed: &Tensor,
        shape: &[i64],
    ) -> Result<(Tensor, Tensor), PolicyError> {
        let (k, v) = (self.heads(&layer.k, normed, shape)?, self.heads(&layer.v, normed, shape)?);
        match &layer.head_norms {
            None => Ok((k, v)),
            Some((_, norm)) => Ok((self.normalise(&k, norm)?, v)),
        }
    }

    fn heads(
        &self,
        linear: &Linear,
        normed: &Tensor,
        shape: &[i64],
    ) -> Result<Tensor, PolicyError> {
        let shape = [shape, &[-1, to_i64(self.config.head_dim)]].concat();
        Ok(linear.apply(normed, self.kind)?.f_view(shape.as_slice())?)
    }

    /// The states after the layer's attention and feed-forward layer: `x` plus what both add.
    fn finish_layer(
        &self,
        layer: &Layer,
        x: &Tensor,
        attended: &Tensor,
        dropout: f64,
    ) -> Result<Tensor, PolicyError> {
        let drop = |x: Tensor| if dropout > 0.0 { x.dropout(dropout, true) } else { x };
        let x = drop(layer.o.apply(attended, self.kind)?).f_add_(x)?;
        Ok(drop(self.feed_forward(layer, &x)?).f_add_(&x)?)
    }

    fn feed_forward(&self, layer: &Layer, x: &Tensor) -> Result<Tensor, PolicyError> {
        let h = self.normalise(x, &layer.post_norm)?;
        let gate = layer.gate.apply(&h, self.kind)?.f_silu()?;
        let up = layer.up.apply(&h, self.kind)?;
        layer.down.apply(&(gate * up), self.kind)
    }

    fn normalise(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor, PolicyError> {
        let weight = cast(weight, self.kind)?;
        Ok(x.f_rms_norm(weight.size(), Some(&weight), Some(self.config.rms_norm_eps))?)
    }
}
