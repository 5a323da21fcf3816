//! The one list of what a change must pass, cheapest first.
//!
//! Lints and docs share their compiled dependencies, and so do doc tests and tests, so libtorch's
//! bindings are compiled twice in all: once for checking, once for running. The tests come last,
//! for the runner's own summary to close the output.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Result, bail};

use crate::workspace::Workspace;
use crate::{dependencies, layers, minimum_rust};

/// One step.
#[derive(Debug)]
struct Step {
    name: &'static str,
    run: Run,
}

/// How a step is run.
#[derive(Debug)]
enum Run {
    /// By this program, as the chore of this name.
    Own(&'static str, fn(&Workspace) -> Result<()>),
    /// By cargo with these arguments.
    Cargo(String),
    /// By cargo with these arguments and this variable of the environment.
    CargoWith(String, (&'static str, &'static str)),
}

impl Run {
    /// What a user types to repeat the step.
    fn command(&self) -> String {
        match self {
            Self::Own(chore, _) => format!("cargo xtask {chore}"),
            Self::Cargo(args) => format!("cargo {args}"),
            Self::CargoWith(args, (name, value)) => format!("{name}=\"{value}\" cargo {args}"),
        }
    }

    /// Runs the step; true if it passes.
    fn passes(&self, workspace: &Workspace) -> Result<bool> {
        let (args, env) = match self {
            Self::Own(_, check) => return check(workspace).map(|()| true),
            Self::Cargo(args) => (args, None),
            Self::CargoWith(args, env) => (args, Some(*env)),
        };
        let args: Vec<&str> = args.split_whitespace().collect();
        Ok(workspace.cargo(&args, env)?.success())
    }
}

/// The steps in order; `nextest` tells whether that runner is installed.
fn steps(nextest: bool) -> Vec<Step> {
    let cargo = |name, args: &str| Step { name, run: Run::Cargo(args.to_owned()) };
    let own = |name, check| Step { name, run: Run::Own(name, check) };
    let pure = layers::PURE.map(|package| format!("--package={package}")).join(" ");
    vec![
        cargo("formatting", "fmt --all --check"),
        own("layers", |workspace| layers::check(workspace.root())),
        own("dependencies", |workspace| dependencies::check(workspace.root())),
        cargo("lints", "clippy --workspace --all-targets --all-features -- -D warnings"),
        cargo("lints of the pure crates alone", &format!("clippy {pure} -- -D warnings")),
        own("minimum-rust", minimum_rust::check),
        Step {
            name: "docs",
            run: Run::CargoWith(
                "doc --workspace --all-features --no-deps".to_owned(),
                ("RUSTDOCFLAGS", "-D warnings"),
            ),
        },
        cargo("doc tests", "test --workspace --all-features --doc --no-fail-fast"),
        if nextest {
            // As many tests as cores at once: threads of libtorch's own would only be in their way.
            let args = "nextest run --workspace --all-features --no-fail-fast".to_owned();
            Step { name: "tests", run: Run::CargoWith(args, ("OMP_NUM_THREADS", "1")) }
        } else {
            // One test after the other: those of a process share libtorch's generator.
            let args = "test --workspace --all-features --lib --bins --tests --no-fail-fast -- \
                        --test-threads=1";
            cargo("tests", args)
        },
    ]
}

/// Runs all steps up to the first that fails.
///
/// # Errors
/// The name of that step, and the command that repeats it.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let steps = steps(has_nextest());
    let start = Instant::now();
    for (index, Step { name, run }) in steps.iter().enumerate() {
        let (number, count, command) = (index + 1, steps.len(), run.command());
        let elapsed = start.elapsed().as_secs();
        eprintln!(
            "\nxtask: [{number}/{count} at {}:{:02}] {name}: {command}",
            elapsed / 60,
            elapsed % 60
        );
        let begun = Instant::now();
        if !run.passes(workspace)? {
            bail!("{name} failed; to repeat this step: {command}");
        }
        if number < count {
            eprintln!("xtask: {name} passed in {:.1} s", begun.elapsed().as_secs_f64());
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
