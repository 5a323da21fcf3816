//! Trains SINGER and the variants that its paper compares, on RecBole atomic files, and reports how good each is.
//!
//! Under an hour for twenty thousand users on two CPU cores; a second start goes on where the
//! first stopped.
//! Run: `cargo run --release --example singer -- --interactions beauty.inter --items beauty.item
//! --out runs/singer`, or `--preset cross-domain` with two domains in place of the files:
//! `--domain source=beauty.inter,beauty.item --domain target=sports.inter,sports.item`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

#[path = "support/recbole.rs"]
mod recbole;
#[path = "support/run.rs"]
mod run;
#[path = "support/settings.rs"]
mod settings;

use clap::Parser;

#[derive(Parser)]
#[command(
    about = "Trains SINGER and the variants that its paper compares, on RecBole atomic files"
)]
struct Args {
    #[command(flatten)]
    run: recbole::RunArgs,
}

fn main() -> anyhow::Result<()> {
    let presets = [
        ("small", include_str!("recipes/singer/small.toml")),
        ("paper", include_str!("recipes/singer/paper.toml")),
        ("cross-domain", include_str!("recipes/singer/cross-domain.toml")),
    ];
    recbole::run(
        "SINGER: alignment and reinforcement with SID-level rewards",
        &presets,
        &Args::parse().run,
    )
}
