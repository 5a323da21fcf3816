//! `sidereal compare`: several finished runs side by side.

use std::path::PathBuf;

use clap::ValueEnum;
use sidereal_lab::{FinishedRun, LabError, RunComparison};
use sidereal_metrics::{Bootstrap, BootstrapConfig, Metric, MetricError, SeenItems};
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
    /// Metrics, separated by commas: of ranks, of drawn answers, of lists, or averages such as
    /// `Avg(HR@1/5/10)`. Without them, those that the first run's recipe names, or HR@5, HR@10 and NDCG@10.
    #[arg(long, value_delimiter = ',', value_name = "METRICS")]
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

/// The metrics if neither the command nor a recipe names any.
const USUAL: [&str; 3] = ["HR@5", "HR@10", "NDCG@10"];

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

impl Args {
    /// The metrics that were asked for, or those of the first run's recipe, or the usual ones.
    fn metrics_of(&self, runs: &[FinishedRun]) -> Result<Vec<Metric>, MetricError> {
        match (self.metrics.as_slice(), runs.first().and_then(|run| run.metrics.as_ref())) {
            ([], Some(named)) => Ok(named.clone()),
            ([], None) => USUAL.iter().map(|name| name.parse()).collect(),
            (asked, _) => Ok(asked.to_vec()),
        }
    }

    /// Whether a metric that no system has under this rule is an error: drawn answers and lists have no metrics
    /// with seen items removed, so a command that names no rule does not ask for them.
    fn needs_every_metric(&self, rule: SeenItems) -> bool {
        self.seen.is_some() || rule == SeenItems::Kept
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
            // The command did not name this rule.
            Err(missing @ LabError::NoSeen { .. }) if args.seen.is_none() => {
                note(format_args!("no tables with seen items removed: {missing}"));
                continue;
            }
            runs => runs?,
        };
        if runs.iter().all(FinishedRun::is_empty) {
            continue;
        }
        for metric in args.metrics_of(&runs)? {
            let found = RunComparison::new(&runs, metric, args.against.as_deref(), &bootstrap);
            let found = match found {
                // The command did not name this metric under this rule.
                Err(LabError::NoColumn { metric }) if !args.needs_every_metric(rule) => {
                    note(format_args!("no table of {metric} with seen items removed"));
                    continue;
                }
                found => found?,
            };
            line(found.table())?;
            found.blocks().into_iter().for_each(|block| page.push(block));
        }
    }
    if let Some(path) = &args.page {
        page.write(path)?;
        note(format_args!("page: {}", path.display()));
    }
    Ok(())
}
