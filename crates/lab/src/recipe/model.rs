//! The model of a run, drawn at random with a tokenizer of its own, or pretrained: settings.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sidereal_policy::{Architecture, DecoderConfig, PolicyError, VocabularyExtension};

use crate::error::LabError;

/// The pieces into which text is cut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenizerConfig {
    /// Most pieces that byte-level BPE learns from the titles and all other texts of the run. Range `0..`.
    pub pieces: usize,
}

/// A pretrained decoder, which gets a token for each code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PretrainedConfig {
    /// HF folder of weights, tokenizer and, for sets of messages, chat template.
    pub base: PathBuf,
    /// What the codes' rows begin as.
    #[serde(default)]
    pub vocabulary: VocabularyExtension,
}

impl PretrainedConfig {
    /// Accepts settings by which the base's vocabulary can grow.
    pub(crate) fn check(&self) -> Result<(), LabError> {
        self.vocabulary.check().map_err(|error| match error {
            PolicyError::Unsupported { field, found, expected: needed } => {
                LabError::Setting { field: format!("pretrained.vocabulary.{field}"), found, needed }
            }
            other => other.into(),
        })
    }
}

/// Shape of the decoder, trained from scratch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Width `D`.
    pub hidden_size: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// Layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub key_value_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Longest sequence.
    pub positions: usize,
}

impl ModelConfig {
    /// The Qwen3 settings for a vocabulary.
    #[must_use]
    pub fn qwen3(&self, vocab_size: usize) -> DecoderConfig {
        DecoderConfig {
            architecture: Architecture::Qwen3,
            vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            num_hidden_layers: self.layers,
            num_attention_heads: self.heads,
            num_key_value_heads: self.key_value_heads,
            head_dim: self.head_dim,
            max_position_embeddings: self.positions,
            rms_norm_eps: 1e-6,
            rope_theta: 10_000.0,
            rope_scaling: None,
            attention_bias: false,
            tie_word_embeddings: true,
        }
    }
}

/// Accepts one model, from scratch with its tokenizer or pretrained.
pub(crate) fn check(
    model: Option<&ModelConfig>,
    tokenizer: Option<&TokenizerConfig>,
    pretrained: Option<&PretrainedConfig>,
) -> Result<(), LabError> {
    match (model, tokenizer, pretrained) {
        (Some(_), Some(_), None) | (None, None, Some(_)) => Ok(()),
        (_, _, Some(_)) => Err(refusal("`pretrained` beside `model` or `tokenizer`")),
        (None, None, None) => Err(no_model()),
        _ => Err(refusal("`model` without `tokenizer`, or the other way round")),
    }
}

/// The refusal of a recipe that says nothing of a model.
pub(crate) fn no_model() -> LabError {
    refusal("none of them")
}

fn refusal(found: &str) -> LabError {
    let (field, found) = ("model".to_owned(), found.to_owned());
    LabError::Setting { field, found, needed: "`model` with `tokenizer`, or `pretrained`" }
}
