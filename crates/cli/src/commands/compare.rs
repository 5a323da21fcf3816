//! `sidereal compare`: several finished runs side by side.

use std::path::PathBuf;

use clap::ValueEnum;
use comfy_table::{Table, presets};
use sidereal_lab::{FinishedRun, LabError, RunComparison};
use sidereal_metrics::{Bootstrap, BootstrapConfig, Metric, SeenItems};
use sidereal_page::Page;

use crate::output::{line, note};

/// Print several finished runs side by side: seeds of one recipe, or different recipes.
///
/// The systems are the stages of the runs, directly and after reasoning, and their blends.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  sidereal compare runs/singer-1 runs/singer-2 runs/singer-3 --against SFT --page compare.html")]
pub(crate) struct Args {
    /// Folders of finished runs.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Label of the baseline system, such as `SFT` or `SFT, reasoning`. The others are compared with it, user by user.
    #[arg(long, value_name = "LABEL")]
    against: Option<String>,
    /// Metrics of ranks, separated by commas.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "METRICS",
        default_value = "HR@5,HR@10,NDCG@10"
    )]
    metrics: Vec<Metric>,
    /// Whether the items in a user's history are among the ranked; without it, tables of both rules.
    #[arg(long, value_enum, value_name = "RULE")]
    seen: Option<Seen>,
    /// Seed of the bootstrap for the intervals.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Also write the tables and plots as one HTML file.
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
}

/// A rule for the items that a user chose before.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Seen {
    /// They are among the ranked.
    Kept,
    /// They are left out of the ranking.
    Removed,
}

impl From<Seen> for SeenItems {
    fn from(rule: Seen) -> Self {
        match rule {
            Seen::Kept => Self::Kept,
            Seen::Removed => Self::Removed,
        }
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let bootstrap = Bootstrap::try_from(BootstrapConfig::new(args.seed))?;
    let mut page = Page::new("Runs side by side");
    let rules = match args.seen {
        Some(rule) => vec![rule.into()],
        None => vec![SeenItems::Kept, SeenItems::Removed],
    };
    for rule in rules {
        let runs = args.runs.iter().map(|dir| FinishedRun::read(dir, rule));
        let runs = match runs.collect::<Result<Vec<_>, _>>() {
            // Nobody asked for this rule.
            Err(missing @ LabError::NoSeen { .. }) if args.seen.is_none() => {
                note(format_args!("no tables with seen items removed: {missing}"));
                continue;
            }
            runs => runs?,
        };
        if runs.iter().all(FinishedRun::is_empty) {
            continue;
        }
        for metric in &args.metrics {
            let found = RunComparison::new(&runs, *metric, args.against.as_deref(), &bootstrap)?;
            let table = found.table();
            let mut text = Table::new();
            text.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_header(&table.header);
            text.add_rows(&table.rows);
            line(format_args!("{}\n{text}", table.caption))?;
            for remark in &table.notes {
                line(remark)?;
            }
            line("")?;
            found.blocks().into_iter().for_each(|block| page.push(block));
        }
    }
    if let Some(path) = &args.page {
        page.write(path)?;
        note(format_args!("page: {}", path.display()));
    }
    Ok(())
}
