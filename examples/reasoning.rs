//! Trains GREAM or SIDReasoner on data in MiniOneRec's layout, and tests it with and without reasoning.
//!
//! The data comes with Semantic IDs and a split. It takes less than an hour for four thousand items on
//! two CPU cores; if it is interrupted, start it again and it goes on.
//! Run: `cargo run --release --example reasoning -- gream/small --items x.item.json --index x.index.json
//! --valid valid.csv --test test.csv --out runs/gream`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Parser;
use sidereal::data::read::{RowPolicy, minionerec};
use sidereal::lab::{Pipeline, Published, Recipe};
use sidereal::policy::{device, share_cores};
use sidereal::train::Bars;

#[derive(Parser)]
#[command(about = "Trains GREAM or SIDReasoner, which reason before they recommend")]
struct Args {
    /// The recipe: `gream/small` or `sidreasoner/small`.
    recipe: String,
    /// Items, `x.item.json`.
    #[arg(long)]
    items: PathBuf,
    /// Their Semantic IDs, `x.index.json`.
    #[arg(long)]
    index: PathBuf,
    #[arg(long)]
    valid: PathBuf,
    #[arg(long)]
    test: PathBuf,
    /// Folder of the run.
    #[arg(long)]
    out: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let _shares = share_cores();
    let Args { recipe: name, items, index, valid, test, out } = Args::parse();
    let recipe = Recipe::preset(&name)?;
    let files =
        minionerec::Files { items: &items, index: &index, train: None, valid: &valid, test: &test };
    let window = NonZeroUsize::new(recipe.max_history).unwrap_or(NonZeroUsize::MIN);
    let data = minionerec::read(&files, recipe.seed, window, None, &RowPolicy::lenient())?;
    let pipeline = Pipeline {
        recipe: &recipe,
        dataset: &data.dataset,
        published: Some(Published { catalog: Some(&data.catalog), split: &data.split }),
        baselines: &[],
        out: &out,
        device: device("auto")?,
    };
    let outcome = pipeline.run(&mut Bars::default())?;
    println!("{}", outcome.report);
    outcome.write_page(&name, &out.join("report.html"))?;
    Ok(())
}
