//! The workbenches of a run, one for each tree of Semantic IDs.

use std::num::NonZeroUsize;

use sidereal_data::Dataset;
use sidereal_policy::{Constraint, PolicyKind, SidTokenizer};
use sidereal_prompts::{PromptSet, Tasks};
use sidereal_sid::Catalog;
use sidereal_train::{Binding, Encoder};

use super::chosen::Data;
use crate::error::LabError;
use crate::parts::item_vectors::VectorFile;
use crate::parts::vocabulary::TOKENIZER;
use crate::recipe::pool::CandidatePools;
use crate::recipe::slate::SlateConfig;
use crate::run::part::Made;
use crate::workbench::items::ItemTexts;
use crate::workbench::sid_lines::sid_lines;
use crate::workbench::titles::Titles;
use crate::workbench::{Reads, Words, Workbench};

/// What the workbenches of all trees share.
pub(crate) struct Benches<'a> {
    pub(crate) seed: u64,
    /// Codes of a Semantic ID that say what an item is; `None`: all levels of the catalogue.
    pub(crate) num_levels: Option<NonZeroUsize>,
    pub(crate) data: Data<'a>,
    /// Hash of the whole split, with all users of the test.
    pub(crate) split_hash: &'a str,
    pub(crate) kind: PolicyKind,
    pub(crate) prompts: &'a PromptSet,
    pub(crate) tasks: &'a Tasks<'a>,
    /// `None` for policies that read items.
    pub(crate) vocabulary: Option<&'a Made<SidTokenizer>>,
    pub(crate) item_texts: ItemTexts<'a>,
    /// Whether a stage answers in titles.
    pub(crate) in_titles: bool,
    /// Whether a stage answers in slates of Semantic IDs.
    pub(crate) in_sid_slates: bool,
    pub(crate) pool: Option<CandidatePools>,
    pub(crate) slate: Option<SlateConfig>,
}

impl<'a> Benches<'a> {
    /// The legal answers of a tree.
    pub(crate) fn constraint(&self, catalog: &Catalog) -> Result<Constraint, LabError> {
        let device = self.data.device;
        Ok(match self.vocabulary {
            Some(vocabulary) => Constraint::new(catalog, &vocabulary.value, device)?,
            None => Constraint::of_codes(catalog, device)?,
        })
    }

    /// The workbench of a tree.
    pub(crate) fn of_tree(
        &self,
        catalog: &'a Catalog,
        constraint: &'a Constraint,
    ) -> Result<Workbench<'a>, LabError> {
        let Data { dataset, split, device, .. } = self.data;
        let mut made_for = made_for(dataset, self.split_hash, catalog);
        let reads = if let Some(vocabulary) = self.vocabulary {
            made_for.insert("tokenizer".to_owned(), vocabulary.hash(TOKENIZER)?);
            made_for.insert("prompts".to_owned(), self.prompts.hash().to_owned());
            let tokenizer = &vocabulary.value;
            let encoder = Encoder::new(tokenizer, catalog, self.prompts, constraint.trie())?;
            let folds = self.kind.folds_samples();
            let encoder = if folds { encoder } else { encoder.without_folding() };
            let titles = self.in_titles.then(|| Titles::new(dataset, tokenizer, device));
            let titles = titles.transpose()?;
            let sid_lines = self.in_sid_slates.then(|| sid_lines(catalog, tokenizer, device));
            let (tasks, sid_lines) = (self.tasks, sid_lines.transpose()?);
            Reads::Words(Box::new(Words { tokenizer, tasks, encoder, titles, sid_lines }))
        } else {
            let hash = self.item_texts.vectors.map(|vectors| vectors.hash(VectorFile::NAME));
            // Without vectors the policies are made for none.
            made_for.insert("embeddings".to_owned(), hash.transpose()?.unwrap_or_default());
            Reads::Items(self.item_texts)
        };
        let Self { seed, num_levels, pool, slate, .. } = *self;
        Ok(Workbench {
            seed,
            device,
            dataset,
            split,
            catalog,
            num_levels,
            constraint,
            reads,
            pool,
            slate,
            made_for,
        })
    }
}

/// Hashes of what the policies of a tree are made for, whether they read words or items.
fn made_for(dataset: &Dataset, split_hash: &str, catalog: &Catalog) -> Binding {
    let mut made_for = Binding::from([
        ("catalogue".to_owned(), catalog.hash()),
        ("split".to_owned(), split_hash.to_owned()),
        ("dataset".to_owned(), dataset.hash()),
    ]);
    if let Some(domains) = dataset.domains() {
        made_for.insert("domains".to_owned(), domains.hash());
    }
    made_for
}
