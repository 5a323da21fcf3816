//! Trains S-DPO with more and more negatives, and DPO, on `RecBole`'s atomic files, and reports how good each is.
//!
//! A preset is changed in code here: the recipe is a value like any other. It takes less than an hour for twenty
//! thousand users on two CPU cores; if it is interrupted, start it again and it goes on.
//! Run: `cargo run --release --example sdpo -- beauty.inter beauty.item runs/sdpo --seed 2`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::path::PathBuf;

use clap::Parser;
use sidereal::data::read::recbole::{ReadOptions, read};
use sidereal::lab::{Pipeline, Recipe};
use sidereal::policy::{device, share_cores};
use sidereal::train::{Bars, TensorBoard};

#[derive(Parser)]
#[command(about = "Trains S-DPO and DPO with all kinds of negatives")]
struct Args {
    /// Interactions, `.inter`.
    interactions: PathBuf,
    /// Items, `.item`.
    items: PathBuf,
    /// Folder of the run.
    out: PathBuf,
    /// Seed of everything.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> anyhow::Result<()> {
    let _shares = share_cores();
    let args = Args::parse();
    let recipe = Recipe { seed: args.seed, ..Recipe::preset("sdpo/small")? };
    let dataset = read(&args.interactions, &args.items, &ReadOptions::new(recipe.seed))?.dataset;
    let pipeline = Pipeline {
        recipe: &recipe,
        dataset: &dataset,
        published: None,
        baselines: &[],
        out: &args.out,
        device: device("auto")?,
    };
    let curves = TensorBoard::new(&args.out.join("tensorboard"));
    let outcome = pipeline.run(&mut (Bars::default(), curves))?;
    println!("{}", outcome.report);
    outcome.write_page("S-DPO and DPO", &args.out.join("report.html"))?;
    Ok(())
}
