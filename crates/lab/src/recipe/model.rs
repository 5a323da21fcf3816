//! The model of a run, drawn at random with a tokenizer of its own, or pretrained: settings.

use std::path::PathBuf;

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use sidereal_policy::{
    AnyPolicy, Architecture, Decoder, DecoderConfig, ItemPolicyConfig, PolicyKind, SidTokenizer, T5, T5Config,
    T5FeedForward, VocabularyExtension,
};
use tch::Device;

use crate::error::LabError;
use crate::setting::check_counts;

/// A table of a recipe, by key.
type Table = serde_json::Map<String, Value>;

/// Pieces of text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerConfig {
    /// Most pieces that byte-level BPE learns from the titles.
    pub pieces: usize,
}

/// A pretrained decoder or T5, which gets a token for each code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PretrainedConfig {
    /// HF folder of weights, tokenizer and, for sets of messages, chat template.
    pub base: PathBuf,
    /// What the codes' rows begin as.
    #[serde(default)]
    pub vocabulary: VocabularyExtension,
}

/// A model that is trained from scratch: its `kind`, and the shape of a model of that kind. A recipe that
/// names no kind means a decoder.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ModelConfig {
    /// A Qwen3: `kind = "decoder"`.
    Decoder(DecoderShape),
    /// An encoder-decoder, TIGER's: `kind = "t5"`.
    T5(T5Shape),
    /// A policy that reads a history item by item and needs no tokenizer: `kind = "item"`.
    Item(ItemShape),
}

/// Shape of a decoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecoderShape {
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

/// Shape of a T5, whose positions are relative: there is no longest sequence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct T5Shape {
    /// Width `D`.
    pub hidden_size: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// Layers of the encoder, which reads the history.
    pub encoder_layers: usize,
    /// Layers of the decoder, which writes the answer.
    pub decoder_layers: usize,
    /// Heads.
    pub heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Buckets of distances between tokens, for each of which a head has a weight. Even, from 4.
    #[serde(default = "buckets", skip_serializing_if = "is_buckets")]
    pub distance_buckets: usize,
    /// Distance from which all fall into the last bucket. Above half of the buckets.
    #[serde(default = "distance", skip_serializing_if = "is_distance")]
    pub max_distance: usize,
}

/// Shape of a policy that reads items, and what it reads of them besides their Semantic IDs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ItemShape {
    /// Width `D`.
    pub hidden_size: usize,
    /// Width of the feed-forward layers.
    pub intermediate_size: usize,
    /// Layers.
    pub layers: usize,
    /// Heads.
    pub heads: usize,
    /// Width of the small network that makes a level's state.
    pub head_hidden_size: usize,
    /// Dimensions of an item's whitened text vector, the first principal ones of `[embed]`; 0 leaves texts
    /// out.
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
            text_dimensions: 128,
            categories: true,
        }
    }
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

impl ModelConfig {
    /// The kind of the model.
    #[must_use]
    pub const fn kind(&self) -> PolicyKind {
        match self {
            Self::Decoder(_) => PolicyKind::Decoder,
            Self::T5(_) => PolicyKind::T5,
            Self::Item(_) => PolicyKind::Item,
        }
    }

    /// The shape of a policy that reads items, where it is one.
    pub(crate) const fn as_item(&self) -> Option<&ItemShape> {
        match self {
            Self::Item(shape) => Some(shape),
            _ => None,
        }
    }

    /// A language model of this shape with weights drawn at random, for the vocabulary of a tokenizer.
    ///
    /// # Errors
    /// [`LabError::NoWords`] for a policy that reads items.
    pub(crate) fn random(
        &self,
        tokenizer: &SidTokenizer,
        seed: i64,
        device: Device,
    ) -> Result<AnyPolicy, LabError> {
        let vocab_size = tokenizer.vocab_size();
        Ok(match self {
            Self::Decoder(shape) => Decoder::random(shape.qwen3(vocab_size), seed, device)?.into(),
            Self::T5(shape) => {
                T5::random(shape.t5(vocab_size, tokenizer.pad()), seed, device)?.into()
            }
            Self::Item(_) => return Err(LabError::NoWords { what: "a vocabulary" }),
        })
    }

    /// Accepts a shape of which there is a model.
    fn check(&self) -> Result<(), LabError> {
        match self {
            Self::Decoder(shape) => shape.check(),
            Self::T5(shape) => shape.check(),
            Self::Item(shape) => shape.check(),
        }
    }
}

impl ItemShape {
    /// The settings of the policy that reads the latest `max_history` items.
    pub(crate) fn config(&self, max_history: usize) -> ItemPolicyConfig {
        ItemPolicyConfig {
            hidden_size: self.hidden_size,
            num_hidden_layers: self.layers,
            num_attention_heads: self.heads,
            intermediate_size: self.intermediate_size,
            head_hidden_size: self.head_hidden_size,
            max_history,
            ..ItemPolicyConfig::default()
        }
    }

    fn check(&self) -> Result<(), LabError> {
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

    fn check(&self) -> Result<(), LabError> {
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
    /// The settings of the first T5, with ReLU and a tied head, for a vocabulary; answers begin after the
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

    fn check(&self) -> Result<(), LabError> {
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

/// The key that names the kind.
const KIND: &str = "kind";

impl<'de> Deserialize<'de> for ModelConfig {
    /// Reads the kind first, so that a key of another kind is refused by its name.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        fn shape<S: DeserializeOwned, E: Error>(kind: PolicyKind, table: Table) -> Result<S, E> {
            serde_path_to_error::deserialize(Value::Object(table)).map_err(|error| {
                let key = error.path().to_string();
                let inner = error.into_inner();
                match key.as_str() {
                    "." | "?" => E::custom(format_args!("a model of the kind `{kind}`: {inner}")),
                    key => E::custom(format_args!("`{key}`: {inner}")),
                }
            })
        }
        let mut table = Table::deserialize(deserializer)?;
        let kind = match table.remove(KIND) {
            None => PolicyKind::Decoder,
            Some(kind) => PolicyKind::deserialize(kind)
                .map_err(|error| D::Error::custom(format_args!("`{KIND}`: {error}")))?,
        };
        match kind {
            PolicyKind::Decoder => shape(kind, table).map(Self::Decoder),
            PolicyKind::T5 => shape(kind, table).map(Self::T5),
            PolicyKind::Item => shape(kind, table).map(Self::Item),
            other => Err(D::Error::custom(format_args!(
                "`{KIND}`: a model of the kind `{other}` is not trained from scratch"
            ))),
        }
    }
}

impl Serialize for ModelConfig {
    /// A decoder is written without its kind, as recipes were before there were several.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct OfKind<'a, T> {
            kind: PolicyKind,
            #[serde(flatten)]
            shape: &'a T,
        }
        match self {
            Self::Decoder(shape) => shape.serialize(serializer),
            Self::T5(shape) => OfKind { kind: self.kind(), shape }.serialize(serializer),
            Self::Item(shape) => OfKind { kind: self.kind(), shape }.serialize(serializer),
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
        (Some(model), None, None) if model.kind().reads_items() => model.check(),
        (Some(model), Some(_), None) if model.kind().reads_items() => {
            Err(refusal("`tokenizer` beside a model of the kind `item`, which reads no words"))
        }
        (Some(model), Some(_), None) => model.check(),
        (None, None, Some(_)) => Ok(()),
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
    LabError::Setting { field, found, needed: "`model` with `tokenizer`, a `model` of the kind `item` alone, or `pretrained`" }
}
