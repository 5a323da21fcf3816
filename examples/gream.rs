//! Trains GREAM and the schedules of its reinforcement, on data in `MiniOneRec`'s layout, and tests it with and without thoughts.
//!
//! Under an hour for four thousand items on two CPU cores; a second start goes on where the first
//! stopped.
//! Run: `cargo run --release --example gream -- --items x.item.json --index x.index.json
//! --valid valid.csv --test test.csv --out runs/gream`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

#[path = "support/published.rs"]
mod published;
#[path = "support/run.rs"]
mod run;
#[path = "support/settings.rs"]
mod settings;

use clap::Parser;

#[derive(Parser)]
#[command(
    about = "Trains GREAM and the schedules of its reinforcement, and tests it with and without thoughts"
)]
struct Args {
    #[command(flatten)]
    run: published::PublishedArgs,
}

fn main() -> anyhow::Result<()> {
    let presets = [
        ("small", include_str!("recipes/gream/small.toml")),
        ("paper", include_str!("recipes/gream/paper.toml")),
    ];
    published::run(
        "GREAM: hybrid fine-tuning with a curriculum, then SRPO in both modes",
        &presets,
        &Args::parse().run,
    )
}
