//! The outcomes of one system, sample by sample.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Bootstrap, Draws, Metric, MetricError, MetricValue, PairedTest, Placement};

/// The result for one sample: a number for each metric that applies to it.
pub trait Outcome: Copy {
    /// The metric of this sample alone.
    ///
    /// # Errors
    /// [`MetricError::NotRanking`] or [`MetricError::NotDraws`] for a metric of something else.
    fn value(&self, metric: Metric) -> Result<f64, MetricError>;
}

impl Outcome for Placement {
    fn value(&self, metric: Metric) -> Result<f64, MetricError> {
        if let Metric::Average(average) = metric {
            return average.mean(|part| self.value(part));
        }
        let (gain, k) = metric.gain().ok_or(MetricError::NotRanking { metric })?;
        Ok(self.expected(k, gain))
    }
}

/// The place of each evaluated sample's target in the ranking of one system.
pub type RankingRun<S = u64> = Run<S, Placement>;

/// How many of the answers that one system drew for each sample were right.
pub type SamplingRun<S = u64> = Run<S, Draws>;

/// The result of each evaluated sample for one system.
///
/// Samples are known by a stable identity `S` of the data set, never by position, so that two runs
/// pair by identity. Stored as JSON, where `S` is written as a string or a number, a run can be
/// compared with later ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent, bound(deserialize = "S: Ord + Deserialize<'de>, O: Deserialize<'de>"))]
pub struct Run<S: Ord, O> {
    outcomes: BTreeMap<S, O>,
}

impl<S: Clone + Ord + fmt::Display> Run<S, Placement> {
    /// Samples and their placements, by rising identity.
    #[must_use]
    pub fn placements(&self) -> impl ExactSizeIterator<Item = (&S, Placement)> {
        self.outcomes()
    }
}

impl<S: Clone + Ord + fmt::Display, O: Outcome> Run<S, O> {
    /// A run without samples.
    #[must_use]
    pub const fn new() -> Self {
        Self { outcomes: BTreeMap::new() }
    }

    /// Adds one sample.
    ///
    /// # Errors
    /// [`MetricError::DuplicateSample`]; the earlier outcome stays.
    pub fn push(&mut self, sample: S, outcome: impl Into<O>) -> Result<(), MetricError> {
        if self.outcomes.contains_key(&sample) {
            return Err(MetricError::DuplicateSample { sample: sample.to_string() });
        }
        self.outcomes.insert(sample, outcome.into());
        Ok(())
    }

    /// Adds the samples of another shard.
    ///
    /// # Errors
    /// [`MetricError::DuplicateSample`]; the shard is then not added at all.
    pub fn merge(&mut self, other: Self) -> Result<(), MetricError> {
        let twice = other.outcomes.keys().find(|sample| self.outcomes.contains_key(sample));
        if let Some(sample) = twice {
            return Err(MetricError::DuplicateSample { sample: sample.to_string() });
        }
        self.outcomes.extend(other.outcomes);
        Ok(())
    }

    /// Number of samples.
    #[must_use]
    pub fn num_samples(&self) -> usize {
        self.outcomes.len()
    }

    /// Samples and their results, by rising identity.
    #[must_use]
    pub fn outcomes(&self) -> impl ExactSizeIterator<Item = (&S, O)> {
        self.outcomes.iter().map(|(sample, outcome)| (sample, *outcome))
    }

    /// The samples for which `keep` holds: a bucket of the evaluation.
    #[must_use]
    pub fn filter(&self, mut keep: impl FnMut(&S) -> bool) -> Self {
        let kept = self.outcomes().filter(|(sample, _)| keep(sample));
        Self { outcomes: kept.map(|(sample, outcome)| (sample.clone(), outcome)).collect() }
    }

    /// The metric of every sample, by rising identity.
    ///
    /// # Errors
    /// Those of [`Outcome::value`].
    pub fn values(&self, metric: Metric) -> Result<Vec<f64>, MetricError> {
        self.outcomes.values().map(|outcome| outcome.value(metric)).collect()
    }

