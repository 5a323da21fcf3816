//! What the examples over `RecBole`'s files share: a recipe over them, into a folder.

use std::path::PathBuf;

use clap::Args;
use sidereal::data::read::recbole::{ReadOptions, read};
use sidereal::lab::Pipeline;
use sidereal::policy::device;

use self::domains::{DomainFiles, read_domains};
use crate::run::carry_out;
use crate::settings::{Preset, SettingArgs};

#[path = "domains.rs"]
mod domains;

#[derive(Args)]
pub(crate) struct RunArgs {
    /// Interactions, `.inter`.
    #[arg(long, required_unless_present = "domain")]
    interactions: Option<PathBuf>,
    /// Items, `.item`.
    #[arg(long, required_unless_present = "domain")]
    items: Option<PathBuf>,
    /// In place of both, one of several domains: `NAME=x.inter,x.item`, once for each.
    #[arg(long, conflicts_with_all = ["interactions", "items"])]
    domain: Vec<DomainFiles>,
    /// Folder of the run.
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    settings: SettingArgs,
}

/// Carries out a recipe, prints its tables and writes `report.html`.
pub(crate) fn run(title: &str, presets: &[Preset], args: &RunArgs) -> anyhow::Result<()> {
    let recipe = args.settings.recipe(presets)?;
    let dataset = match (&args.interactions, &args.items) {
        (Some(interactions), Some(items)) => {
            read(interactions, items, &ReadOptions::new(recipe.seed))?.dataset
        }
        _ => read_domains(&args.domain, recipe.seed)?,
    };
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
