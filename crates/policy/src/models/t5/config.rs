//! Settings of a T5, named as in HF `config.json`.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::PolicyError;
use crate::checkpoint::read_json;
use crate::config::unsupported;

/// The function between the two feed-forward matrices of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum T5FeedForward {
    /// `relu(x·W₁)·W₂`: the first T5.
    Relu,
    /// `(gelu(x·V₀) ⊙ x·V₁)·W₂` with GELU's tanh approximation: T5 1.1, Flan-T5.
    GatedGelu,
}

/// Settings of a T5 encoder-decoder, with the names of its `config.json`.
///
/// Settings that this implementation does not support (another feed-forward layer, a quantised
/// checkpoint) are errors when the file is read; they are not ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct T5Config {
    /// Rows of the embedding, `V`.
    pub vocab_size: usize,
    /// Width of the residual stream, `D`.
    pub d_model: usize,
    /// Width of a head.
    pub d_kv: usize,
    /// Width of the feed-forward layer.
    pub d_ff: usize,
    /// Layers of the encoder.
    pub num_layers: usize,
    /// Layers of the decoder.
    pub num_decoder_layers: usize,
    /// Heads, `H`.
    pub num_heads: usize,
    /// Buckets of distances between tokens, for each of which a head has a weight; even.
    pub relative_attention_num_buckets: usize,
    /// Distance from which all fall into the last bucket.
    pub relative_attention_max_distance: usize,
    /// Added to the mean square in RMS normalisation.
    pub layer_norm_epsilon: f64,
    /// The feed-forward layer.
    pub feed_forward_proj: T5FeedForward,
    /// Token that every answer begins after.
    pub decoder_start_token_id: u32,
    /// Whether the output head is the embedding.
    pub tie_word_embeddings: bool,
    /// Whether the decoder's states are multiplied by `d_model^-0.5` before the head: the first T5,
    /// whose head is tied.
    pub scale_decoder_outputs: bool,
}

/// The fields of the file that are read as they are.
#[derive(Deserialize)]
struct Plain {
    vocab_size: usize,
    d_model: usize,
    d_kv: usize,
    d_ff: usize,
    num_layers: usize,
    num_decoder_layers: Option<usize>,
    num_heads: usize,
    #[serde(default = "default_buckets")]
    relative_attention_num_buckets: usize,
    #[serde(default = "default_distance")]
    relative_attention_max_distance: usize,
    layer_norm_epsilon: f64,
    tie_word_embeddings: Option<bool>,
    scale_decoder_outputs: Option<bool>,
}

const fn default_buckets() -> usize {
    32
}

const fn default_distance() -> usize {
    128
}

impl T5Config {
    /// Reads the `config.json` of a checkpoint directory.
    ///
    /// `tie_word_embeddings` says whether the head may be the embedding; it is the embedding if the
    /// checkpoint has no `lm_head.weight` of its own. Unless `scale_decoder_outputs` is there,
    /// states are scaled if `tie_word_embeddings` is not `false`, as in transformers. The start
    /// token is read from `generation_config.json` if `config.json` lacks it.
    ///
    /// # Errors
    /// [`PolicyError::Io`], [`PolicyError::Json`] and [`PolicyError::Unsupported`].
    pub fn load(dir: &Path) -> Result<Self, PolicyError> {
        let path = dir.join("config.json");
        let value = read_json(&path)?;
        let feed_forward_proj = feed_forward(&value)?;
        refuse_unsupported(&value)?;
        let plain: Plain = serde_json::from_value(value.clone())
            .map_err(|source| PolicyError::Json { path, source })?;
        let config = Self {
            vocab_size: plain.vocab_size,
            d_model: plain.d_model,
            d_kv: plain.d_kv,
            d_ff: plain.d_ff,
            num_layers: plain.num_layers,
            num_decoder_layers: plain.num_decoder_layers.unwrap_or(plain.num_layers),
            num_heads: plain.num_heads,
            relative_attention_num_buckets: plain.relative_attention_num_buckets,
            relative_attention_max_distance: plain.relative_attention_max_distance,
            layer_norm_epsilon: plain.layer_norm_epsilon,
            feed_forward_proj,
            decoder_start_token_id: start_token(dir, &value)?,
            tie_word_embeddings: plain.tie_word_embeddings.unwrap_or(true),
            scale_decoder_outputs: plain
                .scale_decoder_outputs
                .unwrap_or(plain.tie_word_embeddings != Some(false)),
        };
        config.check()?;
        Ok(config)
    }

