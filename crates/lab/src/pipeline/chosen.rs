//! The parts that depend on the recipe: those that make Semantic IDs, texts and
//! vocabulary.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use sidereal_data::read::RowPolicy;
use sidereal_data::{Dataset, Split};
use sidereal_policy::SidTokenizer;
use sidereal_prompts::{EnrichmentKind, Enrichments, PromptSet, Tasks};
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
    let rewritten =
        if config.rewrites() { Some(rewritten(run, recipe, data, observer)?) } else { None };
    let rewritten = rewritten.as_ref();
    Ok(Some(run.carry_out(&ItemVectors { config, dataset, rewritten, device }, observer)?))
}

/// What the recipe's teacher makes of the texts of items.
fn rewritten(
    run: &mut RunFolder,
    recipe: &Recipe,
    data: Data<'_>,
    observer: &mut dyn Observer,
) -> Result<Enrichments, LabError> {
    let kind = EnrichmentKind::ItemDescription;
    let Data { dataset, split, device, .. } = data;
    let all = if let Some(TeacherConfig::File(path)) = &recipe.texts.teacher {
        Enrichments::read(path, &RowPolicy::strict())?.enrichments
    } else {
        let (seed, train, kinds) = (recipe.seed, &split.train, BTreeSet::from([kind]));
        let (model, catalog) = (recipe.texts.model(), None);
        let texts = TeacherTexts { seed, dataset, train, catalog, kinds, model, device };
        run.carry_out(&texts, observer)?.value
    };
    let texts = all.of_kind(kind);
    texts.check(dataset)?;
    let (found, items) = (texts.len(), dataset.num_items());
    if found == 0 {
        return Err(LabError::Setting {
            field: "embed.fields".to_owned(),
            found: "`rewritten`, but the teacher wrote no text of kind `item-description`"
                .to_owned(),
            needed: "a file with texts of `sidereal enrich --kind item-description`",
        });
    }
    if found < items {
        tracing::warn!(
            found,
            items,
            "some items have no rewritten description: their other fields are embedded alone"
        );
    }
    Ok(texts)
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
        let ids = PublishedIds::of(published, &split.train, recipe.style()?)?;
        return run.carry_out(&ids, observer);
    };
    let ids = QuantizedIds {
        tree,
        seed: recipe.seed,
        embed,
        sids,
        token_style: recipe.token_style.as_ref(),
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
    let Data { dataset, split, device, .. } = data;
    let enrichments = match &recipe.texts.teacher {
        None => Enrichments::default(),
        Some(TeacherConfig::File(path)) => {
            Enrichments::read(path, &RowPolicy::strict())?.enrichments
        }
        Some(TeacherConfig::Metadata | TeacherConfig::Model(_)) => {
            let (seed, train) = (recipe.seed, &split.train);
            let kinds = used_kinds(&recipe.stages, prompts)?;
            let (catalog, model) = (Some(catalog), recipe.texts.model());
            let texts = TeacherTexts { seed, dataset, train, catalog, kinds, model, device };
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
        slate: recipe.slate,
    };
    run.carry_out(&tokenizer, observer)
}
