//! What the examples over `RecBole`'s files share: a recipe over them, into a folder.

use std::path::PathBuf;

use clap::Args;
use sidereal::corpus::read::recbole::{ReadOptions, read};
use sidereal::policy::device;
use sidereal::train::Pipeline;

use crate::run::carry_out;
use crate::settings::{Preset, SettingArgs};

#[derive(Args)]
pub(crate) struct RunArgs {
    /// Interactions, `.inter`.
    #[arg(long)]
    interactions: PathBuf,
    /// Items, `.item`.
    #[arg(long)]
    items: PathBuf,
    /// Folder of the run.
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    settings: SettingArgs,
}

/// Carries out a recipe, prints its tables and writes `report.html`.
pub(crate) fn run(title: &str, presets: &[Preset], args: &RunArgs) -> anyhow::Result<()> {
    let recipe = args.settings.recipe(presets)?;
    let dataset = read(&args.interactions, &args.items, &ReadOptions::new(recipe.seed))?.dataset;
    let pipeline = Pipeline {
        recipe: &recipe,
        dataset: &dataset,
        published: None,
        references: &[],
        out: &args.out,
        device: device(&args.settings.device)?,
    };
    carry_out(title, &pipeline)
}
