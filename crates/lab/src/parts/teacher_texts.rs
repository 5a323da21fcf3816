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

/// The name of the part.
pub(crate) const NAME: &str = "enrich";

const FILE: &str = "enriched.jsonl";

/// The rules' texts of every kind that a stage learns.
pub(crate) struct TeacherTexts<'a> {
    pub(crate) seed: u64,
    pub(crate) dataset: &'a Dataset,
    pub(crate) train: &'a TrainSet,
    pub(crate) catalog: &'a Catalog,
    pub(crate) kinds: BTreeSet<EnrichmentKind>,
}

/// The settings that the part depends on.
pub(crate) fn depends_on(seed: u64) -> Recipe {
    Recipe { seed, ..Recipe::blank() }
}

impl Part for TeacherTexts<'_> {
    type Output = Enrichments;

    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn settings(&self) -> Option<Recipe> {
        Some(depends_on(self.seed))
    }

    fn inputs(&self) -> Result<Binding, LabError> {
        Ok(Binding::from([
            ("dataset".to_owned(), self.dataset.hash()),
            ("catalogue".to_owned(), self.catalog.hash()),
            ("train".to_owned(), self.train.hash()),
            ("kinds".to_owned(), hash_json(&self.kinds)?),
        ]))
    }

    fn files(&self) -> PartFiles {
        PartFiles::always([FILE])
    }

    fn make(
        &self,
        folder: &Folder,
        _: &Binding,
        observer: &mut dyn Observer,
    ) -> Result<Remarks, LabError> {
        let Self { dataset, train, catalog, kinds, .. } = self;
        let enricher = Enricher::new(dataset, catalog, EnrichConfig::new(self.seed))?;
        let items = kinds.contains(&EnrichmentKind::ItemParagraph);
        let of_events = kinds.iter().filter(|kind| !kind.is_about_an_item());
        let jobs: Vec<Job<'_>> = Job::items(dataset)
            .filter(|_| items)
            .chain(of_events.flat_map(|kind| Job::events(*kind, train)))
            .collect();
        let made = enricher.run(&MetadataTeacher, None, &jobs, &mut |_| {})?;
        observer.on_progress("enrich", "texts", jobs.len(), jobs.len());
        let (written, failed) = (made.enrichments.len(), made.failed.len());
        tracing::info!(written, failed, "enriched");
        made.enrichments.write(&folder.path(FILE))?;
        Ok(Remarks::default())
    }

    fn read(&self, folder: &Folder) -> Result<Enrichments, LabError> {
        Ok(Enrichments::read(&folder.path(FILE), &RowPolicy::strict())?.enrichments)
    }
}
