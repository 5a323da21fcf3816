//! The placements of one system, sample by sample.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Bootstrap, Metric, MetricError, MetricValue, PairedTest, Placement};

/// Where each evaluated sample's target stands in one system's ranking.
///
/// Samples are known by a stable identity `S` of the data set, never by position, so that two runs
/// pair by identity. Stored as JSON, where `S` is written as a string or a number, a run can be
/// compared with later ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent, bound(deserialize = "S: Ord + Deserialize<'de>"))]
pub struct RankingRun<S: Ord = u64> {
    placements: BTreeMap<S, Placement>,
}

impl<S: Clone + Ord + fmt::Display> RankingRun<S> {
    /// A run without samples.
    #[must_use]
    pub fn new() -> Self {
        Self { placements: BTreeMap::new() }
    }

    /// Adds one sample.
    ///
    /// # Errors
    /// [`MetricError::DuplicateSample`]; the earlier placement stays.
    pub fn push(&mut self, sample: S, placement: impl Into<Placement>) -> Result<(), MetricError> {
        if self.placements.contains_key(&sample) {
            return Err(MetricError::DuplicateSample { sample: sample.to_string() });
        }
        self.placements.insert(sample, placement.into());
        Ok(())
    }

    /// Adds the samples of another shard.
    ///
    /// # Errors
    /// [`MetricError::DuplicateSample`]; the shard is then not added at all.
    pub fn merge(&mut self, other: Self) -> Result<(), MetricError> {
        let twice = other.placements.keys().find(|sample| self.placements.contains_key(sample));
        if let Some(sample) = twice {
            return Err(MetricError::DuplicateSample { sample: sample.to_string() });
        }
        self.placements.extend(other.placements);
        Ok(())
    }

    /// Number of samples.
    #[must_use]
    pub fn num_samples(&self) -> usize {
        self.placements.len()
    }

    /// Samples and their placements, by rising identity.
    #[must_use]
    pub fn placements(&self) -> impl ExactSizeIterator<Item = (&S, Placement)> {
        self.placements.iter().map(|(sample, placement)| (sample, *placement))
    }

    /// The samples for which `keep` holds: a bucket of the evaluation.
    #[must_use]
    pub fn filter(&self, mut keep: impl FnMut(&S) -> bool) -> Self {
        let kept = self.placements().filter(|(sample, _)| keep(sample));
        kept.map(|(sample, placement)| (sample.clone(), placement)).collect()
    }

    /// The metric of every sample, by rising identity.
    ///
    /// # Errors
    /// [`MetricError::NotRanking`] if the metric is not a function of the target's rank.
    pub fn values(&self, metric: Metric) -> Result<Vec<f64>, MetricError> {
        let (gain, k) = metric.gain().ok_or(MetricError::NotRanking { metric })?;
        Ok(self.placements.values().map(|placement| placement.expected(k, gain)).collect())
    }

    /// Means over samples, with bootstrap intervals, in the order of `metrics`.
    ///
    /// # Errors
    /// [`MetricError::NoUsers`], [`MetricError::NotRanking`].
    pub fn evaluate(
        &self,
        metrics: &[Metric],
        bootstrap: &Bootstrap,
    ) -> Result<Vec<MetricValue>, MetricError> {
        let columns: Vec<Vec<f64>> =
            metrics.iter().map(|metric| self.values(*metric)).collect::<Result<_, _>>()?;
        let slices: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
        let intervals = bootstrap.intervals(&slices)?;
        Ok(metrics
            .iter()
            .zip(&columns)
            .zip(intervals)
            .map(|((metric, column), interval)| MetricValue {
                metric: *metric,
                value: column.iter().sum::<f64>() / column.len() as f64,
                interval: Some(interval),
            })
            .collect())
    }

    /// Paired bootstrap of this run against another over the same samples: this one minus `other`.
    ///
    /// # Errors
    /// [`MetricError::Unpaired`] if a sample is in one run only, and as
    /// [`evaluate`](Self::evaluate).
    pub fn compare(
        &self,
        other: &Self,
        metric: Metric,
        bootstrap: &Bootstrap,
    ) -> Result<PairedTest, MetricError> {
        for (one, two, side) in [(self, other, "first"), (other, self, "second")] {
            let missing = |sample: &&S| !two.placements.contains_key(*sample);
            if let Some(sample) = one.placements.keys().find(missing) {
                return Err(MetricError::Unpaired { sample: sample.to_string(), side });
            }
        }
        bootstrap.paired(&self.values(metric)?, &other.values(metric)?)
    }
}

impl<S: Clone + Ord + fmt::Display> Default for RankingRun<S> {
    fn default() -> Self {
        Self::new()
    }
}

/// A sample that comes twice keeps its last placement; [`RankingRun::push`] refuses it.
impl<S: Ord, P: Into<Placement>> FromIterator<(S, P)> for RankingRun<S> {
    fn from_iter<I: IntoIterator<Item = (S, P)>>(samples: I) -> Self {
        Self { placements: samples.into_iter().map(|(id, place)| (id, place.into())).collect() }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use approx::assert_relative_eq;

    use super::*;
    use crate::BootstrapConfig;

    const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();

    fn bootstrap() -> Bootstrap {
        Bootstrap::try_from(BootstrapConfig::new(5).with_resamples(50)).unwrap()
    }

    #[test]
    fn runs_pair_by_sample_not_by_order() {
        let one: RankingRun = [(7, Some(TWO)), (3, None)].into_iter().collect();
        let two: RankingRun = [(3, None), (7, Some(TWO))].into_iter().collect();
        let test = one.compare(&two, Metric::Ndcg(TWO), &bootstrap()).unwrap();
        assert_relative_eq!(test.interval.high - test.interval.low, 0.0);
    }

    #[test]
    fn runs_over_different_samples_are_refused() {
        let one: RankingRun = [(1, TWO)].into_iter().collect();
        let two: RankingRun = [(1, TWO), (2, TWO)].into_iter().collect();
        let error = one.compare(&two, Metric::HitRate(TWO), &bootstrap()).unwrap_err();
        assert_eq!(error, MetricError::Unpaired { sample: "2".into(), side: "second" });
    }

    #[test]
    fn a_sample_counts_once() {
        let mut run: RankingRun = [(1, TWO)].into_iter().collect();
        let twice = Err(MetricError::DuplicateSample { sample: "1".into() });
        assert_eq!(run.push(1, None), twice);
        let shard = run.clone();
        assert_eq!(run.merge(shard), twice);
        assert_eq!(run.num_samples(), 1);
    }

    #[test]
    fn a_metric_of_lists_is_not_computed_from_ranks() {
        assert_eq!(
            RankingRun::<u64>::new().values(Metric::Auc),
            Err(MetricError::NotRanking { metric: Metric::Auc })
        );
    }

    #[test]
    fn json_reads_back() {
        let run: RankingRun = [(1, Placement::At(TWO)), (2, Placement::Absent)]
            .into_iter()
            .chain([(3, Placement::Tied { first: TWO, count: TWO })])
            .collect();
        let json = serde_json::to_string(&run).unwrap();
        assert_eq!(json, r#"{"1":{"at":2},"2":"absent","3":{"tied":{"first":2,"count":2}}}"#);
        assert_eq!(serde_json::from_str::<RankingRun>(&json).unwrap(), run);
    }
}
