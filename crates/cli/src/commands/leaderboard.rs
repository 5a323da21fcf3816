//! `sidereal leaderboard`: many systems over one dataset, under one protocol.

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sidereal_lab::{
    Board, BoardRecipe, LabError, Leaderboard, Published, PublishedNumbers, SplitConfig,
};
use sidereal_policy::device;
use sidereal_train::Bars;

use crate::data::{Data, DataArgs, Reading};
use crate::failure::{Incomplete, Usage};
use crate::output::{line, note};

/// Train and test many systems on one dataset under one protocol, and write one table of them.
///
/// Every system chooses its settings on the same validation users within the same budget; then it is trained with
/// each seed and tested. If the command is interrupted, run it again: it goes on where it stopped. The folder then holds
/// `leaderboard.json` and `leaderboard.html`. A system that cannot be trained is left out and named, and the exit
/// code is 3.
#[derive(Debug, clap::Args)]
#[command(after_help = after_help())]
pub(crate) struct Args {
    /// The name of a leaderboard that comes with the program, or the path of one in TOML.
    recipe: String,
    /// The folder of the leaderboard.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Name of the dataset among the published numbers, such as `beauty`; replaces that of the recipe.
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// A file of published numbers in TOML, instead of those that come with the program.
    #[arg(long, value_name = "FILE")]
    published: Option<PathBuf>,
    /// Replaces the seeds of the recipe, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "SEEDS")]
    seeds: Vec<u64>,
    /// Replaces the folder of the sentence encoder, also in the recipes of whole runs.
    #[arg(long, value_name = "DIR")]
    encoder: Option<PathBuf>,
    /// Title of the page; the default is the name of the folder.
    #[arg(long)]
    title: Option<String>,
    /// Where to compute: `cpu`, `cuda`, `cuda:N`, or `auto` for CUDA if there is a GPU.
    #[arg(long, default_value = "auto")]
    device: String,
    #[command(flatten)]
    data: DataArgs,
}

fn after_help() -> String {
    let mut text = "\
Examples:
  sidereal leaderboard demo --interactions shop.inter --items shop.item --out boards/shop
  sidereal leaderboard amazon --data beauty --dataset beauty --out boards/beauty

Leaderboards:"
        .to_owned();
    for preset in BoardRecipe::presets() {
        // Writing to a text cannot fail.
        let _ = write!(text, "\n  {:<15}{}", preset.name, preset.about);
    }
    let kinds = BoardRecipe::kinds().collect::<Vec<_>>().join(", ");
    let _ = write!(text, "\n\nKinds of systems: {kinds}, and the rows of any recipe of `train`.");
    text
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let recipe = args.recipe()?;
    let numbers = match &args.published {
        Some(path) => PublishedNumbers::load(path)?,
        None => PublishedNumbers::shipped()?,
    };
    let window = NonZeroUsize::new(recipe.max_history).unwrap_or(NonZeroUsize::MIN);
    let how = Reading { seed: recipe.seeds[0], max_history: window, filters: None };
    let data = args.data.read(&how)?;
    let split = match (recipe.split, &data.split) {
        (SplitConfig::Published, Some(split)) => split.clone(),
        (own, _) => own
            .split(&data.dataset, recipe.max_history)
            .with_context(|| format!("the leaderboard `{}` cannot split this data", args.recipe))?,
    };
    let Data { dataset, catalog, split: came, .. } = &data;
    let published = (catalog.is_some() || came.is_some())
        .then_some(Published { catalog: catalog.as_ref(), split: &split });
    let board = Leaderboard {
        recipe: &recipe,
        dataset,
        published,
        numbers: &numbers,
        out: &args.out,
        device: device(&args.device)?,
    };
    show(&board.run(&mut Bars::default())?, &args.out, args.title.as_deref())
}

/// Prints the tables, and writes the page into the folder.
fn show(board: &Board, dir: &Path, title: Option<&str>) -> anyhow::Result<()> {
    board.tables().try_for_each(line)?;
    let page = dir.join("leaderboard.html");
    let name = dir.file_name().unwrap_or(dir.as_os_str()).to_string_lossy();
    board.write_page(title.unwrap_or(&name), &page).context("cannot write the page")?;
    note(format_args!("page: {}", page.display()));
    if board.left_out.is_empty() {
        return Ok(());
    }
    let left_out = board.left_out.iter().map(|out| format!("`{}`: {}", out.system, out.why));
    let left_out = left_out.collect::<Vec<_>>().join("; ");
    Err(Incomplete::error(format!("the leaderboard lacks some of its systems: {left_out}")))
}

impl Args {
    /// The recipe with the values that the command line replaces.
    fn recipe(&self) -> anyhow::Result<BoardRecipe> {
        let path = Path::new(&self.recipe);
        let is_path = path.is_file() || path.extension().is_some_and(|kind| kind == "toml");
        let mut recipe = match BoardRecipe::preset(&self.recipe) {
            Err(LabError::UnknownBoard { .. }) if is_path => BoardRecipe::load(path)?,
            Err(LabError::UnknownBoard { name, found }) => {
                return Err(Usage::error(format!(
                    "`{name}` is neither a leaderboard nor a file; the leaderboards are {found}"
                )));
            }
            found => found?,
        };
        if !self.seeds.is_empty() {
            recipe.seeds.clone_from(&self.seeds);
        }
        if self.dataset.is_some() {
            recipe.dataset.clone_from(&self.dataset);
        }
        if self.encoder.is_some() {
            recipe.encoder.clone_from(&self.encoder);
        }
        Ok(recipe)
    }
}
