//! The test by kind of user: length of the history, frequency of the target, shared codes.

use serde::{Deserialize, Serialize};
use sidereal_data::{ItemId, Sample, SampleId, TrainSet};
use sidereal_metrics::{Bootstrap, Metric, MetricValue, RankingRun};
use sidereal_sid::Catalog;

use crate::error::LabError;

/// Values of one system on the users of one bucket; item level, seen items kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BucketRow {
    /// The system's label.
    pub system: String,
    /// What the users have in common: `history 1-5`, `target seen 0-5 times`, …
    pub bucket: String,
    /// Users of the bucket.
    pub num_users: usize,
    /// Values over these users.
    pub values: Vec<MetricValue>,
}

/// A rule that puts users into a bucket.
struct Bucket {
    name: String,
    users: Vec<SampleId>,
}

/// Users by bucket; a bucket without users is left out.
pub(crate) struct Buckets(Vec<Bucket>);

impl Buckets {
    /// Buckets of test samples: those of [`of_items`](Self::of_items), and by shared codes.
    pub(crate) fn new(samples: &[Sample<'_>], train: &TrainSet, catalog: &Catalog) -> Self {
        let mut buckets = Self::of_items(samples, train, catalog.num_items());
        let levels = catalog.spec().num_levels();
        // Items that share their quantised codes with another item: a suffix tells them apart, or
        // nothing does.
        let shared = |item: ItemId| {
            catalog.sid(item).is_some_and(|sid| sid.len() > levels || catalog.items(sid).len() > 1)
        };
        buckets.add(samples, "target with codes of its own".to_owned(), |s| !shared(s.target));
        buckets.add(samples, "target with shared codes".to_owned(), |s| shared(s.target));
        buckets
    }

    /// Buckets of test samples by the length of the history and by how often training has the target.
    pub(crate) fn of_items(samples: &[Sample<'_>], train: &TrainSet, num_items: usize) -> Self {
        let mut frequency = vec![0usize; num_items];
        for item in train.sequences().flat_map(|sequence| sequence.events) {
            frequency[item.index()] += 1;
        }
        let mut buckets = Self(Vec::new());
        for (from, to) in [(0, 5), (6, 10), (11, 20), (21, usize::MAX)] {
            let name = format!("history of {}", span(from.max(1), to));
            buckets.add(samples, name, |sample| (from..=to).contains(&sample.seen.len()));
        }
        for (from, to) in [(0, 0), (1, 5), (6, 20), (21, usize::MAX)] {
            let name = format!("target {} times in training", span(from, to));
            let of = |sample: &Sample<'_>| frequency[sample.target.index()];
            buckets.add(samples, name, |sample| (from..=to).contains(&of(sample)));
        }
        buckets
    }

    /// Adds the samples for which `keep` holds, if there are any.
    fn add(&mut self, samples: &[Sample<'_>], name: String, keep: impl Fn(&Sample<'_>) -> bool) {
        let mut users: Vec<SampleId> =
            samples.iter().filter(|sample| keep(sample)).map(|sample| sample.id).collect();
        users.sort_unstable();
        if !users.is_empty() {
            self.0.push(Bucket { name, users });
        }
    }

    /// The buckets with their users, by rising identity.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &[SampleId])> {
        self.0.iter().map(|bucket| (bucket.name.as_str(), bucket.users.as_slice()))
    }

    /// A system's values in every bucket.
    pub(crate) fn rows(
        &self,
        system: &str,
        run: &RankingRun<SampleId>,
        metrics: &[Metric],
        bootstrap: &Bootstrap,
    ) -> Result<Vec<BucketRow>, LabError> {
        self.0
            .iter()
            .map(|Bucket { name, users }| {
                let part = run.filter(|id| users.binary_search(id).is_ok());
                Ok(BucketRow {
                    system: system.to_owned(),
                    bucket: name.clone(),
                    num_users: part.num_samples(),
                    values: part.evaluate(metrics, bootstrap)?,
                })
            })
            .collect()
    }
}

fn span(from: usize, to: usize) -> String {
    match to {
        usize::MAX => format!("{from} and more"),
        _ if from == to => from.to_string(),
        _ => format!("{from} to {to}"),
    }
}
