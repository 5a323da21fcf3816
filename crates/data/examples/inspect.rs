//! Prints what a dataset holds and what an audit of its leave-one-out split counts. Instant.
//! Run: `cargo run -p sidereal-data --example inspect -- \
//!     --interactions datasets/shop/shop.inter --items datasets/shop/shop.item`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Parser;
use sidereal_data::read::recbole::{ReadOptions, read};
use sidereal_data::{HeldOut, audit, leave_one_out};

#[derive(Parser)]
#[command(about)]
struct Args {
    /// `RecBole`'s `.inter` file.
    #[arg(long)]
    interactions: PathBuf,
    /// `RecBole`'s `.item` file.
    #[arg(long)]
    items: PathBuf,
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Longest history that a sample shows.
    #[arg(long, default_value = "20")]
    max_history: NonZeroUsize,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let loaded = read(&args.interactions, &args.items, &ReadOptions::new(args.seed))?;
    for note in loaded.notes() {
        println!("note          {note}");
    }
    if let Some(separator) = loaded.category_separator {
        println!("categories    separated by {}", serde_json::to_string(&separator)?);
    }
    let dataset = loaded.dataset;
    println!("users         {}", dataset.num_users());
    println!("items         {}", dataset.num_items());
    println!("interactions  {}", dataset.num_interactions());
    println!("hash          {}", dataset.hash());
    let split = leave_one_out(&dataset, args.max_history)?;
    println!("train         {} samples", split.train.num_samples());
    println!("valid         {} samples", split.valid.num_samples());
    println!("test          {} samples", split.test.num_samples());
    println!("split hash    {}", split.hash());
    println!("audit         {}", serde_json::to_string_pretty(&audit(&dataset, &split))?);
    Ok(())
}
