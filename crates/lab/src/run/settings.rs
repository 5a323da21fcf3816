//! The settings that each part of a run depends on.
//!
//! What a part depends on is a recipe in which everything else has a fixed value, so that two of them are
//! equal exactly where the part comes out the same. They are compared as values and not as text: a key
//! that a later version adds has its default in an older recipe, and changes nothing.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::LabError;
use crate::evaluation::{in_domain_part, rankings_part, thoughts_part};
use crate::{Compute, EvaluateConfig, Recipe, SplitConfig, Stage, TeacherConfig, TextsConfig};
use sidereal_files::hash_json;

/// The settings that a part was made with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settled {
    /// What stands for them among the things that the part read.
    pub(crate) id: String,
    /// The recipe, as far as the part depends on it.
    recipe: Value,
}

impl Settled {
    pub(crate) fn new(recipe: &Recipe) -> Result<Self, LabError> {
        Self::known_as(hash_json(recipe)?, recipe)
    }

    /// Settings that an earlier version gave an id of its own.
    pub(crate) fn known_as(id: String, recipe: &Recipe) -> Result<Self, LabError> {
        Ok(Self { id, recipe: value_of(recipe)? })
    }

    /// Whether these are the same settings.
    pub(crate) fn is(&self, recipe: &Recipe) -> bool {
        self.read().is_some_and(|own| own == *recipe)
    }

    /// Dotted name of the first setting that `recipe` has otherwise.
    pub(crate) fn difference(&self, recipe: &Recipe) -> Result<Option<String>, LabError> {
        let Some(own) = self.read() else {
            return Ok(Some("recipe, which this version does not read".to_owned()));
        };
        Ok(first_difference(&value_of(&own)?, &value_of(recipe)?, ""))
    }

    fn read(&self) -> Option<Recipe> {
        Recipe::deserialize(&self.recipe).ok()
    }
}

fn value_of(recipe: &Recipe) -> Result<Value, LabError> {
    serde_json::to_value(recipe)
        .map_err(|source| LabError::Json { path: "settings".into(), source })
}

impl Recipe {
    /// What a training depends on: all that makes data, texts and policies, the stage without its
    /// label, and how it is validated. Where files are does not count, what is in them is hashed.
    pub(crate) fn for_training(&self, stage: &Stage) -> Self {
        let mut own = self.clone();
        own.keep_checkpoints = NonZeroUsize::MIN;
        own.stages = vec![without_label(stage)];
        let EvaluateConfig { batch_size, valid_users, .. } = self.evaluate;
        own.evaluate = EvaluateConfig { batch_size, valid_users, ..blank().evaluate };
        if let Some(embed) = &mut own.embed {
            embed.encoder = PathBuf::new();
        }
        if let Some(pretrained) = &mut own.pretrained {
            pretrained.base = PathBuf::new();
        }
        if let Some(TeacherConfig::File(path)) = &mut own.texts.teacher {
            *path = PathBuf::new();
        }
        own.texts.chat = own.texts.chat.map(|_| PathBuf::new());
        own
    }

    /// What the Semantic IDs depend on.
    pub(crate) fn for_semantic_ids(&self) -> Self {
        let mut embed = self.embed.clone();
        if let Some(embed) = &mut embed {
            embed.encoder = PathBuf::new();
        }
        Self { seed: self.seed, embed, sids: self.sids.clone(), ..blank() }
    }

    /// What the tokenizer depends on.
    pub(crate) fn for_tokenizer(&self) -> Self {
        let (tokenizer, mut pretrained) = (self.tokenizer.clone(), self.pretrained.clone());
        if let Some(pretrained) = &mut pretrained {
            pretrained.base = PathBuf::new();
        }
        // Samples are worded by seed.
        let seed = if tokenizer.is_some() && !self.used_tasks().is_empty() { self.seed } else { 0 };
        Self { seed, tokenizer, pretrained, ..blank() }
    }

    /// What the texts of the rules depend on.
    pub(crate) fn for_texts(&self) -> Self {
        Self { seed: self.seed, ..blank() }
    }

    /// What a stage's answers to the test depend on, besides its policy.
    pub(crate) fn for_answers(&self, stage: &Stage) -> Self {
        let EvaluateConfig { batch_size, beam_width, .. } = self.evaluate;
        let evaluate = EvaluateConfig { beam_width, batch_size, ..blank().evaluate };
        let stages = vec![without_label(stage)];
        Self { seed: self.seed, compute: self.compute, evaluate, stages, ..blank() }
    }

    /// What a stage's chains of thought in the test depend on, besides its policy.
    pub(crate) fn for_thoughts(&self, stage: &Stage) -> Self {
        let mut own = self.for_answers(stage);
        own.evaluate.beam_width = blank().evaluate.beam_width;
        own.evaluate.reasoning.clone_from(&self.evaluate.reasoning);
        own
    }

