//! The texts besides titles: settings.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sidereal_teacher::{EnrichConfig, Sampling};

use crate::error::LabError;
use crate::recipe::learned::learns_of_a_teacher;
use crate::recipe::stage::{Stage, Training};
use crate::setting::check_counts;

/// Requests that are answered together, at most.
const MAX_BATCH: usize = 256;

/// Texts besides titles.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TextsConfig {
    /// The teacher that wrote texts about items and users. Without it there are no such texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teacher: Option<TeacherConfig>,
    /// File of general conversations, a JSON object a line, as
    /// [`Chat::read`](sidereal_prompts::Chat::read) reads them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat: Option<PathBuf>,
    /// The number of words of a description that are shown; the default is all. Range `1..`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description_words: Option<usize>,
}

/// The teacher that wrote texts about items and users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TeacherConfig {
    /// Rules over the metadata ([`MetadataTeacher`](sidereal_teacher::MetadataTeacher)),
    /// without a model, as part of the run.
    Metadata,
    /// A language model on this machine ([`LocalTeacher`](crate::LocalTeacher)), as part of the run.
    Model(LocalTeacherConfig),
    /// A file of texts, which `sidereal enrich` writes and
    /// [`Enrichments::read`](sidereal_prompts::Enrichments::read) reads.
    File(PathBuf),
}

/// A language model on this machine that writes texts. Each answer is checked; an answer that breaks a rule is asked for
/// again with the reason, and a text that stays wrong is left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LocalTeacherConfig {
    /// HF folder of weights, tokenizer and chat template; or the GGUF file of a model, or a folder with one; or
    /// `smollm2`, the model that `cargo xtask model smollm2` fetches.
    pub base: PathBuf,
    /// The most texts of each kind that it is asked for, the first ones; the default is all. Range `1..`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub texts: Option<usize>,
    /// How it draws its tokens; 0 takes the most likely token. Range `[0, ∞)`.
    #[serde(default)]
    pub temperature: f32,
    /// The most tokens of an answer. Range `1..`.
    #[serde(default = "default_max_tokens")]
    pub max_tokens: u32,
    /// Requests that are answered together. Range `1..=256`.
    #[serde(default = "default_batch")]
    pub batch: usize,
    /// How often an answer that breaks a rule is asked for again.
    #[serde(default = "default_corrections")]
    pub corrections: u32,
}

const fn default_max_tokens() -> u32 {
    512
}

const fn default_batch() -> usize {
    8
}

const fn default_corrections() -> u32 {
    2
}

impl LocalTeacherConfig {
    /// The model at `base` with all texts, the most likely tokens, answers of at most 512 tokens, 8 requests together
    /// and 2 corrections.
    #[must_use]
    pub fn new(base: impl Into<PathBuf>) -> Self {
        Self {
            base: base.into(),
            texts: None,
            temperature: 0.0,
            max_tokens: default_max_tokens(),
            batch: default_batch(),
            corrections: default_corrections(),
        }
    }

    /// The settings of its requests.
    #[must_use]
    pub fn requests(&self, seed: u64) -> EnrichConfig {
        let mut config = EnrichConfig::new(seed);
        config.sampling = Sampling { temperature: self.temperature, max_tokens: self.max_tokens };
        (config.concurrency, config.corrections) = (self.batch, self.corrections);
        config
    }

    fn check(&self) -> Result<(), LabError> {
        check_counts(&[
            ("texts.teacher.model.texts", self.texts.unwrap_or(1)),
            ("texts.teacher.model.max_tokens", self.max_tokens as usize),
            ("texts.teacher.model.batch", self.batch),
        ])?;
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return Err(LabError::Setting {
                field: "texts.teacher.model.temperature".to_owned(),
                found: self.temperature.to_string(),
                needed: "a number that is at least 0",
            });
        }
        if self.batch > MAX_BATCH {
            return Err(LabError::Setting {
                field: "texts.teacher.model.batch".to_owned(),
                found: self.batch.to_string(),
                needed: "1 to 256",
            });
        }
        Ok(())
    }
}

impl TextsConfig {
    /// The model on this machine that writes the texts, if one does.
    pub(crate) const fn model(&self) -> Option<&LocalTeacherConfig> {
        match &self.teacher {
            Some(TeacherConfig::Model(model)) => Some(model),
            _ => None,
        }
    }

    /// Rejects texts that no stage uses, and stages that use texts which the recipe does not have.
    /// `rewrites` says whether a teacher's texts are embedded.
    pub(crate) fn check(&self, stages: &[Stage], rewrites: bool) -> Result<(), LabError> {
        check_counts(&[("texts.description_words", self.description_words.unwrap_or(1))])?;
        if let Some(TeacherConfig::Model(model)) = &self.teacher {
            model.check()?;
        }
        if self.teacher.is_some() && !rewrites && !learns_of_a_teacher(stages) {
            return Err(LabError::Setting {
                field: "texts.teacher".to_owned(),
                found: "set but not used".to_owned(),
                needed: "a stage whose mixture contains texts of a teacher, or `rewritten` in `embed.fields`",
            });
        }
        if self.teacher.is_none() && rewrites {
            return Err(LabError::Setting {
                field: "embed.fields".to_owned(),
                found: "`rewritten` without `texts.teacher`".to_owned(),
                needed: "a teacher as `texts.teacher`, which rewrites the texts of items",
            });
        }
        let takes_chat = |stage: &&Stage| match &stage.training {
            Training::Sft(config) => {
                config.mixture.as_ref().is_some_and(|mixture| mixture.chat > 0.0)
            }
            _ => false,
        };
        let (field, found, needed) = match (stages.iter().find(takes_chat), &self.chat) {
            (Some(stage), None) => (
                format!("stage.{}.sft.mixture.chat", stage.name),
                "above 0 without `texts.chat`",
                "a file of conversations as `texts.chat`",
            ),
            (None, Some(_)) => (
                "texts.chat".to_owned(),
                "set but not used",
                "a stage whose mixture has `chat` above 0",
            ),
            _ => return Ok(()),
        };
        Err(LabError::Setting { field, found: found.to_owned(), needed })
    }
}
