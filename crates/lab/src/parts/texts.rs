//! The texts beside titles: descriptions, what a teacher wrote, general conversations.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sidereal_data::Split;
use sidereal_data::read::RowPolicy;
use sidereal_prompts::{
    Chat, EnrichmentKind, Enrichments, Pools, PromptSet, Task, Tasks, Variable,
};
use sidereal_sid::Catalog;
use sidereal_teacher::{EnrichConfig, Enricher, Job, MetadataTeacher};

use crate::LabError;
use crate::run::{Run, SETTINGS};
use crate::{Pipeline, Recipe, Training};
use sidereal_files::{hash_file, hash_json};
use sidereal_train::Binding;
use sidereal_train::Observer;

/// Texts beside titles.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TextsConfig {
    /// Who wrote about items and users; nobody where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teacher: Option<TeacherConfig>,
    /// General conversations, as [`Chat::read`] reads them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat: Option<PathBuf>,
    /// Words of a description that are shown, the first ones; all where it is left out. Range `1..`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description_words: Option<usize>,
}

/// Who wrote about items and users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TeacherConfig {
    /// Rules over the metadata ([`MetadataTeacher`]), offline, as part of the run.
    Metadata,
    /// Whoever wrote this file, as [`Enrichments::read`] reads it.
    File(PathBuf),
}

/// The texts of a run.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    pub(crate) enrichments: Enrichments,
    pub(crate) chats: Vec<Chat>,
}

impl Recipe {
    /// Tasks of all mixtures, in the order of their names.
    pub(crate) fn used_tasks(&self) -> BTreeSet<Task> {
        let mixtures = self.stages.iter().filter_map(|stage| match &stage.training {
            Training::Sft(config) => config.mixture.as_ref(),
            _ => None,
        });
        mixtures.flat_map(|mixture| &mixture.tasks).copied().collect()
    }

    /// Kinds of a teacher's texts that a stage learns.
    pub(crate) fn used_kinds(&self) -> BTreeSet<EnrichmentKind> {
        let tasks = self.used_tasks();
        tasks.iter().flat_map(|task| task.outputs()).copied().filter_map(kind_of).collect()
    }
}

impl Pipeline<'_> {
    /// Lets the teacher write, where it is part of the run, and reads all texts.
    pub(crate) fn texts(
        &self,
        run: &mut Run,
        split: &Split,
        catalog: &Catalog,
        observer: &mut dyn Observer,
    ) -> Result<Texts, LabError> {
        let config = &self.recipe.texts;
        let read = |path| -> Result<Enrichments, LabError> {
            Ok(Enrichments::read(path, &RowPolicy::strict())?.enrichments)
        };
        let enrichments = match &config.teacher {
            None => Enrichments::default(),
            Some(TeacherConfig::File(path)) => read(path)?,
            Some(TeacherConfig::Metadata) => {
                self.enrich(run, split, catalog, observer)?;
                read(&run.path(ENRICHED))?
            }
        };
        let mut chats = Vec::new();
        if let Some(path) = &config.chat {
            Chat::read(path, &RowPolicy::strict(), |chat| chats.push(chat))?;
        }
        Ok(Texts { enrichments, chats })
    }

    /// The rules' texts of every kind that a stage learns.
    fn enrich(
        &self,
        run: &mut Run,
        split: &Split,
        catalog: &Catalog,
        observer: &mut dyn Observer,
    ) -> Result<(), LabError> {
        let kinds = self.recipe.used_kinds();
        let inputs = Binding::from([
            ("dataset".to_owned(), self.dataset.hash()),
            ("catalogue".to_owned(), catalog.hash()),
            ("train".to_owned(), split.train.hash()),
            ("kinds".to_owned(), hash_json(&kinds)?),
            (SETTINGS.to_owned(), run.settings("enrich", &self.recipe.for_texts())?),
        ]);
        run.stage("enrich", inputs, &[ENRICHED], |run| {
            let config = EnrichConfig::new(self.recipe.seed);
            let enricher = Enricher::new(self.dataset, catalog, config)?;
            let items = kinds.contains(&EnrichmentKind::ItemParagraph);
            let of_events = kinds.iter().filter(|kind| !kind.is_about_an_item());
            let jobs: Vec<Job<'_>> = Job::items(self.dataset)
                .filter(|_| items)
                .chain(of_events.flat_map(|kind| Job::events(*kind, &split.train)))
                .collect();
            let made = enricher.run(&MetadataTeacher, None, &jobs, &mut |_| {})?;
            observer.on_progress("enrich", "texts", jobs.len(), jobs.len());
            let (written, failed) = (made.enrichments.len(), made.failed.len());
            tracing::info!(written, failed, "enriched");
            Ok(made.enrichments.write(&run.path(ENRICHED))?)
        })
    }

    /// Hash of all that texts add to what a stage learns.
    pub(crate) fn texts_hash(&self, texts: &Texts) -> Result<String, LabError> {
        let chats = match &self.recipe.texts.chat {
            Some(path) => hash_file(path)?,
            None => String::new(),
        };
        Ok(hash_json(&(texts.enrichments.hash(), chats, self.recipe.texts.description_words))?)
    }

    /// The tasks of this run, with all their texts.
    pub(crate) fn tasks<'t>(
        &'t self,
        catalog: &Catalog,
        prompts: &'t PromptSet,
        texts: &'t Texts,
        pools: Option<&'t Pools<'t>>,
    ) -> Result<Tasks<'t>, LabError> {
        let tasks = Tasks::new(self.dataset, catalog, prompts)?
            .with_description_words(self.recipe.texts.description_words.unwrap_or(usize::MAX));
        let tasks = tasks.with_enrichments(&texts.enrichments)?;
        Ok(match pools {
            Some(pools) => tasks.with_pools(pools),
            None => tasks,
        })
    }
}

const ENRICHED: &str = "enriched.jsonl";

/// The kind of a teacher's text that a completion shows.
const fn kind_of(variable: Variable) -> Option<EnrichmentKind> {
    match variable {
        Variable::Paragraph => Some(EnrichmentKind::ItemParagraph),
        Variable::Narrative => Some(EnrichmentKind::UserNarrative),
        Variable::Preference => Some(EnrichmentKind::Preference),
        Variable::Reasoning => Some(EnrichmentKind::Reasoning),
        _ => None,
    }
}
