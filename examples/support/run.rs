//! What the examples of the published systems share: a recipe over RecBole files, into a folder.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use sidereal::corpus::read::recbole::{ReadOptions, read};
use sidereal::policy::{device, tune_allocator};
use sidereal::train::{Bars, Pipeline, Recipe, TensorBoard};

/// A recipe that comes with an example: its name and its text.
pub(crate) type Preset = (&'static str, &'static str);

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

#[derive(Args)]
pub(crate) struct SettingArgs {
    /// One of the example's own recipes; the first one without it.
    #[arg(long, conflicts_with = "recipe")]
    preset: Option<String>,
    /// A recipe of your own, as TOML.
    #[arg(long)]
    recipe: Option<PathBuf>,
    /// Replaces the recipe's seed.
    #[arg(long)]
    seed: Option<u64>,
    /// `cpu`, `cuda`, `cuda:N` or `auto`.
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,
    /// More words on stderr: -v for progress of stages, -vv for everything.
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

impl SettingArgs {
    /// Sets up logging and returns the recipe that was asked for.
    pub(crate) fn recipe(&self, presets: &[Preset]) -> anyhow::Result<Recipe> {
        let level = ["warn", "info", "debug"][usize::from(self.verbose.min(2))];
        tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(level).init();
        let tuned = tune_allocator();
        tracing::info!(tuned, "allocator");
        let mut recipe = match (&self.recipe, &self.preset) {
            (Some(path), _) => Recipe::load(path)?,
            (None, asked) => {
                let asked = asked.as_deref().unwrap_or(presets[0].0);
                let names: Vec<&str> = presets.iter().map(|(name, _)| *name).collect();
                let (name, text) =
                    presets.iter().find(|(name, _)| *name == asked).with_context(|| {
                        format!("no preset `{asked}`; there are: {}", names.join(", "))
                    })?;
                Recipe::parse(text, Path::new(&format!("preset {name}")))?
            }
        };
        recipe.seed = self.seed.unwrap_or(recipe.seed);
        Ok(recipe)
    }
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

/// Carries out a pipeline, prints its tables and writes `report.html`.
pub(crate) fn carry_out(title: &str, pipeline: &Pipeline<'_>) -> anyhow::Result<()> {
    let board = TensorBoard::open(&pipeline.out.join("tensorboard"))?;
    let outcome = pipeline.run(&mut (Bars::default(), board))?;
    println!("{}", outcome.report);
    let page = pipeline.out.join("report.html");
    outcome.write_page(title, &page).context("cannot write the report")?;
    println!("report: {}", page.display());
    Ok(())
}
