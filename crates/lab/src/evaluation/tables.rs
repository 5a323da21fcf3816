//! Rows of the report, and the runs that they are of.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use sidereal_data::SampleId;
use sidereal_metrics::{
    Bootstrap, Candidates, Chains, EvaluationSplit, Level, Metric, MetricValue, Protocol,
    RankingRun, Report, Row, ScoreKind, SeenItems,
};
use sidereal_policy::Scoring;

use super::columns::Columns;
use crate::error::LabError;

/// Rows of the report, and their test runs, for paired tests.
pub(crate) struct Tables {
    pub(crate) report: Report,
    pub(crate) bootstrap: Bootstrap,
    /// The metrics of every row.
    pub(crate) columns: Columns,
    pub(crate) split: EvaluationSplit,
    /// Test runs with seen items kept, by system, with their protocols.
    pub(crate) kept: BTreeMap<String, (Protocol, RankingRun<SampleId>)>,
}

/// What was measured, and how.
#[derive(Clone, Copy)]
pub(crate) struct Measured<'a> {
    pub(crate) system: &'a str,
    pub(crate) candidates: Candidates,
    pub(crate) seen_items: SeenItems,
    pub(crate) level: Level,
    pub(crate) beam_width: Option<NonZeroUsize>,
    pub(crate) chains: Option<Chains>,
    pub(crate) score: ScoreKind,
}

impl Tables {
    /// Tables with the same protocol and intervals, but without rows.
    pub(crate) fn without_rows(&self) -> Self {
        Self {
            report: Report::default(),
            bootstrap: self.bootstrap.clone(),
            columns: self.columns.clone(),
            split: self.split.clone(),
            kept: BTreeMap::new(),
        }
    }

    /// Every system's run with seen items kept and how it was measured, in the order of the rows.
    pub(crate) fn kept(&self) -> impl Iterator<Item = (Measured<'_>, &RankingRun<SampleId>)> {
        self.report.rows().iter().filter_map(|row| {
            let (protocol, run) = self.kept.get(&row.system)?;
            let how = Measured {
                system: &row.system,
                candidates: protocol.candidates,
                seen_items: protocol.seen_items,
                level: protocol.level,
                beam_width: protocol.beam_width,
                chains: protocol.chains,
                score: protocol.score,
            };
            (row.protocol == *protocol).then_some((how, run))
        })
    }

    /// Adds a row, with `more` values after those of the ranks.
    pub(crate) fn push(
        &mut self,
        how: Measured<'_>,
        run: RankingRun<SampleId>,
        more: Vec<MetricValue>,
    ) -> Result<(), LabError> {
        let mut values = run.evaluate(&self.columns.of_ranks(how.candidates), &self.bootstrap)?;
        values.extend(more);
        self.push_values(how, run.num_samples(), values)?;
        if how.seen_items == SeenItems::Kept && how.level == Level::Item {
            let protocol = self.protocol(how, run.num_samples());
            self.kept.insert(how.system.to_owned(), (protocol, run));
        }
        Ok(())
    }

    /// Adds a row over a part of the users; paired tests use the row over all users.
    pub(crate) fn push_part(
        &mut self,
        how: Measured<'_>,
        run: &RankingRun<SampleId>,
    ) -> Result<(), LabError> {
        let values = run.evaluate(&self.columns.of_ranks(how.candidates), &self.bootstrap)?;
        self.push_values(how, run.num_samples(), values)
    }

    /// Adds a row of these values.
    pub(crate) fn push_values(
        &mut self,
        how: Measured<'_>,
        num_users: usize,
        values: Vec<MetricValue>,
    ) -> Result<(), LabError> {
        let protocol = self.protocol(how, num_users);
        Ok(self.report.push(Row { system: how.system.to_owned(), protocol, values })?)
    }

    fn protocol(&self, how: Measured<'_>, num_users: usize) -> Protocol {
        Protocol {
            split: self.split.clone(),
            candidates: how.candidates,
            seen_items: how.seen_items,
            level: how.level,
            score: how.score,
            beam_width: how.beam_width,
            chains: how.chains,
            num_users,
        }
    }

    /// Adds the paired test of a system and another run over the same users.
    pub(crate) fn compare_runs(
        &mut self,
        (system, against): (&str, &str),
        other: &RankingRun<SampleId>,
        metric: Metric,
    ) -> Result<(), LabError> {
        if let Some((_, run)) = self.kept.get(system) {
            let test = run.compare(other, metric, &self.bootstrap)?;
            self.report.push_comparison(system, against, metric, test);
        }
        Ok(())
    }

    /// Adds the paired tests of two systems if both were measured under comparable protocols: never
    /// a row over a pool with a row over all items.
    pub(crate) fn compare(&mut self, system: &str, against: &str) -> Result<(), LabError> {
        let (Some((own, _)), Some((protocol, other))) =
            (self.kept.get(system), self.kept.get(against))
        else {
            return Ok(());
        };
        if !own.is_comparable(protocol) {
            return Ok(());
        }
        let other = other.clone();
        for metric in self.columns.tested() {
            self.compare_runs((system, against), &other, metric)?;
        }
        Ok(())
    }
}

/// A scoring as a protocol names it.
pub(crate) const fn score_kind(scoring: Scoring) -> ScoreKind {
    match scoring {
        Scoring::Renormalised => ScoreKind::Renormalised,
        _ => ScoreKind::Full,
    }
}
