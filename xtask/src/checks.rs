//! The one list of what a change must pass, cheapest first.
//!
//! Lints and docs share their compiled dependencies, and so do doc tests and tests, so libtorch's
//! bindings are compiled twice in all: once for checking, once for running. The tests come last,
//! for the runner's own summary to close the output.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Result, bail};

use crate::layers;
use crate::workspace::Workspace;

/// One step.
#[derive(Debug)]
struct Step {
    name: &'static str,
    run: Run,
}

#[derive(Debug)]
enum Run {
    Layers,
    Cargo(Vec<String>, &'static [(&'static str, &'static str)]),
}

fn cargo(name: &'static str, args: &str) -> Step {
    cargo_with(name, args, &[])
}

fn cargo_with(
    name: &'static str,
    args: &str,
    env: &'static [(&'static str, &'static str)],
) -> Step {
    let args = args.split_whitespace().map(str::to_owned).collect();
    Step { name, run: Run::Cargo(args, env) }
}

/// The steps in order; `nextest` tells whether that runner is installed.
fn steps(nextest: bool) -> Vec<Step> {
    let pure: String = layers::PURE.iter().map(|package| format!(" --package {package}")).collect();
    vec![
        cargo("formatting", "fmt --all --check"),
        Step { name: "layers", run: Run::Layers },
        cargo("lints", "clippy --workspace --all-targets --all-features -- -D warnings"),
        cargo("lints of the pure crates alone", &format!("clippy{pure} -- -D warnings")),
        cargo_with(
            "docs",
            "doc --workspace --all-features --no-deps",
            &[("RUSTDOCFLAGS", "-D warnings")],
        ),
        cargo("doc tests", "test --workspace --all-features --doc --no-fail-fast"),
        if nextest {
            cargo("tests", "nextest run --workspace --all-features --no-fail-fast")
        } else {
            cargo("tests", "test --workspace --all-features --lib --bins --tests --no-fail-fast")
        },
    ]
}

/// Runs all steps, and names the one that fails.
///
/// # Errors
/// The name of the step, and how to repeat it.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let steps = steps(has_nextest());
    let count = steps.len();
    let start = Instant::now();
    for (index, step) in steps.iter().enumerate() {
        let command = match &step.run {
            Run::Layers => "cargo xtask layers".to_owned(),
            Run::Cargo(args, env) => {
                let env: String =
                    env.iter().map(|(name, value)| format!("{name}=\"{value}\" ")).collect();
                format!("{env}cargo {}", args.join(" "))
            }
        };
        let elapsed = start.elapsed().as_secs();
        eprintln!(
            "\nxtask: [{}/{count} at {}:{:02}] {}: {command}",
            index + 1,
            elapsed / 60,
            elapsed % 60,
            step.name
        );
        let begun = Instant::now();
        let passed = match &step.run {
            Run::Layers => {
                layers::check(workspace.root())?;
                true
            }
            Run::Cargo(args, env) => workspace.cargo(args, env)?.success(),
        };
        if !passed {
            bail!("{} failed; to repeat this step: {command}", step.name);
        }
        if index + 1 < count {
            eprintln!("xtask: {} passed in {:.1} s", step.name, begun.elapsed().as_secs_f64());
        }
    }
    Ok(())
}

fn has_nextest() -> bool {
    Command::new("cargo-nextest")
        .args(["nextest", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
