//! One system of a finished run: what its metrics are computed from.

use std::collections::BTreeMap;

use sidereal_data::SampleId;
use sidereal_metrics::{
    Level, Metric, MetricSource, Outcome, RankingRun, Report, Run, SamplingRun, SeenItems,
};

use crate::error::LabError;

/// The answers of one system of a run.
#[derive(Debug, Clone)]
pub(super) struct System {
    pub(super) label: String,
    /// The place of each user's target; without users for a system that ranks nothing.
    pub(super) placements: RankingRun<SampleId>,
    /// Answers that were drawn for some of the users, if any were.
    pub(super) draws: Option<SamplingRun<SampleId>>,
    /// Metrics of its lists, as the report of the run has them.
    pub(super) of_lists: BTreeMap<Metric, f64>,
    /// Whether the placements are only of some of the test users, drawn by the seed of the run, because
    /// the system is evaluated with reasoning or with candidate pools.
    pub(super) is_part: bool,
    /// Candidates of the pools that were ranked; `None` for all items.
    pub(super) pool: Option<usize>,
    /// Whether it is the policy that its stage started from.
    pub(super) at_start: bool,
}

impl System {
    /// A system that ranks items and has no other answers.
    pub(super) const fn of_placements(
        label: String,
        placements: RankingRun<SampleId>,
        is_part: bool,
    ) -> Self {
        let of_lists = BTreeMap::new();
        Self { label, placements, draws: None, of_lists, is_part, pool: None, at_start: false }
    }

    /// Takes the metrics of its lists out of the report of the run, as measured under a rule for seen items.
    pub(super) fn with_lists(mut self, report: &Report, seen_items: SeenItems) -> Self {
        let rows = report.rows().iter().filter(|row| {
            row.system == self.label
                && row.protocol.seen_items == seen_items
                && row.protocol.level == Level::Item
        });
        let values = rows.flat_map(|row| &row.values);
        let of_lists = values.filter(|entry| entry.metric.source() == MetricSource::Lists);
        self.of_lists = of_lists.map(|entry| (entry.metric, entry.value)).collect();
        self
    }

    /// The metric of every user. `None` if the system has no such answers, and for a metric of lists, of
    /// which the run holds the mean alone.
    pub(super) fn by_user(
        &self,
        metric: Metric,
    ) -> Result<Option<BTreeMap<SampleId, f64>>, LabError> {
        match metric.source() {
            MetricSource::Draws => {
                self.draws.as_ref().map(|draws| values(draws, metric)).transpose()
            }
            MetricSource::Lists => Ok(None),
            _ if self.placements.num_samples() == 0 => Ok(None),
            _ => values(&self.placements, metric).map(Some),
        }
    }

    /// The mean over its users; `None` if the system has no such answers.
    pub(super) fn mean(&self, metric: Metric) -> Result<Option<f64>, LabError> {
        let mean = |users: BTreeMap<_, f64>| users.values().sum::<f64>() / users.len() as f64;
        Ok(self.by_user(metric)?.map(mean).or(self.of_lists.get(&metric).copied()))
    }

    /// Whether a metric is of some of the test users only.
    pub(super) fn is_part_for(&self, metric: Metric) -> bool {
        self.is_part || metric.source() == MetricSource::Draws
    }
}

/// The metric of every sample of a run.
fn values<O: Outcome>(
    run: &Run<SampleId, O>,
    metric: Metric,
) -> Result<BTreeMap<SampleId, f64>, LabError> {
    Ok(run.outcomes().map(|(id, _)| *id).zip(run.values(metric)?).collect())
}
