//! What the examples that think share: a recipe over data that were published with Semantic IDs and
//! a split, in `MiniOneRec`'s layout, into a folder.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use sidereal::corpus::read::{RowPolicy, minionerec};
use sidereal::policy::device;
use sidereal::train::{Pipeline, Published, TeacherConfig};

use crate::run::carry_out;
use crate::settings::{Preset, SettingArgs};

#[derive(Args)]
pub(crate) struct PublishedArgs {
    /// Items, `x.item.json`.
    #[arg(long)]
    items: PathBuf,
    /// Their Semantic IDs, `x.index.json`.
    #[arg(long)]
    index: PathBuf,
    /// Where it is published.
    #[arg(long)]
    train: Option<PathBuf>,
    #[arg(long)]
    valid: PathBuf,
    #[arg(long)]
    test: PathBuf,
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
    let PublishedArgs { items, index, train, valid, test, .. } = args;
    let files = minionerec::Files { items, index, train: train.as_deref(), valid, test };
    let window = NonZeroUsize::new(recipe.max_history).unwrap_or(NonZeroUsize::MIN);
    let data = minionerec::read(&files, recipe.seed, window, None, &RowPolicy::lenient())?;
    let pipeline = Pipeline {
        recipe: &recipe,
        dataset: &data.dataset,
        published: Some(Published { catalog: &data.catalog, split: &data.split }),
        references: &[],
        out: &args.out,
        device: device(&args.settings.device)?,
    };
    carry_out(title, &pipeline)
}
