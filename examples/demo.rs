//! Makes a recommender from nothing on the shipped shop, and judges it against the known truth.
//!
//! Minutes on two CPU cores. Run: `cargo xtask demo`, or once set up
//! `cargo run --release --example demo -- --out runs/demo`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Parser;
use sidereal::corpus::read::recbole::{ReadOptions, read};
use sidereal::corpus::synthetic::{Shop, ShopRecord};
use sidereal::policy::{device, tune_allocator};
use sidereal::train::{Bars, Pipeline, Recipe, Reference};

#[derive(Parser)]
#[command(about = "Makes a recommender from nothing on the shipped shop")]
struct Args {
    /// Folder of the shop.
    #[arg(long, default_value = "datasets/shop")]
    shop: PathBuf,
    /// Folder of the run.
    #[arg(long, default_value = "runs/demo")]
    out: PathBuf,
    /// Settings as TOML; without it those of `examples/demo.toml`.
    #[arg(long)]
    recipe: Option<PathBuf>,
    /// Replaces the recipe's seed.
    #[arg(long)]
    seed: Option<u64>,
    /// `cpu`, `cuda`, `cuda:N` or `auto`.
    #[arg(long, default_value = "auto")]
    device: String,
    /// More words on stderr: -v for progress of stages, -vv for everything.
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let level = ["warn", "info", "debug"][usize::from(args.verbose.min(2))];
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(level).init();
    let tuned = tune_allocator();
    tracing::info!(tuned, "allocator");
    let mut recipe = match &args.recipe {
        Some(path) => Recipe::load(path)?,
        None => Recipe::parse(include_str!("demo.toml"), Path::new("examples/demo.toml"))?,
    };
    recipe.seed = args.seed.unwrap_or(recipe.seed);
    let file = |name: &str| args.shop.join(name);
    let options = ReadOptions::new(recipe.seed);
    let dataset = read(&file("shop.inter"), &file("shop.item"), &options)?.dataset;
    let record = std::fs::read(file("shop.json")).context("cannot read the shop's record")?;
    let record: ShopRecord = serde_json::from_slice(&record).context("`shop.json` is damaged")?;
    let oracle = Shop::new(record.config)?.oracle(&dataset)?;
    let references = [Reference { name: "best possible", recommender: &oracle }];
    let device = device(&args.device)?;
    let pipeline = Pipeline {
        recipe: &recipe,
        dataset: &dataset,
        references: &references,
        out: &args.out,
        device,
    };
    let outcome = pipeline.run(&mut Bars::default())?;
    println!("{}", outcome.report);
    for showcase in &outcome.showcases {
        println!("{showcase}");
    }
    let page = args.out.join("report.html");
    outcome.write_page("A shop of five hundred products", &page)?;
    println!("report: {}", page.display());
    Ok(())
}
