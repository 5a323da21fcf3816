//! Trains both readings of SAGE, GRPO and GBPO on `RecBole`'s atomic files, and prints the curve of the reward.
//!
//! Your own observer sees every step. It takes less than an hour for twenty thousand users on two CPU cores;
//! if it is interrupted, start it again and it goes on.
//! Run: `cargo run --release --example sage -- beauty.inter beauty.item runs/sage`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::path::PathBuf;

use clap::Parser;
use sidereal::data::read::recbole::{ReadOptions, read};
use sidereal::lab::{Pipeline, Recipe};
use sidereal::policy::{device, share_cores};
use sidereal::train::Record;

#[derive(Parser)]
#[command(about = "Trains SAGE, both readings, against GRPO and GBPO")]
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
    let recipe = Recipe::preset("sage/small")?;
    let dataset = read(&args.interactions, &args.items, &ReadOptions::new(recipe.seed))?.dataset;
    let pipeline = Pipeline {
        recipe: &recipe,
        dataset: &dataset,
        published: None,
        baselines: &[],
        out: &args.out,
        device: device("auto")?,
    };
    let outcome = pipeline.run(&mut |record: &Record| {
        if let Some(reward) = record.values.get("reward") {
            println!("{}, step {} of {}: {reward:.4}", record.stage, record.step, record.total);
        }
    })?;
    println!("{}", outcome.report);
    outcome.write_page("SAGE against GRPO and GBPO", &args.out.join("report.html"))?;
    Ok(())
}
