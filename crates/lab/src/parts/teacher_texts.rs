//! The texts that the rules over the metadata write about items and users.

use std::collections::BTreeSet;

use sidereal_data::read::RowPolicy;
use sidereal_data::{Dataset, TrainSet};
use sidereal_files::hash_json;
use sidereal_prompts::{EnrichmentKind, Enrichments};
use sidereal_sid::Catalog;
use sidereal_teacher::{EnrichConfig, Enricher, Job, MetadataTeacher};
use sidereal_train::{Binding, Observer};

use crate::error::LabError;
use crate::recipe::Recipe;
use crate::run::part::{Folder, Part, PartFiles, Remarks};

/// The name of the part for texts that name items by their Semantic IDs.
pub(crate) const NAME: &str = "enrich";
/// The name of the part for texts from which Semantic IDs are made.
pub(crate) const BEFORE_IDS: &str = "rewrite";

/// The rules' texts of some kinds.
pub(crate) struct TeacherTexts<'a> {
    pub(crate) seed: u64,
    pub(crate) dataset: &'a Dataset,
    pub(crate) train: &'a TrainSet,
    /// `None` before there are Semantic IDs.
    pub(crate) catalog: Option<&'a Catalog>,
    pub(crate) kinds: BTreeSet<EnrichmentKind>,
}

/// The settings that the part depends on.
pub(crate) fn depends_on(seed: u64) -> Recipe {
    Recipe { seed, ..Recipe::blank() }
}

impl Part for TeacherTexts<'_> {
    type Output = Enrichments;

    fn name(&self) -> String {
        self.catalog.map_or(BEFORE_IDS, |_| NAME).to_owned()
    }

    fn settings(&self) -> Option<Recipe> {
        Some(depends_on(self.seed))
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
        let Self { dataset, train, catalog, kinds, .. } = self;
        let config = EnrichConfig::new(self.seed);
        let enricher = match catalog {
            Some(catalog) => Enricher::new(dataset, catalog, config)?,
            None => Enricher::without_catalog(dataset, config)?,
        };
        let jobs: Vec<Job<'_>> = kinds
            .iter()
            .flat_map(|kind| Job::items(*kind, dataset).chain(Job::events(*kind, train)))
            .collect();
        let made = enricher.run(&MetadataTeacher, None, &jobs, &mut |_| {})?;
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
}
