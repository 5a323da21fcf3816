//! Prints and plots several finished runs side by side: seeds of one recipe, or different recipes.
//!
//! Seconds. Run: `cargo run --release --example compare -- runs/singer-1 runs/singer-2
//! --against SFT --page compare.html`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::path::PathBuf;

use clap::Parser;
use comfy_table::{Table, presets};
use sidereal::lab::{FinishedRun, RunComparison};
use sidereal::metrics::{Bootstrap, BootstrapConfig, Metric};
use sidereal::page::Page;

#[derive(Parser)]
#[command(about = "Prints and plots several finished runs side by side")]
struct Args {
    /// Folders of runs.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// Label of the system that the others are compared with, user by user: `SFT`, or `SFT, thinking`.
    #[arg(long)]
    against: Option<String>,
    /// Metrics of ranks.
    #[arg(long, value_delimiter = ',', default_value = "HR@5,HR@10,NDCG@10")]
    metrics: Vec<Metric>,
    /// Seed of the bootstrap.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Writes tables and plots as one HTML file.
    #[arg(long)]
    page: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let runs = args.runs.iter().map(|dir| FinishedRun::read(dir)).collect::<Result<Vec<_>, _>>()?;
    let bootstrap = Bootstrap::try_from(BootstrapConfig::new(args.seed))?;
    let mut page = Page::new("Runs side by side");
    for metric in args.metrics {
        let found = RunComparison::new(&runs, metric, args.against.as_deref(), &bootstrap)?;
        let table = found.table();
        let mut text = Table::new();
        text.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_header(&table.header);
        text.add_rows(&table.rows);
        println!("{}\n{text}", table.caption);
        table.notes.iter().for_each(|note| println!("{note}"));
        println!();
        found.blocks().into_iter().for_each(|block| page.push(block));
    }
    if let Some(path) = args.page {
        page.write(&path)?;
        println!("page: {}", path.display());
    }
    Ok(())
}
