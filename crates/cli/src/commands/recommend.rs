//! `sidereal recommend`: items that a user may choose next.

mod blended;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Context as _;
use sidereal_data::{Dataset, Split};
use sidereal_lab::{
    HowToReason, PolicyRecommender, Recommended, SplitConfig, TrainedStage, Wanted,
};
use sidereal_metrics::SeenItems;
use sidereal_policy::{SamplingConfig, device};
use sidereal_sid::{Catalog, ItemId};
use sidereal_train::ChainConfig;

use crate::data::{DataArgs, Reading};
use crate::failure::Usage;
use crate::output::line;

/// Recommend items with a policy that `sidereal train` made.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  sidereal recommend runs/demo \"Ironpeak shockproof rugged foam roller\" item-003
  sidereal recommend runs/gream --reason \"Ironpeak shockproof rugged foam roller\" item-003
  sidereal recommend runs/strong --blend trees --explain \"Ironpeak shockproof rugged foam roller\"")]
pub(crate) struct Args {
    /// Folder of the run, or the folder of a policy within it, which may be copied anywhere.
    run: PathBuf,
    /// What the user chose, earliest first: titles, item keys or Semantic IDs, in any mixture.
    #[arg(required = true, value_name = "ITEM")]
    history: Vec<String>,
    /// The stage that trained the policy; the default is the last stage of the run.
    #[arg(long)]
    stage: Option<String>,
    /// Ask a blend of the run instead of a policy: the mean of several policies and a prior over the items.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["stage", "reason", "beam_width"])]
    blend: Option<String>,
    /// The number of items.
    #[arg(short, default_value = "10")]
    k: NonZeroUsize,
    /// The number of hypotheses that the search keeps at each level, at least as many as items are requested.
    #[arg(long, value_name = "N", default_value_t = 50)]
    beam_width: usize,
    /// Also recommend items of the history.
    #[arg(long)]
    keep_seen: bool,
    /// Print the tree of prefixes that led to the items; of a blend, what every score is made of.
    #[arg(long, conflicts_with = "reason")]
    explain: bool,
    /// Let the policy reason in free text before it answers, and print what it wrote.
    #[arg(long)]
    reason: bool,
    /// The number of chains of thought. Their answers are merged.
    #[arg(long, value_name = "N", default_value = "4", requires = "reason")]
    chains: NonZeroUsize,
    /// The most tokens of a chain.
    #[arg(long, value_name = "N", default_value = "256", requires = "reason")]
    budget: NonZeroUsize,
    /// Seed of the chains.
    #[arg(long, default_value_t = 1, requires = "reason")]
    seed: u64,
    /// Where to compute: `cpu`, `cuda`, `cuda:N`, or `auto` for CUDA if there is a GPU.
    #[arg(long, default_value = "auto")]
    device: String,
    #[command(flatten)]
    data: DataArgs,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(name) = &args.blend {
        return blended::print(args, name);
    }
    let stage = TrainedStage::open(&args.run, args.stage.as_deref(), device(&args.device)?)?;
    if !args.data.are_given() {
        if stage.items().is_none() {
            return Err(Usage::error(
                "the folder was written by an earlier version and has no items: give the data that it was \
                 trained on, such as `--data DIR` or `--interactions x.inter --items x.item`",
            ));
        }
        return args.print(&stage, &stage.standalone()?);
    }
    let (dataset, split) = args.data_of(&stage)?;
    args.print(&stage, &stage.recommender(&dataset, split.as_ref())?)
}

impl Args {
    fn print(
        &self,
        stage: &TrainedStage,
        recommender: &PolicyRecommender<'_>,
    ) -> anyhow::Result<()> {
        let (dataset, catalog) = (recommender.dataset(), stage.catalog());
        let history = self.history.iter().map(|text| recommender.find(text));
        let history = history.collect::<Result<Vec<_>, _>>()?;
        let keeps = self.keep_seen || !stage.card().removes_seen;
        let seen = if keeps { SeenItems::Kept } else { SeenItems::Removed };
        let wanted = Wanted { num_items: self.k, beam_width: self.beam_width, seen };
        line("after")?;
        for item in &history[history.len().saturating_sub(stage.card().max_history)..] {
            line(format_args!("  {}", name(*item, dataset, catalog)?))?;
        }
        let next = |items: &[Recommended]| -> anyhow::Result<()> {
            line("next")?;
            for best in items {
                let item = name(best.item, dataset, catalog)?;
                line(format_args!("  {:7.3}  {item}", best.score))?;
            }
            Ok(())
        };
        if self.reason {
            // The most probable answer after each chain.
            let codes = SamplingConfig::greedy();
            let chain = ChainConfig { budget: self.budget.get(), codes, ..ChainConfig::default() };
            let how = HowToReason { chain, num_chains: self.chains.get(), seed: self.seed };
            let found = recommender.reason(&history, &wanted, &how)?;
            for (number, chain) in (1..).zip(&found.chains) {
                line(format_args!("chain {number}"))?;
                for text in chain.text.lines().filter(|text| !text.trim().is_empty()) {
                    line(format_args!("  {text}"))?;
                }
                for item in &chain.answer {
                    line(format_args!("  so: {}", name(*item, dataset, catalog)?))?;
                }
            }
            return next(&found.items);
        }
        let found = recommender.explain(&history, &wanted)?;
        next(&found.items)?;
        if self.explain {
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

    /// The data of the run, and its split where that came with them.
    fn data_of(&self, stage: &TrainedStage) -> anyhow::Result<(Dataset, Option<Split>)> {
        let Some(recipe) = stage.recipe() else {
            return Err(Usage::error(
                "the folder is the folder of a policy and needs no data: leave out the flags for data",
            ));
        };
        let window = NonZeroUsize::new(recipe.max_history).unwrap_or(NonZeroUsize::MIN);
        let how = Reading { seed: recipe.seed, max_history: window, filters: None };
        let data = self.data.read(&how)?;
        let published = recipe.split == SplitConfig::Published;
        Ok((data.dataset, data.split.filter(|_| published)))
    }
}

fn name(item: ItemId, dataset: &Dataset, catalog: &Catalog) -> anyhow::Result<String> {
    let sid =
        catalog.sid(item).context("the catalogue has no Semantic ID for an item of the data")?;
    let of_data = dataset.item(item).context("an item of the catalogue is not in the data")?;
    let sid = catalog.spec().text(sid);
    Ok(format!("{sid}  {} ({})", of_data.title, of_data.key))
}
