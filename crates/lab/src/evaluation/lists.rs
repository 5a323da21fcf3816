//! Metrics of a system's lists besides the hit: diversity, exposure, recall of rare items.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use sidereal_data::{Dataset, ItemId, TrainSet};
use sidereal_metrics::{
    Bootstrap, ColdItems, ExposureCounts, Metric, MetricValue, RankingRun, entropy, hit_rate,
};
use sidereal_train::{Categories, Ranking};

use crate::error::LabError;
use crate::seed::{Purpose, stream};

/// Share of items that count as cold (SAGE).
const COLD_SHARE: f64 = 0.05;

/// What is known of the items.
pub(crate) struct Lists {
    categories: Categories,
    /// Items of lowest training frequency.
    cold: ColdItems,
    num_items: usize,
}

impl Lists {
    /// Cold items are drawn once, ties by seed, for all systems.
    pub(crate) fn new(dataset: &Dataset, train: &TrainSet, seed: u64) -> Result<Self, LabError> {
        let categories = Categories::new(dataset);
        let mut frequency = vec![0; dataset.num_items()];
        for item in train.sequences().flat_map(|sequence| sequence.events) {
            frequency[item.index()] += 1;
        }
        let mut rng = stream(seed, Purpose::ColdItems, 0);
        let cold = ColdItems::least_frequent(&frequency, COLD_SHARE, &mut rng)?;
        Ok(Self { categories, cold, num_items: dataset.num_items() })
    }

    /// `Entropy@k`, `Cold-Recall@k`, `Coverage@k` and `Gini@k` of top-k lists with seen items kept.
    /// The entropy needs categories, and the cold recall needs a user with a cold target; otherwise
    /// they are left out.
    pub(crate) fn values(
        &self,
        rankings: &[Ranking],
        k: NonZeroUsize,
        bootstrap: &Bootstrap,
    ) -> Result<Vec<MetricValue>, LabError> {
        let mut values = Vec::new();
        let mut mean = |metric: Metric, users: &[f64]| -> Result<(), LabError> {
            if !users.is_empty() {
                let value = users.iter().sum::<f64>() / users.len() as f64;
                let interval = Some(bootstrap.interval(users)?);
                values.push(MetricValue { metric, value, interval });
            }
            Ok(())
        };
        if !self.categories.is_empty() {
            let of_user = |ranking: &Ranking| {
                let labels: Vec<&str> =
                    top(ranking, k).map(|item| self.categories.of(item)).collect();
                entropy(&labels, k)
            };
            mean(Metric::Entropy(k), &rankings.iter().map(of_user).collect::<Vec<_>>())?;
        }
        let cold: RankingRun<_> = rankings
            .iter()
            .filter(|ranking| self.cold.contains(ranking.target.index()))
            .map(|ranking| (ranking.id, ranking.item_placement(&BTreeSet::new())))
            .collect();
        let hits: Vec<f64> =
            cold.placements().map(|(_, placement)| hit_rate(placement, k)).collect();
        mean(Metric::ColdRecall(k), &hits)?;
        let mut exposure = ExposureCounts::new(self.num_items);
        for ranking in rankings {
            exposure.push(top(ranking, k).map(ItemId::index))?;
        }
        let coverage = Some((Metric::Coverage(k), exposure.coverage()));
        let gini = exposure.gini().map(|gini| (Metric::Gini(k), gini));
        let of_all = coverage.into_iter().chain(gini);
        values.extend(of_all.map(|(metric, value)| MetricValue { metric, value, interval: None }));
        Ok(values)
    }
}

/// The first `k` items of a list, including seen items.
fn top(ranking: &Ranking, k: NonZeroUsize) -> impl Iterator<Item = ItemId> + '_ {
    ranking.found.iter().flatten().take(k.get()).copied()
}
