//! From the places of targets to the numbers of a leaderboard.

use std::num::NonZeroUsize;

use sidereal_data::{HeldOut as _, Sample, SampleId, Split};
use sidereal_metrics::{
    Bootstrap, BootstrapConfig, Metric, MetricError, MetricValue, RankingRun, SeenItems,
};

use super::board::{Board, BoardData, BoardRow, BoardValue, LeftOut};
use super::cost::Cost;
use super::published::PublishedResult;
use super::recipe::{BoardRecipe, SystemConfig, TuneConfig};
use super::tested::{Placed, Tested};
use super::tuned::Tuned;
use crate::error::LabError;
use crate::evaluation::BucketRow;
use crate::evaluation::buckets::Buckets;

const FIVE: NonZeroUsize = NonZeroUsize::new(5).unwrap();
pub(super) const TEN: NonZeroUsize = NonZeroUsize::new(10).unwrap();

/// The columns of the table.
pub(super) const METRICS: [Metric; 4] =
    [Metric::HitRate(FIVE), Metric::HitRate(TEN), Metric::Ndcg(FIVE), Metric::Ndcg(TEN)];
/// The columns by kind of user.
pub(super) const MAIN: [Metric; 2] = [Metric::HitRate(TEN), Metric::Ndcg(TEN)];

/// A row before its numbers are counted.
pub(super) struct Measured {
    label: String,
    system: String,
    kind: String,
    published: Option<String>,
    tuned: Option<Tuned>,
    seeds: Vec<u64>,
    costs: Vec<Cost>,
    placed: Vec<Placed>,
}

impl Measured {
    /// The rows of a system that was tested with some seeds.
    pub(super) fn rows(
        config: &SystemConfig,
        tuned: Option<&Tuned>,
        tests: Vec<Tested>,
    ) -> Vec<Self> {
        let kind = match (&config.kind, &config.recipe) {
            (Some(kind), _) => kind.clone(),
            (None, recipe) => format!("recipe {}", recipe.as_deref().unwrap_or_default()),
        };
        let mut rows: Vec<Self> = config
            .labels()
            .into_iter()
            .map(|label| Self {
                label,
                system: config.name.clone(),
                kind: kind.clone(),
                published: config.published.clone(),
                tuned: tuned.cloned(),
                seeds: Vec::new(),
                costs: Vec::new(),
                placed: Vec::new(),
            })
            .collect();
        for mut test in tests {
            for row in &mut rows {
                if let Some(placed) = test.rows.remove(&row.label) {
                    row.seeds.push(test.seed);
                    row.costs.push(test.cost);
                    row.placed.push(placed);
                }
            }
        }
        rows
    }

    /// The metric of each user, by rising identity, averaged over the seeds; and the mean of each seed.
    fn values(
        &self,
        seen_items: SeenItems,
        metric: Metric,
    ) -> Result<(Vec<f64>, Vec<f64>), LabError> {
        let of_seed = |placed: &Placed| placed.of(seen_items).values(metric);
        let by_seed: Vec<Vec<f64>> = self.placed.iter().map(of_seed).collect::<Result<_, _>>()?;
        let num_seeds = by_seed.len() as f64;
        let num_users = by_seed.first().map_or(0, Vec::len);
        if let Some(other) = by_seed.iter().find(|values| values.len() != num_users) {
            let (found, expected) = (other.len(), num_users);
            return Err(MetricError::Length { what: "values", found, expected }.into());
        }
        let of_user = |user: usize| by_seed.iter().map(|of| of[user]).sum::<f64>() / num_seeds;
        let means = by_seed.iter().map(|of| mean(of)).collect();
        Ok(((0..num_users).map(of_user).collect(), means))
    }

    fn mean_cost(&self) -> Cost {
        let sum = self.costs.iter().fold(Cost::nothing(), |sum, cost| sum.plus(*cost));
        let share = (self.costs.len().max(1) as f64).recip();
        Cost {
            wall_seconds: sum.wall_seconds * share,
            processor_seconds: sum.processor_seconds.map(|seconds| seconds * share),
        }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// How numbers are counted.
pub(super) struct Measure<'a> {
    tune: &'a TuneConfig,
    bootstrap: Bootstrap,
    buckets: Buckets,
}

impl<'a> Measure<'a> {
    pub(super) fn new(
        recipe: &'a BoardRecipe,
        split: &Split,
        num_items: usize,
    ) -> Result<Self, LabError> {
        let config = BootstrapConfig::new(recipe.first_seed()).with_resamples(recipe.resamples);
        let samples: Vec<Sample<'_>> = split.test.samples().collect();
        let buckets = Buckets::of_items(&samples, &split.train, num_items);
        Ok(Self { tune: &recipe.tune, bootstrap: Bootstrap::try_from(config)?, buckets })
    }

