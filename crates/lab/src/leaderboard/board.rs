//! The result of a leaderboard.

use serde::{Deserialize, Serialize};
use sidereal_data::{Dataset, HeldOut as _, Split};
use sidereal_metrics::{Interval, Metric, PairedTest, SeenItems};

use super::cost::Cost;
use super::published::PublishedResult;
use super::recipe::{BoardRecipe, TuneConfig};
use super::tuned::Tuned;
use crate::evaluation::BucketRow;
use crate::split::SplitConfig;

/// The result of a leaderboard: what was measured, and beside it what others published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Board {
    /// On what it was measured.
    pub data: BoardData,
    /// How settings were chosen.
    pub tune: TuneConfig,
    /// A row of each system, in the order of the recipe.
    pub rows: Vec<BoardRow>,
    /// Systems that could not be trained, with the reason.
    pub left_out: Vec<LeftOut>,
    /// What others published on the dataset.
    pub published: Vec<PublishedResult>,
}

/// On what a leaderboard was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BoardData {
    /// Name of the dataset among the published numbers, if it has one.
    pub name: Option<String>,
    /// BLAKE3 of the dataset.
    pub hash: String,
    /// What was held out.
    pub split: SplitConfig,
    /// Items of a history that systems see.
    pub max_history: usize,
    /// Users of the data.
    pub num_users: usize,
    /// Items of the catalogue, all of which are ranked.
    pub num_items: usize,
    /// Users on whom settings were chosen.
    pub num_valid: usize,
    /// Predictions of the test.
    pub num_test: usize,
}

/// A system that could not be trained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Its name in the recipe.
    pub system: String,
    /// The error with its causes.
    pub why: String,
}

/// A system in the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BoardRow {
    /// Name in the table.
    pub label: String,
    /// Name in the recipe.
    pub system: String,
    /// Its kind, or the recipe of its run.
    pub kind: String,
    /// Name among the published numbers.
    pub published: Option<String>,
    /// The seeds that it was trained with.
    pub seeds: Vec<u64>,
    /// The choice of its settings; `None` for a recipe, which has its own.
    pub tuned: Option<Tuned>,
    /// The training of one seed on average, without the choice of settings. Rows of one run share it.
    pub cost: Cost,
    /// Whether a training took longer than the stated time.
    pub over_time: bool,
    /// Numbers that the training chose; `None` if they were not counted.
    pub num_parameters: Option<usize>,
    /// Users scored and ranked a second; `None` if it was not measured.
    pub users_per_second: Option<f64>,
    /// Metrics with seen items kept.
    pub kept: Vec<BoardValue>,
    /// Metrics with seen items removed.
    pub removed: Vec<BoardValue>,
    /// Metrics by kind of user, under the rule of the choice of settings.
    pub buckets: Vec<BucketRow>,
}

/// A metric of a row. The value of each user is first averaged over the seeds; intervals and tests are over
/// users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BoardValue {
    /// Which.
    pub metric: Metric,
    /// Mean over users and seeds.
    pub value: f64,
    /// Its interval over users.
    pub interval: Interval,
    /// Mean over users for each seed, in the order of the row's seeds.
    pub by_seed: Vec<f64>,
    /// This row minus the best one; `None` for the best one itself.
    pub against_best: Option<PairedTest>,
}

impl BoardData {
    pub(super) fn of(
        recipe: &BoardRecipe,
        dataset: &Dataset,
        split: &Split,
        num_valid: usize,
    ) -> Self {
        Self {
            name: recipe.dataset.clone(),
            hash: dataset.hash(),
            split: recipe.split,
            max_history: recipe.max_history,
            num_users: dataset.users().len(),
            num_items: dataset.num_items(),
            num_valid,
            num_test: split.test.samples().count(),
        }
    }
}

impl Board {
    /// The row of the highest [`TuneConfig::metric`] under a rule for seen items, the first of equals; with which
    /// the others are compared.
    #[must_use]
    pub fn best(&self, seen_items: SeenItems) -> Option<&BoardRow> {
        let is_best = |row: &&BoardRow| {
            row.values(seen_items).iter().all(|value| value.against_best.is_none())
        };
        self.rows.iter().find(is_best)
    }
}

impl BoardRow {
    /// The metrics under a rule for seen items.
    #[must_use]
    pub fn values(&self, seen_items: SeenItems) -> &[BoardValue] {
        match seen_items {
            SeenItems::Kept => &self.kept,
            SeenItems::Removed => &self.removed,
        }
    }

    /// One metric under a rule for seen items.
    #[must_use]
    pub fn value(&self, seen_items: SeenItems, metric: Metric) -> Option<&BoardValue> {
        self.values(seen_items).iter().find(|value| value.metric == metric)
    }

    /// The choice of settings and one training.
    #[must_use]
    pub fn whole_cost(&self) -> Cost {
        self.tuned.as_ref().map_or(self.cost, |tuned| tuned.cost().plus(self.cost))
    }
}
