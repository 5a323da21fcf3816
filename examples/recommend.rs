//! Recommends items by a policy that the example `demo` or `singer` trained.
//!
//! The history is given as titles, item keys or Semantic IDs, in any mixture, earliest first.
//! Seconds. Run: `cargo run --release --example recommend -- --run runs/demo
//! --interactions datasets/shop/shop.inter --items datasets/shop/shop.item --explain
//! "<a_1><b_7><c_2>" "a title" some_key`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use sidereal::data::Dataset;
use sidereal::data::read::recbole::{ReadOptions, read};
use sidereal::lab::{TrainedStage, Wanted};
use sidereal::metrics::SeenItems;
use sidereal::policy::{device, share_cores};
use sidereal::sid::{Catalog, ItemId};

#[derive(Parser)]
#[command(about = "Recommends items by a trained policy")]
struct Args {
    /// Folder of the run.
    #[arg(long)]
    run: PathBuf,
    /// The stage that trained the policy; the run's last one without it.
    #[arg(long)]
    stage: Option<String>,
    /// Interactions of the run, `.inter`.
    #[arg(long)]
    interactions: PathBuf,
    /// Items of the run, `.item`.
    #[arg(long)]
    items: PathBuf,
    /// Number of items.
    #[arg(short, default_value = "10")]
    k: NonZeroUsize,
    /// Hypotheses kept at each level; at least `k`.
    #[arg(long, default_value_t = 50)]
    beam_width: usize,
    /// Show items of the history too.
    #[arg(long)]
    keep_seen: bool,
    /// Print the tree of prefixes that led to the items.
    #[arg(long)]
    explain: bool,
    /// `cpu`, `cuda`, `cuda:N` or `auto`.
    #[arg(long, default_value = "auto")]
    device: String,
    /// Titles, item keys or Semantic IDs, earliest first.
    #[arg(required = true)]
    history: Vec<String>,
}

fn main() -> anyhow::Result<()> {
    let _shares = share_cores();
    let args = Args::parse();
    let stage = TrainedStage::open(&args.run, args.stage.as_deref(), device(&args.device)?)?;
    let options = ReadOptions::new(stage.recipe().context("not the folder of a run")?.seed);
    let dataset = read(&args.interactions, &args.items, &options)?.dataset;
    let recommender = stage.recommender(&dataset, None)?;
    let catalog = stage.catalog();
    let history =
        args.history.iter().map(|text| recommender.find(text)).collect::<Result<Vec<_>, _>>()?;
    let seen = if args.keep_seen { SeenItems::Kept } else { SeenItems::Removed };
    let wanted = Wanted { num_items: args.k, beam_width: args.beam_width, seen };
    let found = recommender.explain(&history, &wanted)?;

    println!("after");
    for item in &history[history.len().saturating_sub(stage.card().max_history)..] {
        println!("  {}", name(*item, &dataset, catalog)?);
    }
    println!("next");
    for best in &found.items {
        println!("  {:7.3}  {}", best.score, name(best.item, &dataset, catalog)?);
    }
    if args.explain {
        println!("log-probabilities of the prefixes");
        let codes = catalog.spec().vocabulary();
        for (prefix, score) in &found.prefixes {
            let last = prefix.last().and_then(|token| codes.get(usize::try_from(*token).ok()?));
            let indent = "  ".repeat(prefix.len() - 1);
            println!("  {score:7.3}  {indent}{}", last.map_or("", String::as_str));
        }
    }
    Ok(())
}

fn name(item: ItemId, dataset: &Dataset, catalog: &Catalog) -> anyhow::Result<String> {
    let sid = catalog.sid(item).context("the catalogue lacks an item of the data")?;
    let of_data = dataset.item(item).context("the data lack an item of the catalogue")?;
    Ok(format!("{sid}  {} ({})", of_data.title, of_data.key))
}
