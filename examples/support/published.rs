//! What the examples that think share: a recipe over data that were published with Semantic IDs and
//! a split, in `MiniOneRec`'s layout, or over several domains, into a folder.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use sidereal::data::read::{RowPolicy, minionerec};
use sidereal::lab::{Pipeline, Published, TeacherConfig};
use sidereal::policy::device;

use self::domains::{DomainFiles, read_domains};
use crate::run::carry_out;
use crate::settings::{Preset, SettingArgs};

#[path = "domains.rs"]
mod domains;

#[derive(Args)]
pub(crate) struct PublishedArgs {
    /// Items, `x.item.json`.
    #[arg(long, required_unless_present = "domain")]
    items: Option<PathBuf>,
    /// Their Semantic IDs, `x.index.json`.
    #[arg(long, required_unless_present = "domain")]
    index: Option<PathBuf>,
    /// Where it is published.
    #[arg(long)]
    train: Option<PathBuf>,
    #[arg(long, required_unless_present = "domain")]
    valid: Option<PathBuf>,
    #[arg(long, required_unless_present = "domain")]
    test: Option<PathBuf>,
    /// In place of all these, one of several domains in `RecBole`'s atomic files, for recipes that
    /// make Semantic IDs and a split: `NAME=x.inter,x.item`, once for each.
    #[arg(long, conflicts_with_all = ["items", "index", "train", "valid", "test"])]
    domain: Vec<DomainFiles>,
    /// Texts of a teacher, as the example `enrich` writes them, in place of the recipe's.
    #[arg(long)]
    enriched: Option<PathBuf>,
    /// Folder of the run.
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    settings: SettingArgs,
}

/// Carries out a recipe, prints its tables and writes `report.html`.
pub(crate) fn run(title: &str, presets: &[Preset], args: &PublishedArgs) -> anyhow::Result<()> {
    let mut recipe = args.settings.recipe(presets)?;
    if let Some(path) = &args.enriched {
        recipe.texts.teacher = Some(TeacherConfig::File(path.clone()));
    }
    let PublishedArgs { items, index, train, valid, test, domain, .. } = args;
    let (dataset, published) = match (items, index, valid, test) {
        (Some(items), Some(index), Some(valid), Some(test)) => {
            let files = minionerec::Files { items, index, train: train.as_deref(), valid, test };
            let window = NonZeroUsize::new(recipe.max_history).unwrap_or(NonZeroUsize::MIN);
            let policy = RowPolicy::lenient();
            let data = minionerec::read(&files, recipe.seed, window, None, &policy)?;
            (data.dataset, Some((data.catalog, data.split)))
        }
        _ => (read_domains(domain, recipe.seed)?, None),
    };
    let published = published.as_ref().map(|(catalog, split)| Published { catalog, split });
    let pipeline = Pipeline {
        recipe: &recipe,
        dataset: &dataset,
        published,
        references: &[],
        out: &args.out,
        device: device(&args.settings.device)?,
    };
    carry_out(title, &pipeline)
}
