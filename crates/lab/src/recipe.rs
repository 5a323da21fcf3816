//! The settings of a whole run, as a TOML file spells them.

pub(crate) mod compute;
pub(crate) mod embed;
pub(crate) mod evaluate;
pub(crate) mod fit;
mod key_path;
pub(crate) mod learned;
mod like;
pub(crate) mod model;
pub(crate) mod pool;
pub(crate) mod presets;
mod reference;
pub(crate) mod rq_kmeans;
pub(crate) mod rq_vae;
pub(crate) mod sids;
pub(crate) mod stage;
pub(crate) mod texts;

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::LabError;
use crate::recipe::compute::Compute;
use crate::recipe::embed::EmbedConfig;
use crate::recipe::evaluate::EvaluateConfig;
use crate::recipe::model::{ModelConfig, PretrainedConfig, TokenizerConfig};
use crate::recipe::pool::CandidatePools;
use crate::recipe::sids::SidConfig;
use crate::recipe::stage::Stage;
use crate::recipe::texts::TextsConfig;
use crate::setting::check_counts;
use crate::split::SplitConfig;

/// Settings of a run; every seed follows from `seed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Seed of everything: item order, clusters, weights, batches, dropout, ties, intervals.
    pub seed: u64,
    /// Items of a history that a model sees, the latest ones. Range `1..`.
    pub max_history: usize,
    /// What is held out for validation and test.
    #[serde(default)]
    pub split: SplitConfig,
    /// Item vectors, from which Semantic IDs are made; with `sids` or not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embed: Option<EmbedConfig>,
    /// Semantic IDs made of item vectors; without them, those that were published with the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sids: Option<SidConfig>,
    /// Name of the set of prompts that words all tasks.
    #[serde(default = "terse")]
    pub prompts: String,
    /// Texts beside titles, which some tasks show or learn.
    #[serde(default)]
    pub texts: TextsConfig,
    /// Candidates of the tasks that show some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<CandidatePools>,
    /// Text pieces of a model that is trained from scratch; with `model` or not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<TokenizerConfig>,
    /// Shape of a model that is trained from scratch; either this or `pretrained` has to be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelConfig>,
    /// A pretrained model, in place of one from scratch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pretrained: Option<PretrainedConfig>,
    /// What matrix products are computed in.
    #[serde(default)]
    pub compute: Compute,
    /// Checkpoints of a stage that are kept while it trains, the newest. The result does not depend on
    /// it: a run may go on with another number. Range `1..`.
    #[serde(default = "one")]
    pub keep_checkpoints: NonZeroUsize,
    /// How the policies are tested.
    pub evaluate: EvaluateConfig,
    /// Trainings, each after the one that it starts from.
    #[serde(rename = "stage")]
    pub stages: Vec<Stage>,
}

fn one() -> NonZeroUsize {
    NonZeroUsize::MIN
}

fn terse() -> String {
    "terse".to_owned()
}

impl Recipe {
    /// Reads settings from TOML.
    ///
    /// # Errors
    /// [`LabError::Io`], and those of [`parse`](Self::parse).
    pub fn load(path: &Path) -> Result<Self, LabError> {
        let text = fs::read_to_string(path)
            .map_err(|source| LabError::Io { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// Reads settings from the text of a TOML file; `path` is for messages.
    ///
    /// # Errors
    /// [`LabError::Toml`] for a text that is no TOML; [`LabError::TomlKey`], which names the key, for a
    /// value of another kind; [`LabError::Setting`] for one outside its range.
    pub fn parse(text: &str, path: &Path) -> Result<Self, LabError> {
        let refuse = |source| LabError::Toml { path: path.to_owned(), source: Box::new(source) };
        let mut table: toml::Table = text.parse().map_err(refuse)?;
        like::resolve(&mut table)?;
        let recipe: Self = key_path::read(table, path)?;
        recipe.check()?;
        Ok(recipe)
    }

    /// Accepts settings with which a run can go through.
    ///
    /// # Errors
    /// [`LabError::Setting`] names the field.
    pub fn check(&self) -> Result<(), LabError> {
        check_counts(&[("max_history", self.max_history)])?;
        self.evaluate.check()?;
        model::check(self.model.as_ref(), self.tokenizer.as_ref(), self.pretrained.as_ref())?;
        self.pretrained.as_ref().map_or(Ok(()), PretrainedConfig::check)?;
        sids::check(self.embed.as_ref(), self.sids.as_ref())?;
        self.texts.check(&self.stages)?;
        stage::check(&self.stages)?;
        self.evaluate.check_stages(&self.stages)?;
        pool::check(self.pool.as_ref(), &self.stages)?;
        fit::check(self.pool.as_ref(), &self.stages)
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

    /// A recipe of fixed values. What a part of a run depends on is such a recipe in which some settings
    /// are those of the run, so that two of them are equal exactly where the part comes out the same.
    pub(crate) fn blank() -> Self {
        Self {
            seed: 0,
            max_history: 1,
            split: SplitConfig::default(),
            embed: None,
            sids: None,
            prompts: String::new(),
            texts: TextsConfig::default(),
            pool: None,
            tokenizer: None,
            model: None,
            pretrained: None,
            compute: Compute::default(),
            keep_checkpoints: NonZeroUsize::MIN,
            evaluate: EvaluateConfig::blank(),
            stages: Vec::new(),
        }
    }
}
