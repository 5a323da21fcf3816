//! Rows of the report, and the runs behind them.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use sidereal_corpus::SampleId;
use sidereal_metrics::{
    Bootstrap, Candidates, Chains, Level, Metric, MetricValue, Protocol, RankingRun, Report, Row,
    ScoreKind, SeenItems, Split,
};

use super::{METRICS, TEN};
use crate::TrainError;

/// Rows of the report, and the runs behind them for paired tests.
pub(super) struct Tables {
    pub(super) report: Report,
    pub(super) bootstrap: Bootstrap,
    pub(super) split: Split,
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
    pub(super) chains: Option<Chains>,
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
        self.push_values(how, run.num_samples(), values)?;
        if how.seen_items == SeenItems::Kept && how.level == Level::Item {
            self.kept.insert(how.system.to_owned(), run);
        }
        Ok(())
    }

    /// Adds a row over a part of the users; paired tests keep to all of them.
    pub(super) fn push_part(
        &mut self,
        how: Measured<'_>,
        run: &RankingRun<SampleId>,
    ) -> Result<(), TrainError> {
        let values = run.evaluate(&METRICS, &self.bootstrap)?;
        self.push_values(how, run.num_samples(), values)
    }

    /// Adds a row of these values.
    pub(super) fn push_values(
        &mut self,
        how: Measured<'_>,
        num_users: usize,
        values: Vec<MetricValue>,
    ) -> Result<(), TrainError> {
        let protocol = Protocol {
            split: self.split.clone(),
            candidates: Candidates::All,
            seen_items: how.seen_items,
            level: how.level,
            score: how.score,
            beam_width: how.beam_width,
            chains: how.chains,
            num_users,
        };
        Ok(self.report.push(Row { system: how.system.to_owned(), protocol, values })?)
    }

    /// Adds the paired test of a system and another run over the same users.
    pub(super) fn compare_runs(
        &mut self,
        (system, against): (&str, &str),
        other: &RankingRun<SampleId>,
        metric: Metric,
    ) -> Result<(), TrainError> {
        if let Some(run) = self.kept.get(system) {
            let test = run.compare(other, metric, &self.bootstrap)?;
            self.report.push_comparison(system, against, metric, test);
        }
        Ok(())
    }

    /// Adds the paired tests of two systems, where both have been measured.
    pub(super) fn compare(&mut self, system: &str, against: &str) -> Result<(), TrainError> {
        let Some(other) = self.kept.get(against).cloned() else { return Ok(()) };
        for metric in [Metric::HitRate(TEN), Metric::Ndcg(TEN)] {
            self.compare_runs((system, against), &other, metric)?;
        }
        Ok(())
    }
}
