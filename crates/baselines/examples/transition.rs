//! Popularity and item transitions on `RecBole` files, leave-one-out. A minute on two cores.
//! Run: `cargo run --release -p sidereal-baselines --example transition -- shop.inter shop.item`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Parser;
use sidereal_baselines::{
    Case, ItemTransition, Popularity, Recommender, Transition, TransitionConfig, TransitionSearch,
    evaluate,
};
use sidereal_data::read::recbole::{ReadOptions, read};
use sidereal_data::{HeldOut as _, leave_one_out};
use sidereal_metrics::{
    Bootstrap, BootstrapConfig, Candidates, EvaluationSplit, Level, Metric, Protocol, Report, Row,
    ScoreKind, SeenItems,
};

#[derive(Parser)]
#[command(about)]
struct Args {
    /// Interactions (`.inter`).
    interactions: PathBuf,
    /// Items (`.item`).
    items: PathBuf,
    /// Choose the settings on the validation items instead of taking the defaults.
    #[arg(long)]
    search: bool,
    /// Search the wider grid.
    #[arg(long, requires = "search")]
    wide: bool,
    /// Seed of the reading and of the intervals.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let data = read(&args.interactions, &args.items, &ReadOptions::new(args.seed))?.dataset;
    let split = leave_one_out(&data, NonZeroUsize::MAX)?;
    let train: Vec<_> = split.train.sequences().map(|sequence| sequence.events).collect();
    let valid: Vec<Case<'_, _>> = split.valid.samples().map(Case::from).collect();
    let test: Vec<Case<'_, _>> = split.test.samples().map(Case::from).collect();
    let metrics: Vec<Metric> = ["HR@5", "NDCG@5", "HR@10", "NDCG@10"]
        .into_iter()
        .map(str::parse)
        .collect::<Result<_, _>>()?;

    let settings = if args.search {
        let grid = if args.wide { TransitionSearch::wide } else { TransitionSearch::new };
        let search = grid("NDCG@10".parse()?, SeenItems::Kept);
        search.run(data.num_items(), &train, &valid)?.best.settings
    } else {
        Transition::try_from(TransitionConfig::default())?
    };
    println!("{:?}\n", settings.config());
    let popularity = Popularity::fit(data.num_items(), &train)?;
    let transition = ItemTransition::fit(&settings, data.num_items(), &train)?;
    let systems: [(&str, &dyn Recommender); 2] =
        [("popularity", &popularity), ("item transitions", &transition)];
    let bootstrap = Bootstrap::try_from(BootstrapConfig::new(args.seed))?;
    let mut report = Report::default();
    for seen_items in [SeenItems::Kept, SeenItems::Removed] {
        for (name, system) in systems {
            let protocol = Protocol {
                split: EvaluationSplit::LeaveOneOutTest,
                candidates: Candidates::All,
                seen_items,
                level: Level::Item,
                score: ScoreKind::PerItem,
                beam_width: None,
                chains: None,
                num_users: test.len(),
            };
            let values = evaluate(system, &test, seen_items)?.evaluate(&metrics, &bootstrap)?;
            report.push(Row { system: name.into(), protocol, values })?;
        }
    }
    print!("{report}");
    Ok(())
}
