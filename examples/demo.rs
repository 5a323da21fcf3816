//! Trains recommenders on the shipped shop, and compares them with the best possible one.
//!
//! Minutes on two CPU cores. Run: `cargo xtask demo`, or once set up
//! `cargo run --release --example demo -- --out runs/demo`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Parser;
use sidereal::data::read::recbole::{ReadOptions, read};
use sidereal::data::synthetic::{Shop, ShopRecord};
use sidereal::lab::{Baseline, FinishedRun, Pipeline, Recipe, RunComparison, RunResult};
use sidereal::metrics::{Bootstrap, BootstrapConfig, SeenItems};
use sidereal::policy::{device, share_cores, tune_allocator};
use sidereal::train::Bars;

/// The system that no other can exceed, except by chance.
const BOUND: &str = "best possible";

#[derive(Parser)]
#[command(about = "Makes recommenders from nothing on the shipped shop")]
struct Args {
    /// Folder of the shop.
    #[arg(long, default_value = "datasets/shop")]
    shop: PathBuf,
    /// Folder of the runs: one for each seed, named by it.
    #[arg(long, default_value = "runs/demo")]
    out: PathBuf,
    /// `demo`, `demo-tokens`, `demo-fresh` or `demo-objectives`.
    #[arg(long, default_value = "demo")]
    preset: String,
    /// Seed of everything in the first run; the next runs have the next seeds.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of runs.
    #[arg(long, default_value = "3")]
    seeds: std::num::NonZeroU8,
}

fn main() -> anyhow::Result<()> {
    let (_shares, _tuned) = (share_cores(), tune_allocator());
    let args = Args::parse();
    let seeds = || (args.seed..).take(args.seeds.get().into());
    let dir = |seed: u64| args.out.join(seed.to_string());
    let mut first = run(&args.shop, &args.preset, args.seed, &dir(args.seed))?;
    if args.preset == "demo" {
        let tokens = run(&args.shop, "demo-tokens", args.seed, &args.out.join("tokens"))?;
        let own: BTreeSet<String> =
            first.report.rows().iter().map(|row| row.system.clone()).collect();
        let new = tokens.report.rows().iter().filter(|row| !own.contains(&row.system));
        new.cloned().try_for_each(|row| first.report.push(row))?;
    }
    for seed in seeds().skip(1) {
        run(&args.shop, &args.preset, seed, &dir(seed))?;
    }
    first.report.set_bound(BOUND);
    println!("{}", first.report);
    first.showcases.iter().for_each(|showcase| println!("{showcase}"));
    let mut page = first.page("A shop of five hundred products");

    // Every system by seed, with its paired difference to the start of the first reinforcement.
    let from = first.stages.iter().find_map(|stage| stage.from.as_ref());
    let start = first.stages.iter().find(|stage| Some(&stage.name) == from);
    let runs: Vec<FinishedRun> = seeds()
        .map(|seed| FinishedRun::read(&dir(seed), SeenItems::Kept))
        .collect::<Result<_, _>>()?;
    let bootstrap = Bootstrap::try_from(BootstrapConfig::new(args.seed))?;
    for metric in ["HR@10", "NDCG@10"] {
        let against = start.map(|stage| stage.label.as_str());
        let found = RunComparison::new(&runs, metric.parse()?, against, &bootstrap)?;
        println!("{}", found.table());
        found.blocks().into_iter().for_each(|block| page.push(block));
    }
    let path = args.out.join("report.html");
    page.write(&path)?;
    println!("report: {}", path.display());
    Ok(())
}

/// Carries out a preset over the shop.
fn run(shop: &Path, preset: &str, seed: u64, out: &Path) -> anyhow::Result<RunResult> {
    let recipe = Recipe { seed, ..Recipe::preset(preset)? };
    let file = |name: &str| shop.join(name);
    let dataset = read(&file("shop.inter"), &file("shop.item"), &ReadOptions::new(seed))?.dataset;
    let record = std::fs::read(file("shop.json")).context("cannot read the shop's record")?;
    let record: ShopRecord = serde_json::from_slice(&record).context("`shop.json` is damaged")?;
    let oracle = Shop::new(record.config)?.oracle(&dataset)?;
    let pipeline = Pipeline {
        recipe: &recipe,
        dataset: &dataset,
        published: None,
        baselines: &[Baseline { name: BOUND, recommender: &oracle }],
        out,
        device: device("auto")?,
    };
    Ok(pipeline.run(&mut Bars::default())?)
}
