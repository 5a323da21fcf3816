//! The settings of a whole run, as a TOML file spells them.

pub(crate) mod answering;
pub(crate) mod base;
pub(crate) mod behaviours;
pub(crate) mod blend;
pub(crate) mod compute;
pub(crate) mod embed;
pub(crate) mod evaluate;
pub(crate) mod evaluate_reasoning;
pub(crate) mod fit;
pub(crate) mod hierarchical;
mod key_path;
pub(crate) mod kind;
pub(crate) mod learned;
mod like;
pub(crate) mod linfa_kmeans;
pub(crate) mod model;
pub(crate) mod pool;
pub(crate) mod presets;
mod reference;
pub(crate) mod rq_kmeans;
pub(crate) mod rq_vae;
pub(crate) mod scaling;
pub(crate) mod shape;
pub(crate) mod sids;
pub(crate) mod slate;
pub(crate) mod spectral;
pub(crate) mod stage;
pub(crate) mod texts;
pub(crate) mod token_style;
pub(crate) mod two_streams;
pub(crate) mod untrained;

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sidereal_prompts::Task;
use sidereal_sid::TokenStyle;

use crate::error::LabError;
use crate::recipe::blend::BlendConfig;
use crate::recipe::compute::Compute;
use crate::recipe::embed::EmbedConfig;
use crate::recipe::evaluate::EvaluateConfig;
use crate::recipe::model::{ModelConfig, PretrainedConfig, TokenizerConfig};
use crate::recipe::pool::CandidatePools;
use crate::recipe::sids::SidConfig;
use crate::recipe::slate::SlateConfig;
use crate::recipe::stage::Stage;
use crate::recipe::texts::TextsConfig;
use crate::recipe::token_style::TokenStyleConfig;
use crate::setting::check_counts;
use crate::split::SplitConfig;

