//! Trains SINGER and the variants that its paper compares, on `RecBole`'s atomic files, and reports how good each is.
//!
//! It takes less than an hour for twenty thousand users on two CPU cores; if it is interrupted, start it again and
//! it goes on. The program `sidereal` does the same for every layout of files and every recipe.
//! Run: `cargo run --release --example singer -- beauty.inter beauty.item runs/singer`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::path::PathBuf;

use clap::Parser;
use sidereal::data::read::recbole::{ReadOptions, read};
use sidereal::lab::{Pipeline, Recipe};
use sidereal::policy::{device, share_cores};
use sidereal::train::Bars;

#[derive(Parser)]
#[command(about = "Trains SINGER and the variants that its paper compares")]
struct Args {
    /// Interactions, `.inter`.
    interactions: PathBuf,
    /// Items, `.item`.
    items: PathBuf,
    /// Folder of the run.
    out: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let _shares = share_cores();
    let args = Args::parse();
    let recipe = Recipe::preset("singer/small")?;
    let dataset = read(&args.interactions, &args.items, &ReadOptions::new(recipe.seed))?.dataset;
    let pipeline = Pipeline {
        recipe: &recipe,
        dataset: &dataset,
        published: None,
        baselines: &[],
        out: &args.out,
        device: device("auto")?,
    };
    let outcome = pipeline.run(&mut Bars::default())?;
    println!("{}", outcome.report);
    outcome.write_page("SINGER and its variants", &args.out.join("report.html"))?;
    Ok(())
}
