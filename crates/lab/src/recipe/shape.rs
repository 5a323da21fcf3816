//! The shapes of models that are trained from scratch: settings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sidereal_policy::{Architecture, DecoderConfig, ItemPolicyConfig, T5Config, T5FeedForward};

use crate::error::LabError;
use crate::setting::check_counts;

/// Shape of a decoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecoderShape {
    /// Width `D`. Range `1..`.
    pub hidden_size: usize,
    /// Width of the feed-forward layer. Range `1..`.
    pub intermediate_size: usize,
    /// Layers. Range `1..`.
    pub layers: usize,
    /// Query heads. Range `1..`.
    pub heads: usize,
    /// Key and value heads. Range `1..`.
    pub key_value_heads: usize,
    /// Width of a head. Range `1..`.
    pub head_dim: usize,
    /// Longest sequence. Range `1..`.
    pub positions: usize,
}

/// Shape of a T5, whose positions are relative: there is no longest sequence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct T5Shape {
    /// Width `D`. Range `1..`.
    pub hidden_size: usize,
    /// Width of the feed-forward layer. Range `1..`.
    pub intermediate_size: usize,
    /// Layers of the encoder, which reads the history. Range `1..`.
    pub encoder_layers: usize,
    /// Layers of the decoder, which writes the answer. Range `1..`.
    pub decoder_layers: usize,
    /// Heads. Range `1..`.
    pub heads: usize,
    /// Width of a head. Range `1..`.
    pub head_dim: usize,
    /// Buckets of distances between tokens, for each of which a head has a weight. An even number. Range
    /// `4..`.
    #[schemars(extend("default" = 32))]
    #[serde(default = "buckets", skip_serializing_if = "is_buckets")]
    pub distance_buckets: usize,
    /// Distance from which all fall into the last bucket. Range `(distance_buckets / 2, ∞)`.
    #[schemars(extend("default" = 128))]
    #[serde(default = "distance", skip_serializing_if = "is_distance")]
    pub max_distance: usize,
}

const fn buckets() -> usize {
    32
}

const fn distance() -> usize {
    128
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls it with")]
const fn is_buckets(found: &usize) -> bool {
    *found == buckets()
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls it with")]
const fn is_distance(found: &usize) -> bool {
    *found == distance()
}

/// Shape of a policy that reads items, and what it reads of them besides their Semantic IDs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ItemShape {
    /// Width `D`. Range `1..`.
    pub hidden_size: usize,
    /// Width of the feed-forward layers. Range `1..`.
    pub intermediate_size: usize,
    /// Layers. Range `1..`.
    pub layers: usize,
    /// Heads. Range `1..`.
    pub heads: usize,
    /// Width of the small network that makes a level's state. Range `1..`.
    pub head_hidden_size: usize,
    /// Share of the branch that smooths a history, in each layer, as in `BSARec`; 0 leaves it out. Range `[0, 1)`.
    pub filter_share: f64,
    /// Whether items of the history have learned weights, by how many places back each was chosen last. They say
    /// how likely users are to choose an item again.
    pub repeats: bool,
    /// Dimensions of an item's whitened text vector, the first principal ones of `[embed]`; 0 leaves texts
    /// out. Range `0..`.
    pub text_dimensions: usize,
    /// Whether the categories of items are read, where the data have some.
    pub categories: bool,
}

impl Default for ItemShape {
    /// The setting that did best on Beauty for its training time.
    fn default() -> Self {
        let sizes = ItemPolicyConfig::default();
        Self {
            hidden_size: sizes.hidden_size,
            intermediate_size: sizes.intermediate_size,
            layers: sizes.num_hidden_layers,
            heads: sizes.num_attention_heads,
            head_hidden_size: sizes.head_hidden_size,
            filter_share: sizes.filter_share,
            repeats: sizes.repeats,
            text_dimensions: 128,
            categories: true,
        }
    }
}

impl ItemShape {
    /// The settings of the policy, which reads the latest `max_history` items.
    pub(crate) fn config(&self, max_history: usize) -> ItemPolicyConfig {
        ItemPolicyConfig {
            hidden_size: self.hidden_size,
            num_hidden_layers: self.layers,
            num_attention_heads: self.heads,
            intermediate_size: self.intermediate_size,
            head_hidden_size: self.head_hidden_size,
            filter_share: self.filter_share,
            repeats: self.repeats,
            max_history,
            ..ItemPolicyConfig::default()
        }
    }

    pub(crate) fn check(&self) -> Result<(), LabError> {
        check_counts(&[
            ("model.hidden_size", self.hidden_size),
            ("model.intermediate_size", self.intermediate_size),
            ("model.layers", self.layers),
            ("model.heads", self.heads),
            ("model.head_hidden_size", self.head_hidden_size),
        ])?;
        Ok(self.config(1).check()?)
    }
}

impl DecoderShape {
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

    /// Accepts a shape of which a model can be made.
    pub(crate) fn check(&self) -> Result<(), LabError> {
        check_counts(&[
            ("model.hidden_size", self.hidden_size),
            ("model.intermediate_size", self.intermediate_size),
            ("model.layers", self.layers),
            ("model.heads", self.heads),
            ("model.key_value_heads", self.key_value_heads),
            ("model.head_dim", self.head_dim),
            ("model.positions", self.positions),
        ])?;
        Ok(self.qwen3(1).check()?)
    }
}

impl T5Shape {
    /// The settings of the first T5, with rectified linear units and a tied head, for a vocabulary; answers begin after the
    /// token `start`.
    #[must_use]
    pub fn t5(&self, vocab_size: usize, start: u32) -> T5Config {
        T5Config {
            vocab_size,
            d_model: self.hidden_size,
            d_kv: self.head_dim,
            d_ff: self.intermediate_size,
            num_layers: self.encoder_layers,
            num_decoder_layers: self.decoder_layers,
            num_heads: self.heads,
            relative_attention_num_buckets: self.distance_buckets,
            relative_attention_max_distance: self.max_distance,
            layer_norm_epsilon: 1e-6,
            feed_forward_proj: T5FeedForward::Relu,
            decoder_start_token_id: start,
            tie_word_embeddings: true,
            scale_decoder_outputs: true,
        }
    }

    /// Accepts a shape of which a model can be made.
    pub(crate) fn check(&self) -> Result<(), LabError> {
        check_counts(&[
            ("model.hidden_size", self.hidden_size),
            ("model.intermediate_size", self.intermediate_size),
            ("model.encoder_layers", self.encoder_layers),
            ("model.decoder_layers", self.decoder_layers),
            ("model.heads", self.heads),
            ("model.head_dim", self.head_dim),
        ])?;
        let Self { distance_buckets, max_distance, .. } = *self;
        let refuse = |field: &str, found: usize, needed| {
            let (field, found) = (format!("model.{field}"), found.to_string());
            Err(LabError::Setting { field, found, needed })
        };
        if distance_buckets < 4 || !distance_buckets.is_multiple_of(2) {
            return refuse("distance_buckets", distance_buckets, "an even number from 4");
        }
        if max_distance <= distance_buckets / 2 {
            let needed = "more than half of `model.distance_buckets`";
            return refuse("max_distance", max_distance, needed);
        }
        Ok(())
    }
}
