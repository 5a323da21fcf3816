//! Trains SINGER's recommender on RecBole atomic files and reports how good it is.
//!
//! Under an hour for twenty thousand users on two CPU cores; a second start goes on where the
//! first stopped.
//! Run: `cargo run --release --example singer -- --interactions beauty.inter --items beauty.item
//! --out runs/beauty`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Parser;
use sidereal::corpus::read::recbole::{ReadOptions, read};
use sidereal::policy::{device, tune_allocator};
use sidereal::train::{Bars, Pipeline, Recipe};

#[derive(Parser)]
#[command(about = "Trains SINGER's recommender on RecBole atomic files")]
struct Args {
    /// Interactions, `.inter`.
    #[arg(long)]
    interactions: PathBuf,
    /// Items, `.item`.
    #[arg(long)]
    items: PathBuf,
    /// Folder of the run.
    #[arg(long)]
    out: PathBuf,
    /// Settings as TOML; without it those of `examples/singer.toml`.
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
        None => Recipe::parse(include_str!("singer.toml"), Path::new("examples/singer.toml"))?,
    };
    recipe.seed = args.seed.unwrap_or(recipe.seed);
    let device = device(&args.device)?;
    let loaded = read(&args.interactions, &args.items, &ReadOptions::new(recipe.seed))?;
    let dataset = loaded.dataset;
    let pipeline =
        Pipeline { recipe: &recipe, dataset: &dataset, references: &[], out: &args.out, device };
    let outcome = pipeline.run(&mut Bars::default())?;
    println!("{}", outcome.report);
    let page = args.out.join("report.html");
    outcome.write_page("SINGER", &page).context("cannot write the report")?;
    println!("report: {}", page.display());
    Ok(())
}