    /// Means over samples, with bootstrap intervals, in the order of `metrics`.
    ///
    /// # Errors
    /// [`MetricError::NoUsers`], and those of [`values`](Self::values).
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
            let missing = |sample: &&S| !two.outcomes.contains_key(*sample);
            if let Some(sample) = one.outcomes.keys().find(missing) {
                return Err(MetricError::Unpaired { sample: sample.to_string(), side });
            }
        }
        bootstrap.paired(&self.values(metric)?, &other.values(metric)?)
    }
}

impl<S: Clone + Ord + fmt::Display, O: Outcome> Default for Run<S, O> {
    fn default() -> Self {
        Self::new()
    }
}

/// A sample that occurs twice keeps its last outcome; in [`Run::push`] it is an error.
impl<S: Ord, O, P: Into<O>> FromIterator<(S, P)> for Run<S, O> {
    fn from_iter<I: IntoIterator<Item = (S, P)>>(samples: I) -> Self {
        Self { outcomes: samples.into_iter().map(|(id, outcome)| (id, outcome.into())).collect() }
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
            RankingRun::from_iter([(1, TWO)]).values(Metric::Auc),
            Err(MetricError::NotRanking { metric: Metric::Auc })
        );
    }

    #[test]
    fn draws_have_intervals_and_pair_by_sample() {
        // Of 4 draws 1 and 3 are right: Pass@2 is 1 - C(3,2)/C(4,2) = 1/2 and 1.
        let draws = |right: [bool; 4]| Draws::new(&right).unwrap();
        let run: SamplingRun =
            [(5, draws([false, true, false, false])), (2, draws([true, true, false, true]))]
                .into_iter()
                .collect();
        let [pass, best] = [Metric::Pass(TWO), Metric::Best(NonZeroUsize::MIN)];
        let values = run.evaluate(&[pass, best], &bootstrap()).unwrap();
        assert_relative_eq!(values[0].value, 0.75);
        assert_relative_eq!(values[1].value, 0.5);
        assert!(values.iter().all(|value| value.interval.is_some()));
        let none: SamplingRun =
            [(2, draws([false; 4])), (5, draws([false; 4]))].into_iter().collect();
        assert_relative_eq!(run.compare(&none, pass, &bootstrap()).unwrap().difference, 0.75);
        let metric = Metric::Ndcg(TWO);
        assert_eq!(run.values(metric), Err(MetricError::NotDraws { metric }));
        let json = serde_json::to_string(&run).unwrap();
        assert_eq!(serde_json::from_str::<SamplingRun>(&json).unwrap(), run);
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

    #[test]
    fn a_run_returns_its_samples_by_identity() {
        let mut run = RankingRun::default();
        assert_eq!(run.num_samples(), 0);
        run.push(7, Some(TWO)).unwrap();
        run.push(3, None).unwrap();
        let shard: RankingRun = [(5, TWO)].into_iter().collect();
        run.merge(shard).unwrap();
        assert_eq!(run.num_samples(), 3);
        let at = Placement::At(TWO);
        let all = [(&3, Placement::Absent), (&5, at), (&7, at)];
        assert_eq!(run.placements().collect::<Vec<_>>(), all);
        assert_eq!(run.outcomes().collect::<Vec<_>>(), all);
        assert_eq!(run.values(Metric::Mrr(TWO)), Ok(vec![0.0, 0.5, 0.5]));
        let odd = run.filter(|sample| *sample > 3);
        assert_eq!(odd.outcomes().collect::<Vec<_>>(), all[1..]);
    }

    #[test]
    fn a_sample_that_only_the_first_run_has_is_named() {
        let one: RankingRun = [(1, TWO), (2, TWO)].into_iter().collect();
        let two: RankingRun = [(1, TWO)].into_iter().collect();
        let error = one.compare(&two, Metric::HitRate(TWO), &bootstrap()).unwrap_err();
        assert_eq!(error, MetricError::Unpaired { sample: "2".into(), side: "first" });
        let none = RankingRun::<u64>::new().evaluate(&[Metric::HitRate(TWO)], &bootstrap());
        assert_eq!(none, Err(MetricError::NoUsers));
    }
}
