//! `sidereal keys`: the keys of a recipe.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use sidereal_lab::Recipe;

use crate::output::{line, note};

/// Print the keys that a recipe may have, with their types, defaults, ranges and meanings, as Markdown.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sidereal keys                       all keys
  sidereal keys stage.rl              the settings of reinforcement
  sidereal keys --write .             recipe.md and recipe.schema.json, into this folder")]
pub(crate) struct Args {
    /// The key to print, with all below it, such as `embed` or `stage.rl.optim`; without it all.
    #[arg(conflicts_with_all = ["schema", "write"])]
    key: Option<String>,
    /// Print the JSON schema instead, which editors check recipes with.
    #[arg(long, conflicts_with = "write")]
    schema: bool,
    /// Write both, `recipe.md` and `recipe.schema.json`, into this folder.
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(dir) = &args.write {
        for (name, text) in [("recipe.md", Recipe::reference()), ("recipe.schema.json", schema()?)]
        {
            let path = dir.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
            note(format_args!("written: {}", path.display()));
        }
        return Ok(());
    }
    let text = match &args.key {
        _ if args.schema => schema()?,
        Some(key) => Recipe::reference_of(key)?,
        None => Recipe::reference(),
    };
    Ok(line(text.trim_end())?)
}

/// The schema as the text of a file.
fn schema() -> anyhow::Result<String> {
    Ok(format!("{}\n", serde_json::to_string_pretty(&Recipe::schema())?))
}
