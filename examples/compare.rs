//! Compares finished runs, such as seeds of one recipe, and writes tables and plots as one page.
//!
//! Seconds. Run: `cargo run --release --example compare -- SFT runs/singer-1 runs/singer-2`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::path::PathBuf;

use clap::Parser;
use sidereal::lab::{FinishedRun, RunComparison};
use sidereal::metrics::{Bootstrap, BootstrapConfig, Metric, SeenItems};
use sidereal::page::Page;

#[derive(Parser)]
#[command(about = "Compares finished runs")]
struct Args {
    /// Label of the system that the others are compared with, user by user.
    against: String,
    /// Folders of runs.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let runs = args.runs.iter().map(|dir| FinishedRun::read(dir, SeenItems::Kept));
    let runs = runs.collect::<Result<Vec<_>, _>>()?;
    let bootstrap = Bootstrap::try_from(BootstrapConfig::new(1))?;
    let metric: Metric = "NDCG@10".parse()?;
    let found = RunComparison::new(&runs, metric, Some(&args.against), &bootstrap)?;
    for system in &found.systems {
        let test = system.difference.as_ref();
        let gain = test.map_or_else(String::new, |test| format!("{:+.4}", test.difference));
        println!("{:<40} {:.4} {gain}", system.label, system.mean);
    }
    let mut page = Page::new("Runs side by side");
    found.blocks().into_iter().for_each(|block| page.push(block));
    page.write("compare.html".as_ref())?;
    Ok(())
}
