//! The parts that depend on the recipe: those that make Semantic IDs, texts and
//! vocabulary.

use std::num::NonZeroUsize;

use sidereal_data::read::RowPolicy;
use sidereal_data::{Dataset, Split};
use sidereal_policy::SidTokenizer;
use sidereal_prompts::{Enrichments, PromptSet, Tasks};
use sidereal_sid::Catalog;
use sidereal_train::Observer;
use tch::Device;

use crate::error::LabError;
use crate::parts::extended_base::ExtendedBase;
use crate::parts::item_vectors::{ItemVectors, VectorFile};
use crate::parts::published_ids::{Published, PublishedIds};
use crate::parts::quantized_ids::QuantizedIds;
use crate::parts::semantic_ids::SemanticIds;
use crate::parts::teacher_texts::TeacherTexts;
use crate::parts::trained_tokenizer::TrainedTokenizer;
use crate::recipe::Recipe;
use crate::recipe::learned::{used_kinds, used_tasks};
use crate::recipe::model::no_model;
use crate::recipe::texts::TeacherConfig;
use crate::run::RunFolder;
use crate::run::part::Made;
use crate::workbench::texts::Texts;

/// The data of a run.
#[derive(Clone, Copy)]
pub(crate) struct Data<'a> {
    pub(crate) dataset: &'a Dataset,
    pub(crate) split: &'a Split,
    pub(crate) published: Option<Published<'a>>,
    pub(crate) device: Device,
}

/// Vectors of the items' texts, if the recipe embeds them.
pub(crate) fn item_vectors(
    run: &mut RunFolder,
    recipe: &Recipe,
    data: Data<'_>,
    observer: &mut dyn Observer,
) -> Result<Option<Made<VectorFile>>, LabError> {
    let Some(config) = &recipe.embed else { return Ok(None) };
    let Data { dataset, device, .. } = data;
    Ok(Some(run.carry_out(&ItemVectors { config, dataset, device }, observer)?))
}

/// Semantic IDs of a tree as the recipe makes them, or as they were published.
pub(crate) fn semantic_ids(
    run: &mut RunFolder,
    recipe: &Recipe,
    data: Data<'_>,
    vectors: Option<&Made<VectorFile>>,
    tree: NonZeroUsize,
    observer: &mut dyn Observer,
) -> Result<Made<SemanticIds>, LabError> {
    let Data { dataset, split, published, device } = data;
    let (Some(embed), Some(sids), Some(vectors)) = (&recipe.embed, &recipe.sids, vectors) else {
        return run.carry_out(&PublishedIds::of(published)?, observer);
    };
    let ids = QuantizedIds {
        tree,
        seed: recipe.seed,
        embed,
        sids,
        vectors,
        num_items: dataset.num_items(),
        train: &split.train,
        device,
    };
    run.carry_out(&ids, observer)
}

/// The texts of the recipe's teacher that `prompts` show, and its conversations.
pub(crate) fn texts(
    run: &mut RunFolder,
    recipe: &Recipe,
    data: Data<'_>,
    (catalog, prompts): (&Catalog, &PromptSet),
    observer: &mut dyn Observer,
) -> Result<Texts, LabError> {
    let Data { dataset, split, .. } = data;
    let enrichments = match &recipe.texts.teacher {
        None => Enrichments::default(),
        Some(TeacherConfig::File(path)) => {
            Enrichments::read(path, &RowPolicy::strict())?.enrichments
        }
        Some(TeacherConfig::Metadata) => {
            let (seed, train) = (recipe.seed, &split.train);
            let kinds = used_kinds(&recipe.stages, prompts)?;
            let texts = TeacherTexts { seed, dataset, train, catalog, kinds };
            run.carry_out(&texts, observer)?.value
        }
    };
    Texts::read(&recipe.texts, enrichments)
}

/// The vocabulary of the recipe's pretrained model, or of a tokenizer that is trained on the texts of these
/// tasks.
pub(crate) fn vocabulary(
    run: &mut RunFolder,
    recipe: &Recipe,
    data: Data<'_>,
    catalog: &Catalog,
    (tasks, texts): (&Tasks<'_>, &Texts),
    observer: &mut dyn Observer,
) -> Result<Made<SidTokenizer>, LabError> {
    let spec = catalog.spec();
    if let Some(config) = &recipe.pretrained {
        return run.carry_out(&ExtendedBase { config, spec }, observer);
    }
    let tokenizer = TrainedTokenizer {
        seed: recipe.seed,
        config: recipe.tokenizer.as_ref().ok_or_else(no_model)?,
        dataset: data.dataset,
        spec,
        used: used_tasks(&recipe.stages),
        tasks,
        train: &data.split.train,
        texts,
        pool: recipe.pool.as_ref(),
    };
    run.carry_out(&tokenizer, observer)
}
