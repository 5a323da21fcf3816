//! Trains SAGE, both readings, against GRPO and GBPO, on RecBole atomic files, and reports how good each is.
//!
//! Over Semantic IDs of the whole catalogue, or with `--preset text` in words (`TextRec`): slates of
//! titles out of a pool that the prompt shows. Under an hour for twenty thousand users on two CPU cores; a second start goes on where the
//! first stopped.
//! Run: `cargo run --release --example sage -- --interactions beauty.inter --items beauty.item
//! --out runs/sage`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

#[path = "support/recbole.rs"]
mod recbole;
#[path = "support/run.rs"]
mod run;
#[path = "support/settings.rs"]
mod settings;

use clap::Parser;

#[derive(Parser)]
#[command(about = "Trains SAGE, both readings, against GRPO and GBPO, on RecBole atomic files")]
struct Args {
    #[command(flatten)]
    run: recbole::RunArgs,
}

fn main() -> anyhow::Result<()> {
    let presets = [
        ("small", include_str!("recipes/sage/small.toml")),
        ("paper", include_str!("recipes/sage/paper.toml")),
        ("text", include_str!("recipes/sage/text.toml")),
    ];
    recbole::run("SAGE against GRPO and GBPO", &presets, &Args::parse().run)
}