/// Settings of a run. All random numbers depend on `seed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Seed of everything: item order, clusters, weights, batches, dropout, ties, intervals.
    pub seed: u64,
    /// The number of items of a history that a model sees; the latest ones are kept. Range
    /// `1..`.
    pub max_history: usize,
    /// What is held out for validation and test.
    #[serde(default)]
    pub split: SplitConfig,
    /// Item vectors, from which Semantic IDs are made; with `sids` or not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embed: Option<EmbedConfig>,
    /// Semantic IDs made of item vectors. Without it, those that were published with the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sids: Option<SidConfig>,
    /// How the codes of Semantic IDs are written as tokens. Without it, published Semantic IDs keep the style
    /// of their file, and those that the run makes are written as `<a_12>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_style: Option<TokenStyleConfig>,
    /// Name of the prompt set that words all tasks.
    #[serde(default = "terse")]
    pub prompts: String,
    /// Texts besides titles, which some tasks show or learn.
    #[serde(default)]
    pub texts: TextsConfig,
    /// Candidates in the prompts of some tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<CandidatePools>,
    /// Slates out of the whole catalogue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slate: Option<SlateConfig>,
    /// Tokenizer of a model that is trained from scratch; with a `model` that reads words, or not
    /// at all. A `model` of the kind `item` reads none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<TokenizerConfig>,
    /// Shape of a model that is trained from scratch; either this or `pretrained` has to be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelConfig>,
    /// A pretrained model, instead of one from scratch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pretrained: Option<PretrainedConfig>,
    /// Number type of matrix products.
    #[serde(default)]
    pub compute: Compute,
    /// The number of checkpoints that are kept while a stage trains; the newest are kept. The
    /// result does not depend on it, and a run may go on with another number. Range `1..`.
    #[serde(default = "one")]
    pub keep_checkpoints: NonZeroUsize,
    /// How the policies are tested.
    pub evaluate: EvaluateConfig,
    /// The training stages; each comes after the stage that it starts from.
    #[serde(rename = "stage")]
    pub stages: Vec<Stage>,
    /// Further rows of the tables: policies with priors over the items, and averages of policies that read items.
    #[serde(default, rename = "blend", skip_serializing_if = "Vec::is_empty")]
    pub blends: Vec<BlendConfig>,
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
    /// [`LabError::Toml`] for a text that is not TOML; [`LabError::TomlKey`], which names the key,
    /// for a value of another kind; [`LabError::Setting`] for one outside its range.
    pub fn parse(text: &str, path: &Path) -> Result<Self, LabError> {
        let refuse = |source| LabError::Toml { path: path.to_owned(), source: Box::new(source) };
        let mut table: toml::Table = text.parse().map_err(refuse)?;
        like::resolve(&mut table)?;
        let recipe: Self = key_path::read(table, path)?;
        recipe.check()?;
        Ok(recipe)
    }

    /// Accepts settings with which a run is possible.
    ///
    /// # Errors
    /// [`LabError::Setting`] names the field; [`LabError::Notation`] for a token style that is ambiguous.
    pub fn check(&self) -> Result<(), LabError> {
        check_counts(&[("max_history", self.max_history)])?;
        self.evaluate.check()?;
        model::check(self.model.as_ref(), self.tokenizer.as_ref(), self.pretrained.as_ref())?;
        self.pretrained.as_ref().map_or(Ok(()), PretrainedConfig::check)?;
        sids::check(self.embed.as_ref(), self.sids.as_ref(), self.reads_items())?;
        self.style()?;
        self.texts.check(&self.stages, self.embed.as_ref().is_some_and(EmbedConfig::rewrites))?;
        stage::check(&self.stages)?;
        stage::check_scratch(&self.stages, self.pretrained.is_some())?;
        self.evaluate.check_stages(&self.stages)?;
        pool::check(self.pool.as_ref(), &self.stages)?;
        slate::check(self.slate, self.pool.as_ref(), &self.evaluate, &self.stages)?;
        fit::check(self.pool.as_ref(), &self.stages)?;
        blend::check(&self.blends, &self.stages, self.reads_items())?;
        self.check_queries()?;
        self.check_trees()?;
        match &self.model {
            Some(model) => {
                kind::check(model.kind(), &self.stages, self.compute)?;
                self.evaluate.check_kind(model.kind())
            }
            None => Ok(()),
        }
    }

    /// Whether its model, if it trains one from scratch, reads items.
    #[must_use]
    pub fn reads_items(&self) -> bool {
        self.model.as_ref().is_some_and(|model| model.kind().reads_items())
    }

    /// Takes the Semantic IDs that were published with the data, instead of some of its own; returns whether
    /// it would have made some.
    pub fn use_published_ids(&mut self) -> bool {
        let had = self.sids.take().is_some();
        if had {
            // A policy that reads items reads their texts, whoever made the Semantic IDs.
            let reads_items = self.reads_items();
            self.embed = self.embed.take().filter(|_| reads_items);
        }
        had
    }

    /// Accepts tasks about queries with a published split, which can be one by users: queries have no times.
    fn check_queries(&self) -> Result<(), LabError> {
        let queried = |stage: &&Stage| learned::tasks_of(stage).any(Task::is_about_a_query);
        match self.stages.iter().find(queried) {
            Some(stage) if self.split != SplitConfig::Published => Err(LabError::Setting {
                field: format!("stage.{}.sft.mixture.tasks", stage.name),
                found: "with `interactive`".to_owned(),
                needed: "`split = \"published\"`: queries have no times, so users must be in training or in the test",
            }),
            _ => Ok(()),
        }
    }

    /// Accepts several trees where the recipe makes them.
    fn check_trees(&self) -> Result<(), LabError> {
        let several = self.stages.iter().find(|stage| stage.tree > NonZeroUsize::MIN);
        let makes_trees = self.sids.as_ref().is_some_and(|sids| sids.method.makes_trees());
        match several {
            Some(stage) if !makes_trees => Err(LabError::Setting {
                field: format!("stage.{}.tree", stage.name),
                found: stage.tree.to_string(),
                needed: "1, or `[sids]` by a kind of k-means, which makes another tree of another seed",
            }),
            _ => Ok(()),
        }
    }

    /// How codes are written, where the recipe says so.
    ///
    /// # Errors
    /// [`LabError::Notation`] for a template in which tokens could be read in more than one way.
    pub fn style(&self) -> Result<Option<TokenStyle>, LabError> {
        self.token_style.as_ref().map(TokenStyleConfig::style).transpose()
    }

    /// The stage of this name.
    ///
    /// # Errors
    /// [`LabError::UnknownStage`] lists the known stages.
    pub fn stage(&self, name: &str) -> Result<&Stage, LabError> {
        self.stages.iter().find(|stage| stage.name == name).ok_or_else(|| {
            let found: Vec<&str> = self.stages.iter().map(|stage| stage.name.as_str()).collect();
            LabError::UnknownStage { name: name.to_owned(), found: found.join(", ") }
        })
    }

    /// A recipe of fixed values. The settings that a part depends on are such a recipe, in which some
    /// values are those of the run. So two of them are equal exactly if the part has the same result.
    pub(crate) fn blank() -> Self {
        Self {
            seed: 0,
            max_history: 1,
            split: SplitConfig::default(),
            embed: None,
            sids: None,
            token_style: None,
            prompts: String::new(),
            texts: TextsConfig::default(),
            pool: None,
            slate: None,
            tokenizer: None,
            model: None,
            pretrained: None,
            compute: Compute::default(),
            keep_checkpoints: NonZeroUsize::MIN,
            evaluate: EvaluateConfig::blank(),
            stages: Vec::new(),
            blends: Vec::new(),
        }
    }
}
