//! Makes samples, statistics and an audit of Amazon reviews as they are published. A million
//! reviews take about a second on two cores.
//! Run: `cargo run --release -p sidereal-data --example prepare -- --release 2018 \
//!     --reviews reviews.json.gz --items meta.json.gz --out prepared --report prepared/report.json`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use sidereal_data::filter::{KCore, TitleLimit};
use sidereal_data::prepare::{PrepareConfig, prepare};
use sidereal_data::read::amazon::Release;
use sidereal_data::read::{OnDoubtful, RowPolicy};
use sidereal_data::{Assembly, Numbering, Shares, SplitProtocol, Ties, Timestamp, write};

#[derive(Parser)]
#[command(about)]
struct Args {
    /// Reviews, plain, gzip or zstd.
    #[arg(long)]
    reviews: PathBuf,
    /// Items, plain, gzip or zstd; without them items have no titles.
    #[arg(long)]
    items: Option<PathBuf>,
    /// 2014, 2018 or 2023.
    #[arg(long)]
    release: Release,
    /// Folder for train.csv, valid.csv and test.csv.
    #[arg(long)]
    out: PathBuf,
    /// Print statistics and audit; as JSON into this file, too.
    #[arg(long)]
    report: Option<PathBuf>,
    /// The report as an HTML page (feature `page`).
    #[cfg(feature = "page")]
    #[arg(long)]
    page: Option<PathBuf>,
    /// Events that a user must have.
    #[arg(long, default_value_t = 5)]
    user_k: u32,
    /// Events that an item must have.
    #[arg(long, default_value_t = 5)]
    item_k: u32,
    /// First moment, such as 2016-10-01.
    #[arg(long)]
    from: Option<Timestamp>,
    /// End, itself outside.
    #[arg(long)]
    until: Option<Timestamp>,
    /// Longest title in words.
    #[arg(long)]
    title_words: Option<usize>,
    #[arg(long, default_value = "10")]
    max_history: NonZeroUsize,
    /// Hold out each user's last two events instead of the last tenths of all samples by time.
    #[arg(long)]
    leave_one_out: bool,
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Skip broken rows, duplicates and items without a title, clean titles, instead of stopping.
    #[arg(long)]
    lenient: bool,
    /// Keep repeated rows, number items by first appearance, keep the file's order of ties: what
    /// other programs do.
    #[arg(long)]
    as_others_do: bool,
}

fn main() -> anyhow::Result<()> {
    // What was left out is told even where nothing comes of the rest.
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let args = Args::parse();
    let mut policy = if args.lenient { RowPolicy::lenient() } else { RowPolicy::strict() };
    let mut assembly = Assembly::new(args.seed);
    if args.as_others_do {
        policy.duplicates = OnDoubtful::Keep;
        let numbering = Numbering::FirstAppearance;
        assembly = assembly.with_numbering(numbering).with_ties(Ties::FileOrder);
    }
    let (start, end) = (args.from, args.until);
    let window = (start.is_some() || end.is_some())
        .then(|| (start.unwrap_or(Timestamp(i64::MIN)), end.unwrap_or(Timestamp(i64::MAX))));
    let by_time = SplitProtocol::GlobalTime(Shares::default());
    let config = PrepareConfig {
        release: args.release,
        policy,
        window,
        title_limit: args.title_words.map(TitleLimit::Words),
        k_core: KCore { user: args.user_k, item: args.item_k },
        assembly,
        protocol: if args.leave_one_out { SplitProtocol::LeaveOneOut } else { by_time },
        max_history: args.max_history,
    };
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot create `{}`", args.out.display()))?;
    let prepared = prepare(&args.reviews, args.items.as_deref(), &config)?;
    write::samples::write(&prepared.split, &args.out)?;
    if let Some(path) = &args.report {
        let report = prepared.report();
        println!("{report}");
        let json = serde_json::to_vec_pretty(&report)?;
        write::write_whole(path, |out| out.write_all(&json))?;
    }
    #[cfg(feature = "page")]
    if let Some(path) = &args.page {
        prepared.page("Prepared data").write(path)?;
    }
    Ok(())
}
