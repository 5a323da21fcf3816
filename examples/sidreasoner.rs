//! Trains SIDReasoner and the steps that lead to it, on data in `MiniOneRec`'s layout, and tests it with and without thoughts.
//!
//! Under an hour for four thousand items on two CPU cores; a second start goes on where the first
//! stopped.
//! Run: `cargo run --release --example sidreasoner -- --items x.item.json --index x.index.json
//! --valid valid.csv --test test.csv --out runs/sidreasoner`, or `--preset cross-domain` with two
//! domains in place of the files: `--domain source=a.inter,a.item --domain target=b.inter,b.item`
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
    about = "Trains SIDReasoner and the steps that lead to it, and tests it with and without thoughts"
)]
struct Args {
    #[command(flatten)]
    run: published::PublishedArgs,
}

fn main() -> anyhow::Result<()> {
    let presets = [
        ("small", include_str!("recipes/sidreasoner/small.toml")),
        ("paper", include_str!("recipes/sidreasoner/paper.toml")),
        ("cross-domain", include_str!("recipes/sidreasoner/cross-domain.toml")),
    ];
    published::run(
        "SIDReasoner: tasks in words, then thoughts before recommendations",
        &presets,
        &Args::parse().run,
    )
}