    /// The whole leaderboard.
    pub(super) fn board(
        &self,
        data: BoardData,
        measured: Vec<Measured>,
        left_out: Vec<LeftOut>,
        published: Vec<PublishedResult>,
    ) -> Result<Board, LabError> {
        let kept = self.values_of(&measured, SeenItems::Kept)?;
        let removed = self.values_of(&measured, SeenItems::Removed)?;
        let mut rows = Vec::new();
        for ((row, kept), removed) in measured.into_iter().zip(kept).zip(removed) {
            let limit = 60.0 * self.tune.minutes;
            let buckets = self.by_bucket(&row)?;
            rows.push(BoardRow {
                cost: row.mean_cost(),
                over_time: row.costs.iter().any(|cost| cost.wall_seconds > limit),
                num_parameters: row.placed.first().and_then(|placed| placed.num_parameters),
                users_per_second: row.placed.first().and_then(|placed| placed.users_per_second),
                label: row.label,
                system: row.system,
                kind: row.kind,
                published: row.published,
                seeds: row.seeds,
                tuned: row.tuned,
                kept,
                removed,
                buckets,
            });
        }
        Ok(Board { data, tune: self.tune.clone(), rows, left_out, published })
    }

    /// The metrics of every row under a rule, each with its test against the best row.
    fn values_of(
        &self,
        rows: &[Measured],
        seen_items: SeenItems,
    ) -> Result<Vec<Vec<BoardValue>>, LabError> {
        let chosen = rows.iter().map(|row| Ok(mean(&row.values(seen_items, self.tune.metric)?.0)));
        let chosen = chosen.collect::<Result<Vec<f64>, LabError>>()?;
        let best =
            (0..rows.len()).reduce(|b, next| if chosen[next] > chosen[b] { next } else { b });
        let of_best = match best {
            Some(best) => METRICS
                .iter()
                .map(|metric| Ok(rows[best].values(seen_items, *metric)?.0))
                .collect::<Result<Vec<_>, LabError>>()?,
            None => Vec::new(),
        };
        let mut all = Vec::new();
        for (at, row) in rows.iter().enumerate() {
            let own = METRICS.iter().map(|metric| row.values(seen_items, *metric));
            let own = own.collect::<Result<Vec<_>, LabError>>()?;
            let columns: Vec<&[f64]> = own.iter().map(|(users, _)| users.as_slice()).collect();
            let intervals = self.bootstrap.intervals(&columns)?;
            let mut values = Vec::new();
            for (((metric, (users, by_seed)), interval), best_users) in
                METRICS.into_iter().zip(own).zip(intervals).zip(&of_best)
            {
                let against_best = if Some(at) == best {
                    None
                } else {
                    Some(self.bootstrap.paired(&users, best_users)?)
                };
                let value = mean(&users);
                values.push(BoardValue { metric, value, interval, by_seed, against_best });
            }
            all.push(values);
        }
        Ok(all)
    }

