//! Trains a recommender on the shipped shop, and compares it with the best possible one.
//!
//! Minutes on two CPU cores. Run: `cargo xtask demo`, or once set up
//! `cargo run --release --example demo -- --out runs/demo`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use sidereal::data::read::recbole::{ReadOptions, read};
use sidereal::data::synthetic::{Shop, ShopRecord};
use sidereal::lab::{Baseline, Pipeline, Recipe};
use sidereal::policy::{device, share_cores, tune_allocator};
use sidereal::train::Bars;

#[derive(Parser)]
#[command(about = "Makes a recommender from nothing on the shipped shop")]
struct Args {
    /// Folder of the shop.
    #[arg(long, default_value = "datasets/shop")]
    shop: PathBuf,
    /// Folder of the run.
    #[arg(long, default_value = "runs/demo")]
    out: PathBuf,
    /// `demo`, `demo-fresh` or `demo-objectives`.
    #[arg(long, default_value = "demo")]
    preset: String,
    /// Seed of everything.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> anyhow::Result<()> {
    let (_shares, _tuned) = (share_cores(), tune_allocator());
    let args = Args::parse();
    let recipe = Recipe { seed: args.seed, ..Recipe::preset(&args.preset)? };
    let file = |name: &str| args.shop.join(name);
    let options = ReadOptions::new(recipe.seed);
    let dataset = read(&file("shop.inter"), &file("shop.item"), &options)?.dataset;
    let record = std::fs::read(file("shop.json")).context("cannot read the shop's record")?;
    let record: ShopRecord = serde_json::from_slice(&record).context("`shop.json` is damaged")?;
    let oracle = Shop::new(record.config)?.oracle(&dataset)?;
    let pipeline = Pipeline {
        recipe: &recipe,
        dataset: &dataset,
        published: None,
        baselines: &[Baseline { name: "best possible", recommender: &oracle }],
        out: &args.out,
        device: device("auto")?,
    };
    let outcome = pipeline.run(&mut Bars::default())?;
    println!("{}", outcome.report);
    outcome.showcases.iter().for_each(|showcase| println!("{showcase}"));
    let page = args.out.join("report.html");
    outcome.write_page("A shop of five hundred products", &page)?;
    println!("report: {}", page.display());
    Ok(())
}
