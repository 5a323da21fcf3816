//! The model of a run, drawn at random with a tokenizer of its own, or pretrained: settings.

use std::borrow::Cow;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};
use sidereal_policy::{
    AnyPolicy, Decoder, PolicyError, PolicyKind, SidTokenizer, T5, VocabularyExtension,
};
use tch::Device;

use crate::error::LabError;
use crate::recipe::shape::{DecoderShape, ItemShape, T5Shape};

/// A table of a recipe, by key.
type Table = serde_json::Map<String, Value>;

/// Settings of a byte-level tokenizer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenizerConfig {
    /// The most pieces that byte-level BPE learns from the titles and all other texts of the run. Range `0..`.
    pub pieces: usize,
}

/// A pretrained decoder or T5, which gets a token for each code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PretrainedConfig {
    /// HF folder of weights, tokenizer and, for sets of messages, chat template; or the GGUF file of a model, or a folder
    /// with one; or `smollm2`, the model that `cargo xtask model smollm2` fetches.
    pub base: PathBuf,
    /// How the rows of the codes are initialised.
    #[serde(default)]
    pub vocabulary: VocabularyExtension,
}

impl PretrainedConfig {
    /// Accepts settings with which the vocabulary of the base can grow.
    pub(crate) fn check(&self) -> Result<(), LabError> {
        self.vocabulary.check().map_err(|error| match error {
            PolicyError::Unsupported { field, found, expected: needed } => {
                LabError::Setting { field: format!("pretrained.vocabulary.{field}"), found, needed }
            }
            other => other.into(),
        })
    }
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

    /// Accepts a shape of which a model can be made.
    fn check(&self) -> Result<(), LabError> {
        match self {
            Self::Decoder(shape) => shape.check(),
            Self::T5(shape) => shape.check(),
            Self::Item(shape) => shape.check(),
        }
    }
}

/// The key that names the kind.
const KIND: &str = "kind";

impl<'de> Deserialize<'de> for ModelConfig {
    /// Reads the kind first, so that the error about a key of another kind names the key.
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
    /// A decoder is written without its kind, as in recipes from before there were several kinds.
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

/// The keys of a model of a kind, including `kind`; `about` describes the kind.
fn alternative<S: JsonSchema>(
    kind: PolicyKind,
    about: &str,
    generator: &mut SchemaGenerator,
) -> Schema {
    let mut schema = S::json_schema(generator);
    let name = kind.to_string();
    let mut own = json!({ "description": "The kind of the model.", "const": name });
    // A recipe that names no kind means a decoder.
    if kind == PolicyKind::Decoder {
        own["default"] = name.into();
    } else if let Some(required) =
        schema.ensure_object().entry("required").or_insert_with(|| json!([])).as_array_mut()
    {
        required.push(KIND.into());
    }
    schema.insert("description".to_owned(), about.into());
    if let Some(Value::Object(keys)) = schema.get_mut("properties") {
        keys.insert(KIND.to_owned(), own);
    }
    schema
}

impl JsonSchema for ModelConfig {
    fn schema_name() -> Cow<'static, str> {
        "ModelConfig".into()
    }

    /// One alternative for each kind.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let kinds = [
            alternative::<DecoderShape>(
                PolicyKind::Decoder,
                "A Qwen3. A model without a kind is one.",
                generator,
            ),
            alternative::<T5Shape>(
                PolicyKind::T5,
                "An encoder-decoder, TIGER's. Its positions are relative, so there is no longest sequence.",
                generator,
            ),
            alternative::<ItemShape>(
                PolicyKind::Item,
                "A policy that reads a history item by item and needs no tokenizer.",
                generator,
            ),
        ];
        schemars::json_schema!({
            "description": "A model that is trained from scratch: its `kind`, and the shape of a model of \
                            that kind.",
            "oneOf": kinds,
        })
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

/// The error of a recipe without a model.
pub(crate) fn no_model() -> LabError {
    refusal("none of them")
}

fn refusal(found: &str) -> LabError {
    let (field, found) = ("model".to_owned(), found.to_owned());
    let needed =
        "either `model` with `tokenizer`, or a `model` of the kind `item` alone, or `pretrained`";
    LabError::Setting { field, found, needed }
}