    /// The main metrics by kind of user.
    fn by_bucket(&self, row: &Measured) -> Result<Vec<BucketRow>, LabError> {
        let rule = self.tune.seen_items;
        let Some(placed) = row.placed.first() else { return Ok(Vec::new()) };
        let run: &RankingRun<SampleId> = placed.of(rule);
        let ids: Vec<SampleId> = run.placements().map(|(id, _)| *id).collect();
        let columns = MAIN.iter().map(|metric| Ok((*metric, row.values(rule, *metric)?.0)));
        let columns = columns.collect::<Result<Vec<_>, LabError>>()?;
        let mut rows = Vec::new();
        for (name, users) in self.buckets.iter() {
            let inside: Vec<bool> = ids.iter().map(|id| users.binary_search(id).is_ok()).collect();
            let mut values = Vec::new();
            for (metric, all) in &columns {
                let part = all.iter().zip(&inside).filter(|(_, inside)| **inside);
                let part: Vec<f64> = part.map(|(value, _)| *value).collect();
                let interval = Some(self.bootstrap.interval(&part)?);
                values.push(MetricValue { metric: *metric, value: mean(&part), interval });
            }
            let (system, bucket) = (row.label.clone(), name.to_owned());
            rows.push(BucketRow { system, bucket, num_users: users.len(), values });
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sidereal_data::{Dataset, Item, ItemId, User, UserId, leave_one_out};

    use super::*;

    fn placed(ranks: &[usize]) -> Placed {
        let ids = (0..).map(|user| SampleId::Event { user: UserId(user), position: 3 });
        let run: RankingRun<SampleId> =
            ids.zip(ranks.iter().map(|rank| NonZeroUsize::new(*rank))).collect();
        Placed {
            kept: run.clone(),
            removed: run,
            num_parameters: Some(7),
            users_per_second: Some(2.0),
        }
    }

    fn measured(label: &str, ranks: &[&[usize]]) -> Measured {
        let config: SystemConfig =
            serde_json::from_value(serde_json::json!({"name": label, "kind": "ease"})).unwrap();
        let tests = (1..).zip(ranks).map(|(seed, ranks)| Tested {
            seed,
            cost: Cost { wall_seconds: 2.0 * seed as f64, processor_seconds: Some(seed as f64) },
            rows: BTreeMap::from([(label.to_owned(), placed(ranks))]),
        });
        Measured::rows(&config, None, tests.collect()).remove(0)
    }

    fn board(rows: Vec<Measured>) -> Board {
        let recipe: BoardRecipe = toml::from_str(
            "seeds = [1, 2]\nmax_history = 5\nresamples = 50\n[tune]\nmetric = 'HR@5'\n\
             seen_items = 'kept'\nusers = 9\npoints = 3\nminutes = 0.05\n\
             [[system]]\nname = 'a'\nkind = 'ease'\n",
        )
        .unwrap();
        let items = (0..6).map(|item| Item::new(item.to_string(), "")).collect();
        let events = |user: u32| (0..4).map(|step| ItemId((user + step) % 6)).collect();
        let users = (0..4).map(|user| User::new(user.to_string(), events(user))).collect();
        let dataset = Dataset::new(items, users).unwrap();
        let split = leave_one_out(&dataset, NonZeroUsize::MAX).unwrap();
        let data = BoardData::of(&recipe, &dataset, &split, 4);
        let measure = Measure::new(&recipe, &split, 6).unwrap();
        measure.board(data, rows, Vec::new(), Vec::new()).unwrap()
    }

    #[test]
    fn users_are_averaged_over_seeds_and_every_row_is_tested_against_the_best() {
        // HR@5 of the seeds of `a`: 1/4 and 3/4; of `b`: 1. User 0 has 1 in both seeds of `a`, users 1
        // and 2 have 1/2, user 3 has 0: the difference to `b` is −(0 + 1/2 + 1/2 + 1) / 4.
        let a = measured("a", &[&[1, 9, 9, 9], &[2, 3, 5, 0]]);
        let found = board(vec![a, measured("b", &[&[1, 2, 3, 4]])]);
        let hit5 = found.rows[0].value(SeenItems::Kept, "HR@5".parse().unwrap()).unwrap();
        assert_eq!(hit5.by_seed, vec![0.25, 0.75]);
        assert!((hit5.value - 0.5).abs() < 1e-12);
        let test = hit5.against_best.unwrap();
        assert!((test.difference + 0.5).abs() < 1e-12 && test.num_users == 4);
        assert_eq!(found.best(SeenItems::Kept).unwrap().label, "b");
        assert_eq!(found.best(SeenItems::Removed).unwrap().label, "b");
        assert_eq!(found.rows[0].seeds, [1, 2]);
        assert!((found.rows[0].cost.seconds() - 1.5).abs() < 1e-12);
        // 0.05 minutes are 3 seconds: the second seed of `a` took 4.
        assert!(found.rows[0].over_time && !found.rows[1].over_time);
    }

    #[test]
    fn kinds_of_users_are_parts_of_all_users() {
        let found = board(vec![measured("a", &[&[1, 9, 9, 0]])]);
        let buckets = &found.rows[0].buckets;
        for prefix in ["history", "target"] {
            let part = || buckets.iter().filter(|row| row.bucket.starts_with(prefix));
            assert_eq!(part().map(|row| row.num_users).sum::<usize>(), 4);
            let hits: f64 = part().map(|row| row.values[0].value * row.num_users as f64).sum();
            assert!((hits - 3.0).abs() < 1e-9, "{prefix}: {hits}");
        }
    }
}