    /// What the tables depend on, besides the answers.
    pub(crate) fn for_tables(&self) -> Self {
        let (seed, split, pool) = (self.seed, self.split, self.pool);
        let (evaluate, stages) = (self.evaluate.clone(), self.stages.clone());
        Self { seed, split, pool, evaluate, stages, ..blank() }
    }

    /// Every part that has settings, by its name, and what it depends on.
    pub(crate) fn parts(&self) -> Vec<(String, Self)> {
        let mut parts = vec![
            ("quantize".to_owned(), self.for_semantic_ids()),
            ("tokenizer".to_owned(), self.for_tokenizer()),
            ("enrich".to_owned(), self.for_texts()),
            ("test".to_owned(), self.for_tables()),
        ];
        for stage in &self.stages {
            parts.push((stage.name.clone(), self.for_training(stage)));
            parts.push((rankings_part(stage), self.for_answers(stage)));
            parts.push((in_domain_part(stage), self.for_answers(stage)));
            parts.push((thoughts_part(stage), self.for_thoughts(stage)));
        }
        parts
    }

    /// What all stages share that is gathered from them: the tasks that a tokenizer made here is
    /// trained on, and the kinds of texts that the rules write.
    pub(crate) fn gathered(&self) -> impl PartialEq + use<> {
        let rules = self.texts.teacher == Some(TeacherConfig::Metadata);
        let kinds = if rules { self.used_kinds() } else { BTreeSet::new() };
        let tasks = if self.tokenizer.is_some() { self.used_tasks() } else { BTreeSet::new() };
        (kinds, tasks)
    }
}

/// The fixed values.
fn blank() -> Recipe {
    Recipe {
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
        evaluate: EvaluateConfig {
            beam_width: 1,
            batch_size: 1,
            valid_users: 1,
            resamples: 1,
            compare_with: Vec::new(),
            reasoning: None,
        },
        stages: Vec::new(),
    }
}

fn without_label(stage: &Stage) -> Stage {
    Stage { label: stage.name.clone(), ..stage.clone() }
}

/// Dotted name of the first setting that differs; stages by their names.
fn first_difference(old: &Value, new: &Value, name: &str) -> Option<String> {
    let inner = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            keys.into_iter().find_map(|key| match (old.get(key), new.get(key)) {
                (Some(old), Some(new)) => first_difference(old, new, &inner(key)),
                _ => Some(inner(key)),
            })
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            old.iter().zip(new).find_map(|(old, new)| {
                let of = old.get("name").and_then(Value::as_str);
                first_difference(old, new, &of.map_or_else(|| name.to_owned(), inner))
            })
        }
        _ => (old != new).then(|| name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const TEXT: &str = "seed = 1\nmax_history = 5\n[pretrained]\nbase = 'base'\n\
        [evaluate]\nbeam_width = 4\nbatch_size = 2\nvalid_users = 3\nresamples = 5\n\
        [[stage]]\nname = 'sft'\nlabel = 'SFT'\n[stage.sft]\npatience = 3\n";

    fn recipe(text: &str) -> Recipe {
        Recipe::parse(text, Path::new("text")).unwrap()
    }

    #[test]
    fn a_training_depends_on_no_label_no_folder_and_no_setting_of_the_test() {
        let old = recipe(TEXT);
        let settled = Settled::new(&old.for_training(&old.stages[0])).unwrap();
        for (from, to, difference) in [
            ("beam_width = 4", "beam_width = 7", None),
            ("resamples = 5", "resamples = 9\ncompare_with = ['popularity']", None),
            ("label = 'SFT'", "label = 'fine-tuned'", None),
            ("base = 'base'", "base = 'moved/base'", None),
            ("seed = 1", "seed = 1\nkeep_checkpoints = 3", None),
            ("seed = 1", "seed = 2", Some("seed")),
            ("valid_users = 3", "valid_users = 4", Some("evaluate.valid_users")),
            ("patience = 3", "patience = 4", Some("stage.sft.sft.patience")),
            ("patience = 3", "optim.lr = 1e-5", Some("stage.sft.sft.optim.lr")),
        ] {
            let new = recipe(&TEXT.replace(from, to));
            let found = settled.difference(&new.for_training(&new.stages[0])).unwrap();
            assert_eq!(found.as_deref(), difference, "{to}");
            assert_eq!(settled.is(&new.for_training(&new.stages[0])), difference.is_none(), "{to}");
        }
    }

    #[test]
    fn a_key_that_an_older_version_did_not_write_has_its_default() {
        let old = recipe(TEXT);
        let mut settled = Settled::new(&old.for_training(&old.stages[0])).unwrap();
        let sft = settled.recipe["stage"][0]["sft"].as_object_mut().unwrap();
        assert!(sft.remove("checkpoint_every").is_some());
        assert!(settled.is(&old.for_training(&old.stages[0])));
        let sft = settled.recipe["stage"][0]["sft"].as_object_mut().unwrap();
        sft.insert("no_longer_there".to_owned(), Value::from(1));
        assert!(!settled.is(&old.for_training(&old.stages[0])));
    }
}
