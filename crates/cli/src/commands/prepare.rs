//! `sidereal prepare`: raw files to a folder with one dataset.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Context as _;
use sidereal_data::prepare::Prepared;
use sidereal_data::{Shares, Split, global_time, leave_one_out, write};
use sidereal_files::{write_json, write_json_line};

use crate::data::{DATASET, DataArgs, Reading};
use crate::filters::FilterArgs;
use crate::index;
use crate::output::{line, note};

/// Read raw files, filter them, and write one dataset with its statistics, an audit and samples.
///
/// The folder holds `dataset.json`, which every other command reads with `--data DIR`; `index.json`, if the data
/// comes with Semantic IDs; `train.csv`, `valid.csv` and `test.csv` for other programs; `report.json` and
/// `report.html`. In `train`, the recipe splits the dataset again. To use a published split, give
/// `train` the published files themselves.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sidereal prepare --interactions shop.inter --items shop.item --out data
  sidereal prepare --format amazon-2018 --reviews reviews.json.gz --items meta.json.gz --out data")]
pub(crate) struct Args {
    /// The folder to write.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Split all samples by time (8:1:1), instead of holding out the last two events of each user.
    #[arg(long)]
    global_time: bool,
    /// The number of items of a history in a sample.
    #[arg(long, value_name = "N", default_value = "20")]
    max_history: NonZeroUsize,
    /// Also write the dataset as RecBole's atomic files.
    #[arg(long)]
    recbole: bool,
    /// Seed for the numbering of items.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    filters: FilterArgs,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let how =
        Reading { seed: args.seed, max_history: args.max_history, filters: Some(&args.filters) };
    let data = args.data.read(&how)?;
    let split: Split = match data.split {
        Some(published) => published,
        None if args.global_time => {
            global_time(&data.dataset, Shares::default(), args.max_history)?
        }
        None => leave_one_out(&data.dataset, args.max_history)?,
    };
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot create the folder `{}`", args.out.display()))?;
    write_json_line(&args.out.join(DATASET), &data.dataset)?;
    if let Some(catalog) = &data.catalog {
        index::write(&args.out.join(index::INDEX), data.dataset.items(), catalog)?;
    }
    if args.recbole {
        let path = |name| args.out.join(name);
        write::recbole::write(&data.dataset, &path("dataset.inter"), &path("dataset.item"))?;
    }
    write::samples::write(&split, &args.out)?;
    let prepared = Prepared::new(data.dataset, split, data.skips, data.steps);
    let report = prepared.report();
    write_json(&args.out.join("report.json"), &report)?;
    prepared.page("Prepared data").write(&args.out.join("report.html"))?;
    line(&report)?;
    note(format_args!("dataset: {}", args.out.display()));
    Ok(())
}
