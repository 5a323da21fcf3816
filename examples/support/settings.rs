//! How every example that trains is told which recipe to take.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use sidereal::lab::Recipe;
use sidereal::policy::{share_cores, tune_allocator};

/// A recipe that comes with an example: its name and its text.
pub(crate) type Preset = (&'static str, &'static str);

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
    /// Replaces the folder of the recipe's pretrained model, in HF's layout.
    #[arg(long)]
    base: Option<PathBuf>,
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
        let shares = share_cores();
        let level = ["warn", "info", "debug"][usize::from(self.verbose.min(2))];
        tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(level).init();
        let tuned = tune_allocator();
        tracing::info!(tuned, shares, "allocator and waiting threads");
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
        if let Some(base) = &self.base {
            let pretrained = recipe.pretrained.as_mut();
            let pretrained =
                pretrained.context("`--base` goes with a recipe of a pretrained model")?;
            pretrained.base.clone_from(base);
        }
        Ok(recipe)
    }
}
