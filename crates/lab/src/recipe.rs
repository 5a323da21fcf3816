//! The settings of a whole run, as a TOML file spells them.

pub(crate) mod compute;
mod like;
pub(crate) mod pool;
pub(crate) mod presets;
pub(crate) mod stage;

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sidereal_corpus::{Dataset, Shares, Split, global_time, leave_one_out};
use sidereal_policy::{Architecture, DecoderConfig, VocabularyExtension};
use sidereal_quantizer::Balance;

use crate::LabError;
use crate::setting::check_counts;
use crate::{CandidatePools, Compute, EvaluateReasoning, Stage, TextsConfig, Training};
use sidereal_train::SftConfig;

/// Settings of a run; every seed follows from `seed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Seed of everything: item order, clusters, weights, batches, dropout, ties, intervals.
    pub seed: u64,
    /// Items of a history that a model sees, the latest ones.
    pub max_history: usize,
    /// What is held out.
    #[serde(default)]
    pub split: SplitConfig,
    /// Item vectors, from which Semantic IDs are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embed: Option<EmbedConfig>,
    /// Semantic IDs made of item vectors; without them, those that were published with the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sids: Option<SidConfig>,
    /// Name of the set that words all tasks.
    #[serde(default = "terse")]
    pub prompts: String,
    /// Texts beside titles.
    #[serde(default)]
    pub texts: TextsConfig,
    /// Candidates of the tasks that show some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<CandidatePools>,
    /// Text pieces of a model that is trained from scratch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<TokenizerConfig>,
    /// Shape of a model that is trained from scratch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelConfig>,
    /// A pretrained model, in place of one from scratch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pretrained: Option<PretrainedConfig>,
    /// What matrix products are computed in.
    #[serde(default)]
    pub compute: Compute,
    /// Checkpoints of a stage that are kept while it trains, the newest. The result does not depend on
    /// it: a run may go on with another number.
    #[serde(default = "one")]
    pub keep_checkpoints: NonZeroUsize,
    /// Evaluation.
    pub evaluate: EvaluateConfig,
    /// Trainings, each behind the one that it starts from.
    #[serde(rename = "stage")]
    pub stages: Vec<Stage>,
}

fn one() -> NonZeroUsize {
    NonZeroUsize::MIN
}

fn terse() -> String {
    "terse".to_owned()
}

/// What is held out for validation and test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SplitConfig {
    /// Each user's last event for the test, the one before for validation (GREAM, SAGE).
    #[default]
    LeaveOneOut,
    /// All samples by time, 8:1:1 (SINGER, `SIDReasoner`). Needs times.
    GlobalTime,
    /// As the data were published.
    Published,
}

impl SplitConfig {
    /// Splits a dataset; histories keep their latest `max_history` items.
    ///
    /// # Errors
    /// Those of the split; [`LabError::Setting`] for [`Published`](Self::Published), which comes
    /// with the data.
    pub fn split(self, dataset: &Dataset, max_history: usize) -> Result<Split, LabError> {
        let window = NonZeroUsize::new(max_history).unwrap_or(NonZeroUsize::MIN);
        Ok(match self {
            Self::LeaveOneOut => leave_one_out(dataset, window)?,
            Self::GlobalTime => {
                global_time(dataset, Shares { train: 8, valid: 1, test: 1 }, window)?
            }
            Self::Published => {
                let (field, found) = ("split".to_owned(), "published".to_owned());
                let needed = "data that were published with a split";
                return Err(LabError::Setting { field, found, needed });
            }
        })
    }
}

/// Vectors from which Semantic IDs are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbedConfig {
    /// Folder of the sentence encoder.
    pub encoder: PathBuf,
    /// Texts encoded together.
    pub batch_size: usize,
    /// Length of the collaborative part (PPMI vectors of the training sequences) beside the text
    /// part of length one; 0 leaves it out, and Semantic IDs speak of texts alone.
    pub collaborative_weight: f32,
    /// Dimensions of the collaborative part.
    pub collaborative_dimensions: usize,
}

/// Semantic IDs by residual k-means, unique by suffix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SidConfig {
    /// Codes of each level.
    pub codebook_sizes: Vec<usize>,
    /// Most iterations a level.
    pub iterations: usize,
    /// Starts of a level, of which the best stays.
    pub restarts: usize,
    /// Whether codes are used evenly (SINGER app. B), `"per-level"` or `"per-parent"`.
    #[serde(default)]
    pub balance: Balance,
}

/// Pieces of text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerConfig {
    /// Most pieces that byte-level BPE learns from the titles.
    pub pieces: usize,
}

/// A pretrained decoder, which gets a token for each code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PretrainedConfig {
    /// HF folder of weights, tokenizer and, for sets of messages, chat template.
    pub base: PathBuf,
    /// What the codes' rows begin as.
    #[serde(default)]
    pub vocabulary: VocabularyExtension,
}

/// Shape of the decoder, trained from scratch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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

/// Evaluation on held-out users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluateConfig {
    /// Beams of a user.
    pub beam_width: usize,
    /// Users decoded together.
    pub batch_size: usize,
    /// Users, drawn by seed, on which training validates itself.
    pub valid_users: usize,
    /// Resamples of the bootstrap.
    pub resamples: usize,
    /// Labels of stages, or names of recommenders, with which every stage is compared in pairs,
    /// besides the one that it starts from.
    #[serde(default)]
    pub compare_with: Vec<String>,
    /// Test of the stages that think before they answer; without it they are tested as they answer
    /// at once, like all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<EvaluateReasoning>,
}