    /// The contents of a `config.json` that transformers reads as `T5ForConditionalGeneration`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "architectures": ["T5ForConditionalGeneration"],
            "model_type": "t5",
            "is_encoder_decoder": true,
            "dtype": "float32",
            "vocab_size": self.vocab_size,
            "d_model": self.d_model,
            "d_kv": self.d_kv,
            "d_ff": self.d_ff,
            "num_layers": self.num_layers,
            "num_decoder_layers": self.num_decoder_layers,
            "num_heads": self.num_heads,
            "relative_attention_num_buckets": self.relative_attention_num_buckets,
            "relative_attention_max_distance": self.relative_attention_max_distance,
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "feed_forward_proj": self.feed_forward_proj,
            "dropout_rate": 0.0,
            "decoder_start_token_id": self.decoder_start_token_id,
            "tie_word_embeddings": self.tie_word_embeddings,
            "scale_decoder_outputs": self.scale_decoder_outputs,
        })
    }

    /// Accepts settings from which a model can be built.
    ///
    /// # Errors
    /// [`PolicyError::Unsupported`] names the field.
    pub fn check(&self) -> Result<(), PolicyError> {
        for (field, layers) in
            [("num_layers", self.num_layers), ("num_decoder_layers", self.num_decoder_layers)]
        {
            if !(1..=1024).contains(&layers) {
                return Err(unsupported(field, layers.to_string(), "1 to 1024"));
            }
        }
        for (field, size) in [
            ("vocab_size", self.vocab_size),
            ("d_model", self.d_model),
            ("d_kv", self.d_kv),
            ("d_ff", self.d_ff),
            ("num_heads", self.num_heads),
        ] {
            if !(1..1 << 31).contains(&size) {
                return Err(unsupported(field, size.to_string(), "1 to 2^31 - 1"));
            }
        }
        let buckets = self.relative_attention_num_buckets;
        if !(4..=1 << 16).contains(&buckets) || !buckets.is_multiple_of(2) {
            let field = "relative_attention_num_buckets";
            return Err(unsupported(field, buckets.to_string(), "even, 4 to 65536"));
        }
        let distance = self.relative_attention_max_distance;
        if !(buckets / 2 + 1..1 << 31).contains(&distance) {
            let field = "relative_attention_max_distance";
            let expected = "above half of relative_attention_num_buckets";
            return Err(unsupported(field, distance.to_string(), expected));
        }
        let epsilon = self.layer_norm_epsilon;
        if !(epsilon.is_finite() && epsilon > 0.0) {
            return Err(unsupported("layer_norm_epsilon", epsilon.to_string(), "above zero"));
        }
        if self.decoder_start_token_id as usize >= self.vocab_size {
            let found = self.decoder_start_token_id.to_string();
            return Err(unsupported("decoder_start_token_id", found, "below vocab_size"));
        }
        Ok(())
    }
}

/// Rejects settings that the implementation would otherwise silently compute differently.
fn refuse_unsupported(value: &Value) -> Result<(), PolicyError> {
    let supported: [(&'static str, &[Value], &'static str); 4] = [
        ("model_type", &["t5".into()], "t5"),
        ("is_encoder_decoder", &[Value::Bool(true), Value::Null], "true"),
        ("is_decoder", &[Value::Bool(false), Value::Null], "false"),
        ("quantization_config", &[Value::Null], "null"),
    ];
    for (field, accepted, expected) in supported {
        let found = value.get(field).unwrap_or(&Value::Null);
        if !accepted.contains(found) {
            return Err(unsupported(field, found.to_string(), expected));
        }
    }
    Ok(())
}

fn feed_forward(value: &Value) -> Result<T5FeedForward, PolicyError> {
    match value.get("feed_forward_proj") {
        None => Ok(T5FeedForward::Relu),
        Some(found) => T5FeedForward::deserialize(found)
            .map_err(|_| unsupported("feed_forward_proj", found.to_string(), "relu or gated-gelu")),
    }
}

fn start_token(dir: &Path, config: &Value) -> Result<u32, PolicyError> {
    const FIELD: &str = "decoder_start_token_id";
    let mut found = config.get(FIELD).cloned().unwrap_or(Value::Null);
    let generation = dir.join("generation_config.json");
    if found.is_null() && generation.exists() {
        found = read_json(&generation)?.get(FIELD).cloned().unwrap_or(Value::Null);
    }
    u32::deserialize(&found).map_err(|_| unsupported(FIELD, found.to_string(), "a token id"))
}
