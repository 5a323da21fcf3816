//! Trains S-DPO and DPO with all kinds of negatives, on RecBole atomic files, and reports how good each is.
//!
//! Over Semantic IDs of the whole catalogue, or with `--preset titles` as its paper has it: a title
//! chosen out of a pool that the prompt shows. Under an hour for twenty thousand users on two CPU
//! cores; a second start goes on where the first stopped.
//! Run: `cargo run --release --example sdpo -- --interactions beauty.inter --items beauty.item
//! --out runs/sdpo`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

#[path = "support/recbole.rs"]
mod recbole;
#[path = "support/run.rs"]
mod run;
#[path = "support/settings.rs"]
mod settings;

use clap::Parser;

#[derive(Parser)]
#[command(about = "Trains S-DPO and DPO with all kinds of negatives, on RecBole atomic files")]
struct Args {
    #[command(flatten)]
    run: recbole::RunArgs,
}

fn main() -> anyhow::Result<()> {
    let presets = [
        ("small", include_str!("recipes/sdpo/small.toml")),
        ("paper", include_str!("recipes/sdpo/paper.toml")),
        ("titles", include_str!("recipes/sdpo/titles.toml")),
    ];
    recbole::run("S-DPO and DPO", &presets, &Args::parse().run)
}
