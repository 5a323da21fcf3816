//! How token states become one vector, read from the files of sentence-transformers.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::PolicyError;
use crate::config::unsupported;

/// How a text's token states `[T, D]` become its vector `[D]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pooling {
    /// Mean over all tokens, those of a prefix included.
    Mean,
    /// State of the last token: Qwen3-Embedding and other decoders.
    LastToken,
    /// State of the first token.
    FirstToken,
}

/// The text before every text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Prefix {
    /// This text, as `Instruct: …\nQuery:` of Qwen3-Embedding; empty for none.
    Text(String),
    /// The prompt of this name in `config_sentence_transformers.json`.
    Named(String),
}

/// Settings that have precedence over those of the directory; with `None` the setting of the
/// directory is used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EncoderOptions {
    /// Without a file: the mean for a BERT, the last token for a decoder.
    pub pooling: Option<Pooling>,
    /// Whether vectors are scaled to Euclidean length one. Without a file they are.
    pub normalise: Option<bool>,
    /// Without a file: the default prompt of the directory, or nothing.
    pub prefix: Option<Prefix>,
    /// Largest number of tokens of a text, special ones included; never more than the model's
    /// positions.
    pub max_length: Option<usize>,
}

impl EncoderOptions {
    /// With this pooling.
    #[must_use]
    pub const fn with_pooling(mut self, pooling: Pooling) -> Self {
        self.pooling = Some(pooling);
        self
    }

    /// With vectors of length one, or as they come.
    #[must_use]
    pub const fn with_normalise(mut self, normalise: bool) -> Self {
        self.normalise = Some(normalise);
        self
    }

    /// With this before every text.
    #[must_use]
    pub fn with_prefix(mut self, prefix: Prefix) -> Self {
        self.prefix = Some(prefix);
        self
    }

    /// With texts cut to this many tokens.
    #[must_use]
    pub const fn with_max_length(mut self, max_length: usize) -> Self {
        self.max_length = Some(max_length);
        self
    }
}

/// The settings of an encoder after files and options were read.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) pooling: Pooling,
    pub(super) normalise: bool,
    pub(super) prefix: String,
    /// Largest number of tokens of a text, if a file or an option says so.
    pub(super) max_length: Option<usize>,
}

/// An entry of `modules.json`.
#[derive(Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    class: String,
}

/// `1_Pooling/config.json`: a name in newer files, a flag for each mode in older ones.
#[derive(Deserialize)]
struct PoolingFile {
    pooling_mode: Option<String>,
    #[serde(default = "yes")]
    include_prompt: bool,
    #[serde(flatten)]
    flags: BTreeMap<String, serde_json::Value>,
}

const fn yes() -> bool {
    true
}

/// The part of `config_sentence_transformers.json` that matters here.
#[derive(Default, Deserialize)]
struct Prompts {
    #[serde(default)]
    prompts: BTreeMap<String, String>,
    default_prompt_name: Option<String>,
}

/// The part of `sentence_bert_config.json` that matters here.
#[derive(Default, Deserialize)]
struct SentenceConfig {
    max_seq_length: Option<usize>,
    #[serde(default)]
    do_lower_case: bool,
}

/// The part of `tokenizer_config.json` that matters here; huge if there is no limit.
#[derive(Default, Deserialize)]
struct TokenizerConfig {
    model_max_length: Option<f64>,
}

impl Settings {
    pub(super) fn read(
        dir: &Path,
        options: &EncoderOptions,
        usual: Pooling,
    ) -> Result<Self, PolicyError> {
        let modules: Option<Vec<Module>> = read(&dir.join("modules.json"))?;
        let (mut pooling, mut normalise) = (None, modules.is_none());
        for module in modules.iter().flatten() {
            match module.class.rsplit('.').next().unwrap_or_default() {
                "Transformer" => {}
                "Pooling" => {
                    let path = dir.join(&module.path).join("config.json");
                    pooling = read::<PoolingFile>(&path)?.map(|file| file.mode()).transpose()?;
                }
                "Normalize" => normalise = true,
                _ => {
                    let expected = "Transformer, Pooling and Normalize";
                    return Err(unsupported("modules.json: type", module.class.clone(), expected));
                }
            }
        }
        let sentence: SentenceConfig =
            read(&dir.join("sentence_bert_config.json"))?.unwrap_or_default();
        if sentence.do_lower_case {
            return Err(unsupported("do_lower_case", "true".into(), "false"));
        }
        let tokenizer: TokenizerConfig =
            read(&dir.join("tokenizer_config.json"))?.unwrap_or_default();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
        let of_tokenizer = tokenizer
            .model_max_length
            .filter(|length| (1.0..1e9).contains(length))
            .map(|length| length as usize);
        Ok(Self {
            pooling: options.pooling.or(pooling).unwrap_or(usual),
            normalise: options.normalise.unwrap_or(normalise),
            prefix: prefix(dir, options.prefix.as_ref())?,
            max_length: options.max_length.or(sentence.max_seq_length).or(of_tokenizer),
        })
    }
}

impl PoolingFile {
    fn mode(&self) -> Result<Pooling, PolicyError> {
        let set = |(name, value): (&String, &serde_json::Value)| {
            let mode = name.strip_prefix("pooling_mode_")?;
            (value == true).then(|| mode.to_owned())
        };
        let modes: Vec<String> = match &self.pooling_mode {
            Some(mode) => vec![mode.clone()],
            None => self.flags.iter().filter_map(set).collect(),
        };
        let pooling = match modes.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["mean" | "mean_tokens"] => Pooling::Mean,
            ["lasttoken"] => Pooling::LastToken,
            ["cls" | "cls_token"] => Pooling::FirstToken,
            _ => {
                let expected = "one of mean, lasttoken and cls";
                return Err(unsupported("pooling_mode", modes.join("+"), expected));
            }
        };
        if !self.include_prompt && pooling != Pooling::LastToken {
            return Err(unsupported("include_prompt", "false".into(), "true"));
        }
        Ok(pooling)
    }
}

fn prefix(dir: &Path, option: Option<&Prefix>) -> Result<String, PolicyError> {
    if let Some(Prefix::Text(text)) = option {
        return Ok(text.clone());
    }
    let found: Prompts = read(&dir.join("config_sentence_transformers.json"))?.unwrap_or_default();
    let name = match option {
        Some(Prefix::Named(name)) => Some(name),
        _ => found.default_prompt_name.as_ref(),
    };
    let Some(name) = name else { return Ok(String::new()) };
    found.prompts.get(name).cloned().ok_or_else(|| {
        unsupported("prompt", name.clone(), "a name among `prompts` of the encoder's directory")
    })
}

/// A JSON file, if there is one.
fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, PolicyError> {
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(path)
        .map_err(|source| PolicyError::Io { path: path.to_owned(), source })?;
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|source| PolicyError::Json { path: path.to_owned(), source })
}
