//! `sidereal recommend`: items that a user may choose next.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Context as _;
use sidereal_corpus::{Dataset, Split};
use sidereal_lab::{SplitConfig, TrainedStage, Wanted};
use sidereal_metrics::SeenItems;
use sidereal_policy::device;
use sidereal_sid::{Catalog, ItemId};

use crate::data::{DataArgs, Reading};
use crate::failure::Usage;
use crate::output::line;

/// Recommend items by a policy that `sidereal train` made.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  sidereal recommend runs/demo --data data \"Ironpeak shockproof rugged foam roller\" item-003")]
pub(crate) struct Args {
    /// Folder of the run.
    run: PathBuf,
    /// What the user chose, earliest first: titles, item keys or Semantic IDs, in any mixture.
    #[arg(required = true, value_name = "ITEM")]
    history: Vec<String>,
    /// The stage that trained the policy; without it the last one of the run.
    #[arg(long)]
    stage: Option<String>,
    /// The number of items.
    #[arg(short, default_value = "10")]
    k: NonZeroUsize,
    /// Hypotheses that the search keeps at each level; at least as many as items are asked for are kept.
    #[arg(long, value_name = "N", default_value_t = 50)]
    beam_width: usize,
    /// Recommend items of the history, too.
    #[arg(long)]
    keep_seen: bool,
    /// Print the tree of prefixes that led to the items.
    #[arg(long)]
    explain: bool,
    /// Where to compute: `cpu`, `cuda`, `cuda:N`, or `auto` for CUDA where there is a GPU.
    #[arg(long, default_value = "auto")]
    device: String,
    #[command(flatten)]
    data: DataArgs,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let stage = TrainedStage::open(&args.run, args.stage.as_deref(), device(&args.device)?)?;
    let (dataset, split) = args.data_of(&stage)?;
    let recommender = stage.recommender(&dataset, split.as_ref())?;
    let catalog = stage.catalog();
    let history =
        args.history.iter().map(|text| recommender.find(text)).collect::<Result<Vec<_>, _>>()?;
    let seen = if args.keep_seen { SeenItems::Kept } else { SeenItems::Removed };
    let wanted = Wanted { num_items: args.k, beam_width: args.beam_width, seen };
    let found = recommender.explain(&history, &wanted)?;

    line("after")?;
    for item in &history[history.len().saturating_sub(stage.recipe().max_history)..] {
        line(format_args!("  {}", name(*item, &dataset, catalog)?))?;
    }
    line("next")?;
    for best in &found.items {
        line(format_args!("  {:7.3}  {}", best.score, name(best.item, &dataset, catalog)?))?;
    }
    if args.explain {
        line("log-probabilities of the prefixes")?;
        let codes = catalog.spec().vocabulary();
        for (prefix, score) in &found.prefixes {
            let last = prefix.last().and_then(|token| codes.get(usize::try_from(*token).ok()?));
            let indent = "  ".repeat(prefix.len().saturating_sub(1));
            line(format_args!("  {score:7.3}  {indent}{}", last.map_or("", String::as_str)))?;
        }
    }
    Ok(())
}

impl Args {
    /// The data of the run, and its split where that came with them.
    fn data_of(&self, stage: &TrainedStage) -> anyhow::Result<(Dataset, Option<Split>)> {
        if !self.data.are_given() {
            return Err(Usage::error(
                "the folder of a run does not hold its data: give those that it was trained on, such as `--data \
                 DIR` or `--interactions x.inter --items x.item`",
            ));
        }
        let recipe = stage.recipe();
        let window = NonZeroUsize::new(recipe.max_history).unwrap_or(NonZeroUsize::MIN);
        let how = Reading { seed: recipe.seed, max_history: window, filters: None };
        let data = self.data.read(&how)?;
        let published = recipe.split == SplitConfig::Published;
        Ok((data.dataset, data.split.filter(|_| published)))
    }
}

fn name(item: ItemId, dataset: &Dataset, catalog: &Catalog) -> anyhow::Result<String> {
    let sid = catalog.sid(item).context("the catalogue lacks an item of the data")?;
    let of_data = dataset.item(item).context("the data lack an item of the catalogue")?;
    Ok(format!("{sid}  {} ({})", of_data.title, of_data.key))
}
