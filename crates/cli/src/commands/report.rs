//! `sidereal report`: the tables and the page of a finished run.

use std::path::PathBuf;

use anyhow::Context as _;
use sidereal_lab::RunResult;

use crate::output::{line, note};

/// Print the tables of a finished run and write its `report.html` again, without training anything.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  sidereal report runs/singer --title \"SINGER on Beauty\"")]
pub(crate) struct Args {
    /// Folder of the run.
    run: PathBuf,
    /// Title of the page; the default is the name of the folder.
    #[arg(long)]
    title: Option<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let outcome = RunResult::read(&args.run)
        .with_context(|| format!("`{}` is not the folder of a finished run", args.run.display()))?;
    show(&outcome, &args.run, args.title.as_deref())
}

/// Prints the tables of a run and writes `report.html` into its folder.
pub(crate) fn show(
    outcome: &RunResult,
    dir: &std::path::Path,
    title: Option<&str>,
) -> anyhow::Result<()> {
    for share in outcome.shares() {
        line(share)?;
    }
    line(&outcome.report)?;
    for domain in &outcome.domains {
        line(domain)?;
    }
    for labels in &outcome.labels {
        line(labels)?;
    }
    for targets in &outcome.targets {
        line(targets)?;
    }
    for exercises in &outcome.exercises {
        line(exercises)?;
    }
    for descriptions in &outcome.descriptions {
        line(descriptions)?;
    }
    for changed in &outcome.changed {
        line(changed)?;
    }
    if let Some(scaling) = outcome.scaling() {
        line(&scaling)?;
    }
    let page = dir.join("report.html");
    let name = dir.file_name().unwrap_or(dir.as_os_str()).to_string_lossy();
    outcome.write_page(title.unwrap_or(&name), &page).context("cannot write the report")?;
    note(format_args!("report: {}", page.display()));
    Ok(())
}
