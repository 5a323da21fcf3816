//! Compares two systems over the same users: table, intervals and paired test. CPU, instant.
//! Run: `cargo run -p sidereal-metrics --example paired`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::num::NonZeroUsize;

use sidereal_metrics::{
    Bootstrap, BootstrapConfig, Candidates, EvaluationSplit, Level, Metric, Protocol, RankingRun,
    Report, Row, ScoreKind, SeenItems,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The second system ranks every third user's target one place higher.
    let ranks = || (0u64..).zip((0..2000).map(|user| 1 + user * 7 % 59));
    let weak: RankingRun = ranks().map(|(user, rank)| (user, NonZeroUsize::new(rank))).collect();
    let strong: RankingRun = ranks()
        .map(|(user, rank)| if user % 3 == 0 { (user, rank.max(2) - 1) } else { (user, rank) })
        .map(|(user, rank)| (user, NonZeroUsize::new(rank)))
        .collect();
    let bootstrap = Bootstrap::try_from(BootstrapConfig::new(1))?;
    let metrics: Vec<Metric> = ["HR@5", "NDCG@5", "HR@10", "NDCG@10"]
        .map(str::parse)
        .into_iter()
        .collect::<Result<_, _>>()?;

    let mut report = Report::default();
    for (system, run) in [("weak", &weak), ("strong", &strong)] {
        let protocol = Protocol {
            split: EvaluationSplit::LeaveOneOutTest,
            candidates: Candidates::All,
            seen_items: SeenItems::Kept,
            level: Level::Item,
            score: ScoreKind::PerItem,
            beam_width: None,
            chains: None,
            num_users: run.num_samples(),
        };
        let values = run.evaluate(&metrics, &bootstrap)?;
        report.push(Row { system: system.into(), protocol, values })?;
    }
    for metric in metrics {
        let test = strong.compare(&weak, metric, &bootstrap)?;
        report.push_comparison("strong", "weak", metric, test);
    }
    print!("{report}");
    Ok(())
}