impl Recipe {
    /// Reads settings from TOML.
    ///
    /// # Errors
    /// [`LabError::Io`], [`LabError::Toml`] and [`LabError::Setting`].
    pub fn load(path: &Path) -> Result<Self, LabError> {
        let text = fs::read_to_string(path)
            .map_err(|source| LabError::Io { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// Reads settings from the text of a TOML file; `path` is for messages.
    ///
    /// # Errors
    /// [`LabError::Toml`] and [`LabError::Setting`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, LabError> {
        let refuse = |source| LabError::Toml { path: path.to_owned(), source: Box::new(source) };
        let mut table: toml::Table = text.parse().map_err(refuse)?;
        like::resolve(&mut table)?;
        let recipe: Self = table.try_into().map_err(refuse)?;
        recipe.check()?;
        Ok(recipe)
    }

    /// Accepts settings with which a run can go through.
    ///
    /// # Errors
    /// [`LabError::Setting`] names the field.
    pub fn check(&self) -> Result<(), LabError> {
        check_counts(&[
            ("max_history", self.max_history),
            ("evaluate.beam_width", self.evaluate.beam_width),
            ("evaluate.batch_size", self.evaluate.batch_size),
            ("evaluate.valid_users", self.evaluate.valid_users),
            ("evaluate.resamples", self.evaluate.resamples),
        ])?;
        self.evaluate.reasoning.as_ref().map_or(Ok(()), EvaluateReasoning::check)?;
        self.check_model()?;
        self.check_sids()?;
        self.check_texts()?;
        stage::check(&self.stages)?;
        if self.evaluate.reasoning.is_some()
            && !self.stages.iter().any(|stage| self.is_tested_thinking(stage))
        {
            return Err(LabError::Setting {
                field: "evaluate.reasoning".to_owned(),
                found: "a test of policies that think".to_owned(),
                needed: "a stage that learns to think",
            });
        }
        pool::check(self.pool.as_ref(), &self.stages)
    }

    /// One model, from scratch with its tokenizer or pretrained.
    fn check_model(&self) -> Result<(), LabError> {
        let found = match (&self.model, &self.tokenizer, &self.pretrained) {
            (Some(_), Some(_), None) | (None, None, Some(_)) => return Ok(()),
            (_, _, Some(_)) => "`pretrained` beside `model` or `tokenizer`",
            (None, None, None) => "none of them",
            _ => "`model` without `tokenizer`, or the other way round",
        };
        let (field, found) = ("model".to_owned(), found.to_owned());
        let needed = "`model` with `tokenizer`, or `pretrained`";
        Err(LabError::Setting { field, found, needed })
    }

    /// Item vectors serve Semantic IDs and nothing else.
    fn check_sids(&self) -> Result<(), LabError> {
        let (embed, sids) = match (&self.embed, &self.sids) {
            (Some(embed), Some(sids)) => (embed, sids),
            (None, None) => return Ok(()),
            (embed, _) => {
                let found = if embed.is_some() { "`embed` alone" } else { "`sids` alone" };
                let (field, found) = ("sids".to_owned(), found.to_owned());
                return Err(LabError::Setting { field, found, needed: "both or neither" });
            }
        };
        check_counts(&[
            ("embed.batch_size", embed.batch_size),
            ("sids.iterations", sids.iterations),
            ("sids.restarts", sids.restarts),
        ])?;
        let weight = embed.collaborative_weight;
        if !(weight >= 0.0 && weight.is_finite()) {
            let (field, found) = ("embed.collaborative_weight".to_owned(), weight.to_string());
            return Err(LabError::Setting { field, found, needed: "a number from 0" });
        }
        Ok(())
    }

    /// Texts that nobody reads, or that are asked for and not there.
    fn check_texts(&self) -> Result<(), LabError> {
        let TextsConfig { chat, description_words, .. } = &self.texts;
        check_counts(&[("texts.description_words", description_words.unwrap_or(1))])?;
        if self.texts.teacher.is_some() && self.used_kinds().is_empty() {
            return Err(LabError::Setting {
                field: "texts.teacher".to_owned(),
                found: "a teacher".to_owned(),
                needed: "a stage whose mixture learns a teacher's texts",
            });
        }
        let asks = |stage: &&Stage| matches!(&stage.training, Training::Sft(SftConfig { mixture: Some(mixture), .. }) if mixture.chat > 0.0);
        let asking = self.stages.iter().find(asks);
        let (field, found, needed) = match (asking, chat) {
            (Some(stage), None) => (
                format!("stage.{}.sft.mixture.chat", stage.name),
                "without `texts.chat`",
                "a file of conversations",
            ),
            (None, Some(_)) => {
                ("texts.chat".to_owned(), "a file", "a stage whose mixture takes conversations")
            }
            _ => return Ok(()),
        };
        Err(LabError::Setting { field, found: found.to_owned(), needed })
    }

    /// The stage of this name.
    ///
    /// # Errors
    /// [`LabError::UnknownStage`] lists those there are.
    pub fn stage(&self, name: &str) -> Result<&Stage, LabError> {
        self.stages.iter().find(|stage| stage.name == name).ok_or_else(|| {
            let found: Vec<&str> = self.stages.iter().map(|stage| stage.name.as_str()).collect();
            LabError::UnknownStage { name: name.to_owned(), found: found.join(", ") }
        })
    }
}
