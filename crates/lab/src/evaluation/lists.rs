//! Metrics of a system's lists besides the hit: diversity, exposure, recall of rare items.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use sidereal_data::{Dataset, ItemId, TrainSet};
use sidereal_metrics::{
    Bootstrap, ColdItems, ExposureCounts, Metric, MetricValue, RankingRun, hit_rate,
};
use sidereal_train::{Categories, Ranking};

use crate::cold::cold_items;
use crate::error::LabError;

/// What is known of the items.
pub(crate) struct Lists {
    categories: Categories,
    /// Items of lowest training frequency.
    cold: ColdItems,
    num_items: usize,
}

impl Lists {
    /// What is known of the items of the data.
    pub(crate) fn new(dataset: &Dataset, train: &TrainSet, seed: u64) -> Result<Self, LabError> {
        Ok(Self {
            categories: Categories::new(dataset),
            cold: cold_items(dataset, train, seed)?,
            num_items: dataset.num_items(),
        })
    }

    /// These of `Entropy@k`, `Cold-Recall@k`, `Coverage@k` and `Gini@k` of top-k lists with seen items
    /// kept. The entropy needs categories, and the cold recall needs a user with a cold target; otherwise
    /// they are left out.
    pub(crate) fn values(
        &self,
        rankings: &[Ranking],
        metrics: &[Metric],
        bootstrap: &Bootstrap,
    ) -> Result<Vec<MetricValue>, LabError> {
        let mut values = Vec::new();
        for metric in metrics {
            let value = match *metric {
                Metric::Entropy(_) if self.categories.is_empty() => None,
                Metric::Entropy(k) => mean(*metric, &self.entropies(rankings, k), bootstrap)?,
                Metric::ColdRecall(k) => mean(*metric, &self.cold_hits(rankings, k), bootstrap)?,
                Metric::Coverage(k) => {
                    let value = self.exposure(rankings, k)?.coverage();
                    Some(MetricValue { metric: *metric, value, interval: None })
                }
                Metric::Gini(k) => {
                    let value = self.exposure(rankings, k)?.gini();
                    value.map(|value| MetricValue { metric: *metric, value, interval: None })
                }
                _ => None,
            };
            values.extend(value);
        }
        Ok(values)
    }

    /// The entropy of the categories in each user's list.
    fn entropies(&self, rankings: &[Ranking], k: NonZeroUsize) -> Vec<f64> {
        rankings.iter().map(|ranking| self.categories.entropy(top(ranking, k))).collect()
    }

    /// Whether the target was found, for each user with a cold target.
    fn cold_hits(&self, rankings: &[Ranking], k: NonZeroUsize) -> Vec<f64> {
        let cold: RankingRun<_> = rankings
            .iter()
            .filter(|ranking| self.cold.contains(ranking.target.index()))
            .map(|ranking| (ranking.id, ranking.item_placement(&BTreeSet::new())))
            .collect();
        cold.placements().map(|(_, placement)| hit_rate(placement, k)).collect()
    }

    /// How often each item is shown.
    fn exposure(&self, rankings: &[Ranking], k: NonZeroUsize) -> Result<ExposureCounts, LabError> {
        let mut exposure = ExposureCounts::new(self.num_items);
        for ranking in rankings {
            exposure.push(top(ranking, k).map(ItemId::index))?;
        }
        Ok(exposure)
    }
}

/// The mean over users, with its interval; `None` without users.
fn mean(
    metric: Metric,
    users: &[f64],
    bootstrap: &Bootstrap,
) -> Result<Option<MetricValue>, LabError> {
    if users.is_empty() {
        return Ok(None);
    }
    let value = users.iter().sum::<f64>() / users.len() as f64;
    let interval = Some(bootstrap.interval(users)?);
    Ok(Some(MetricValue { metric, value, interval }))
}

/// The first `k` items of a list, including seen items.
fn top(ranking: &Ranking, k: NonZeroUsize) -> impl Iterator<Item = ItemId> + '_ {
    ranking.found.iter().flatten().take(k.get()).copied()
}
