//! `sidereal compare`: several finished runs side by side.

use std::path::PathBuf;

use comfy_table::{Table, presets};
use sidereal_lab::{FinishedRun, RunComparison};
use sidereal_metrics::{Bootstrap, BootstrapConfig, Metric};
use sidereal_page::Page;

use crate::output::{line, note};

/// Print several finished runs side by side: seeds of one recipe, or different recipes.
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
    /// Seed of the bootstrap for the intervals.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Also write the tables and plots as one HTML file.
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
}

/// The metrics if neither the command nor a recipe names any.
const USUAL: [&str; 3] = ["HR@5", "HR@10", "NDCG@10"];

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let runs = args.runs.iter().map(|dir| FinishedRun::read(dir)).collect::<Result<Vec<_>, _>>()?;
    let bootstrap = Bootstrap::try_from(BootstrapConfig::new(args.seed))?;
    let mut page = Page::new("Runs side by side");
    let metrics = match (args.metrics.as_slice(), runs.first().and_then(|run| run.metrics.as_ref()))
    {
        ([], Some(named)) => named.clone(),
        ([], None) => USUAL.iter().map(|name| name.parse()).collect::<Result<_, _>>()?,
        (asked, _) => asked.to_vec(),
    };
    for metric in &metrics {
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
    if let Some(path) = &args.page {
        page.write(path)?;
        note(format_args!("page: {}", path.display()));
    }
    Ok(())
}
