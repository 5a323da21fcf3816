//! Rows of the report, and the runs behind them.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use sidereal_corpus::SampleId;
use sidereal_metrics::{
    Bootstrap, Candidates, Level, Metric, MetricValue, Protocol, RankingRun, Report, Row,
    ScoreKind, SeenItems, Split,
};

use super::{METRICS, TEN};
use crate::TrainError;

/// Rows of the report, and the runs behind them for paired tests.
pub(super) struct Tables {
    pub(super) report: Report,
    pub(super) bootstrap: Bootstrap,
    pub(super) split: Split,
    pub(super) num_users: usize,
    /// With seen items kept, by system.
    pub(super) kept: BTreeMap<String, RankingRun<SampleId>>,
}

/// What was measured, and how.
#[derive(Clone, Copy)]
pub(super) struct Measured<'a> {
    pub(super) system: &'a str,
    pub(super) seen_items: SeenItems,
    pub(super) level: Level,
    pub(super) beam_width: Option<NonZeroUsize>,
    pub(super) score: ScoreKind,
}

impl Tables {
    /// Adds a row, with `more` values behind those of the ranks.
    pub(super) fn push(
        &mut self,
        how: Measured<'_>,
        run: RankingRun<SampleId>,
        more: Vec<MetricValue>,
    ) -> Result<(), TrainError> {
        let mut values = run.evaluate(&METRICS, &self.bootstrap)?;
        values.extend(more);
        self.report.push(Row {
            system: how.system.to_owned(),
            protocol: Protocol {
                split: self.split.clone(),
                candidates: Candidates::All,
                seen_items: how.seen_items,
                level: how.level,
                score: how.score,
                beam_width: how.beam_width,
                num_users: self.num_users,
            },
            values,
        })?;
        if how.seen_items == SeenItems::Kept && how.level == Level::Item {
            self.kept.insert(how.system.to_owned(), run);
        }
        Ok(())
    }

    /// Adds the paired tests of two systems, where both have been measured.
    pub(super) fn compare(&mut self, system: &str, against: &str) -> Result<(), TrainError> {
        let (Some(run), Some(other)) = (self.kept.get(system), self.kept.get(against)) else {
            return Ok(());
        };
        for metric in [Metric::HitRate(TEN), Metric::Ndcg(TEN)] {
            let test = run.compare(other, metric, &self.bootstrap)?;
            self.report.push_comparison(system, against, metric, test);
        }
        Ok(())
    }
}
