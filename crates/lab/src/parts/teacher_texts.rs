//! The texts that a teacher of the run writes about items and users: rules over the metadata, or a model on this
//! machine.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;

use sidereal_data::read::RowPolicy;
use sidereal_data::{Dataset, TrainSet};
use sidereal_files::{hash_file, hash_json};
use sidereal_prompts::{EnrichmentKind, Enrichments};
use sidereal_sid::Catalog;
use sidereal_teacher::{
    AnswerCache, Durability, EnrichConfig, Enriched, Enricher, Job, MetadataTeacher,
};
use sidereal_train::{Binding, Observer};
use tch::Device;

use crate::error::LabError;
use crate::local_teacher::LocalTeacher;
use crate::recipe::Recipe;
use crate::recipe::base::{base_folder, files_of_base};
use crate::recipe::texts::{LocalTeacherConfig, TeacherConfig, TextsConfig};
use crate::run::part::{Folder, Part, PartFiles, Remarks};

/// The name of the part for texts that name items by their Semantic IDs.
pub(crate) const NAME: &str = "enrich";
/// The name of the part for texts from which Semantic IDs are made.
pub(crate) const BEFORE_IDS: &str = "rewrite";

/// A teacher's texts of some kinds.
pub(crate) struct TeacherTexts<'a> {
    pub(crate) seed: u64,
    pub(crate) dataset: &'a Dataset,
    pub(crate) train: &'a TrainSet,
    /// `None` before there are Semantic IDs.
    pub(crate) catalog: Option<&'a Catalog>,
    pub(crate) kinds: BTreeSet<EnrichmentKind>,
    /// The model that writes them; `None`: rules.
    pub(crate) model: Option<&'a LocalTeacherConfig>,
    /// Where the model computes.
    pub(crate) device: Device,
}

/// The settings that the part depends on. The path of a model does not count, because its files are hashed.
pub(crate) fn depends_on(seed: u64, model: Option<&LocalTeacherConfig>) -> Recipe {
    let without_path = |model: &LocalTeacherConfig| {
        TeacherConfig::Model(LocalTeacherConfig { base: PathBuf::new(), ..model.clone() })
    };
    let texts = TextsConfig { teacher: model.map(without_path), ..TextsConfig::default() };
    Recipe { seed, texts, ..Recipe::blank() }
}

impl Part for TeacherTexts<'_> {
    type Output = Enrichments;

    fn name(&self) -> String {
        self.catalog.map_or(BEFORE_IDS, |_| NAME).to_owned()
    }

    fn settings(&self) -> Option<Recipe> {
        Some(depends_on(self.seed, self.model))
    }

    fn inputs(&self) -> Result<Binding, LabError> {
        let mut inputs = Binding::from([
            ("dataset".to_owned(), self.dataset.hash()),
            ("train".to_owned(), self.train.hash()),
            ("kinds".to_owned(), hash_json(&self.kinds)?),
        ]);
        if let Some(catalog) = self.catalog {
            inputs.insert("catalogue".to_owned(), catalog.hash());
        }
        if let Some(model) = self.model {
            for path in files_of_base(&base_folder(&model.base))? {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                inputs.insert(format!("teacher/{name}"), hash_file(&path)?);
            }
        }
        Ok(inputs)
    }

    fn files(&self) -> PartFiles {
        PartFiles::always([self.file()])
    }

    fn make(
        &self,
        folder: &Folder,
        _: &Binding,
        observer: &mut dyn Observer,
    ) -> Result<Remarks, LabError> {
        let Self { dataset, train, catalog, kinds, model, seed, .. } = self;
        let config = model.map_or_else(|| EnrichConfig::new(*seed), |model| model.requests(*seed));
        let enricher = match catalog {
            Some(catalog) => Enricher::new(dataset, catalog, config)?,
            None => Enricher::without_catalog(dataset, config)?,
        };
        let most = model.and_then(|model| model.texts).unwrap_or(usize::MAX);
        let jobs: Vec<Job<'_>> = kinds
            .iter()
            .flat_map(|kind| Job::items(*kind, dataset).chain(Job::events(*kind, train)).take(most))
            .collect();
        let made = match model {
            Some(model) => self.ask(model, folder, &enricher, &jobs, observer)?,
            None => enricher.run(&MetadataTeacher, None, &jobs, &mut |_| {})?,
        };
        observer.on_progress("enrich", "texts", jobs.len(), jobs.len());
        let (written, failed) = (made.enrichments.len(), made.failed.len());
        tracing::info!(written, failed, "enriched");
        made.enrichments.write(&folder.path(self.file()))?;
        Ok(Remarks::default())
    }

    fn read(&self, folder: &Folder) -> Result<Enrichments, LabError> {
        Ok(Enrichments::read(&folder.path(self.file()), &RowPolicy::strict())?.enrichments)
    }
}

impl TeacherTexts<'_> {
    fn file(&self) -> &'static str {
        self.catalog.map_or("rewritten.jsonl", |_| "enriched.jsonl")
    }

    /// The file of the model's answers, accepted or not, from which an interrupted run goes on.
    fn answers(&self) -> &'static str {
        self.catalog.map_or("rewritten.answers.jsonl", |_| "enriched.answers.jsonl")
    }

    /// The texts of a model; tells how fast they were written and why some are missing.
    fn ask(
        &self,
        model: &LocalTeacherConfig,
        folder: &Folder,
        enricher: &Enricher<'_>,
        jobs: &[Job<'_>],
        observer: &mut dyn Observer,
    ) -> Result<Enriched, LabError> {
        let batch = NonZeroUsize::new(model.batch).unwrap_or(NonZeroUsize::MIN);
        let teacher = &LocalTeacher::load(&model.base, self.device, self.seed, batch)?;
        let cache = &AnswerCache::open(&folder.path(self.answers()), Durability::Buffered)?;
        let start = std::time::Instant::now();
        let (tell, told) = mpsc::channel();
        // The observer stays on this thread.
        let made = thread::scope(|scope| {
            let run = scope.spawn(move || {
                enricher.run(teacher, Some(cache), jobs, &mut |now| {
                    // The other end is there until this one is gone.
                    let _ = tell.send(*now);
                })
            });
            for now in told {
                observer.on_progress("enrich", "texts", now.written + now.failed, now.jobs);
            }
            run.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        let tokens = made.progress.usage.completion_tokens;
        let per_second = tokens as f64 / start.elapsed().as_secs_f64().max(1e-9);
        tracing::info!(tokens, per_second, rejected = made.progress.rejected, "the teacher wrote");
        if let Some(stopped) = made.stopped {
            return Err(LabError::TeacherStopped(stopped));
        }
        if let Some(first) = made.failed.first() {
            let (failed, wanted) = (made.failed.len(), jobs.len());
            let example = format!("{} {}: {}", first.id, first.kind, first.reason);
            if made.enrichments.is_empty() {
                return Err(LabError::Setting {
                    field: "texts.teacher.model".to_owned(),
                    found: format!(
                        "a model that wrote none of {wanted} texts by the rules, the first: {example}"
                    ),
                    needed: "a model that can write such texts, or another teacher",
                });
            }
            tracing::warn!(
                failed,
                wanted,
                "texts of the teacher are missing, the first: {example}"
            );
        }
        Ok(made)
    }
}
