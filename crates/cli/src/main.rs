//! `sidereal`: generative recommendation over Semantic IDs, from raw files to recommendations.
//!
//! Results go to stdout, everything else to stderr. The exit code is 0 after success, 1 after a failure, 2
//! if the command line must be changed, and 3 if a result was written but is incomplete.

mod commands;
mod data;
mod failure;
mod filters;
mod index;
mod logging;
mod models;
mod output;
mod quantize;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sidereal_policy::{share_cores, tune_allocator};

use crate::commands::{
    compare, completions, enrich, export, keys, leaderboard, prepare, recommend, report, sids,
    train,
};

/// Generative recommendation over Semantic IDs: a language model writes the item that a user chooses next.
#[derive(Debug, Parser)]
#[command(name = "sidereal", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = EXAMPLE)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Write more to stderr: with `-v` what each part does, with `-vv` everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

const EXAMPLE: &str = "\
Example, from raw files to a recommendation:
  sidereal prepare --interactions shop.inter --items shop.item --out data
  sidereal sids --data data --out sids
  sidereal train demo --data data --index sids/index.json --out runs/demo
  sidereal recommend runs/demo --data data \"Ironpeak shockproof rugged foam roller\"";

#[derive(Debug, Subcommand)]
enum Command {
    Prepare(prepare::Args),
    Sids(sids::Args),
    Train(train::Args),
    Keys(keys::Args),
    Recommend(recommend::Args),
    Compare(compare::Args),
    Leaderboard(leaderboard::Args),
    Report(report::Args),
    Export(export::Args),
    Enrich(enrich::Args),
    Completions(completions::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // This may start the program once more, which is not needed for help and wrong command lines.
    let shares = share_cores();
    logging::start(cli.verbose);
    let tuned = tune_allocator();
    tracing::debug!(tuned, shares, "allocator and waiting threads");
    let done = match &cli.command {
        Command::Prepare(args) => prepare::run(args),
        Command::Sids(args) => sids::run(args),
        Command::Train(args) => train::run(args),
        Command::Keys(args) => keys::run(args),
        Command::Recommend(args) => recommend::run(args),
        Command::Compare(args) => compare::run(args),
        Command::Leaderboard(args) => leaderboard::run(args),
        Command::Report(args) => report::run(args),
        Command::Export(args) => export::run(args),
        Command::Enrich(args) => enrich::run(args),
        Command::Completions(args) => completions::run::<Cli>(args),
    };
    done.map_or_else(|error| failure::tell(&error), |()| ExitCode::SUCCESS)
}
