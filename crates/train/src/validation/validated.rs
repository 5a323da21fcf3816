//! What a validation finds.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use sidereal_metrics::{Metric, RankingRun};
use sidereal_sid::ItemId;

use crate::TrainError;
use crate::item_facts::ItemFacts;
use crate::observe::Record;
use crate::ranking::Ranking;

const TEN: NonZeroUsize = NonZeroUsize::new(10).unwrap();

/// What a validation finds: means over its users.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Validated {
    /// NDCG@10, by which the best weights are chosen.
    pub(crate) ndcg: f64,
    /// Entropy of the categories of a user's first ten items, nats; `None` without categories.
    pub(crate) entropy: Option<f64>,
    /// Share of cold items among a user's first ten; `None` where they are not known, or no list has an item.
    pub(crate) cold: Option<f64>,
    /// Probability that the policy gives all cold items together; `None` where it is not known exactly.
    pub(crate) cold_mass: Option<f64>,
}

impl Validated {
    /// A validation that looked at nothing else.
    pub(crate) const fn of_ndcg(ndcg: f64) -> Self {
        Self { ndcg, entropy: None, cold: None, cold_mass: None }
    }

    /// What these lists are worth, and what their first ten items are.
    pub(crate) fn of_lists(rankings: &[Ranking], facts: ItemFacts<'_>) -> Result<Self, TrainError> {
        let mut run = RankingRun::new();
        let (mut entropies, mut shares) = (Vec::new(), Vec::new());
        for ranking in rankings {
            run.push(ranking.id, ranking.item_placement(&BTreeSet::new()))?;
            let first: Vec<ItemId> =
                ranking.found.iter().flatten().take(TEN.get()).copied().collect();
            if let Some(categories) = facts.categories() {
                entropies.push(categories.entropy(first.iter().copied()));
            }
            if let Some(cold) = facts.cold().filter(|_| !first.is_empty()) {
                let found = first.iter().filter(|item| cold.contains(item.index())).count();
                shares.push(found as f64 / first.len() as f64);
            }
        }
        let ndcg = run.values(Metric::Ndcg(TEN))?;
        Ok(Self {
            ndcg: ndcg.iter().sum::<f64>() / ndcg.len() as f64,
            entropy: mean(&entropies),
            cold: mean(&shares),
            cold_mass: None,
        })
    }

    /// The record with what was found.
    pub(crate) fn added_to(self, record: Record) -> Record {
        let more = [
            ("valid_entropy", self.entropy),
            ("valid_cold", self.cold),
            ("valid_cold_mass", self.cold_mass),
        ];
        let known = more.into_iter().filter_map(|(name, value)| Some((name, value?)));
        known.fold(record.with("valid_ndcg", self.ndcg), |record, (name, value)| {
            record.with(name, value)
        })
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use sidereal_data::{Dataset, Item, SampleId, User, UserId};
    use sidereal_metrics::ColdItems;

    use super::*;
    use crate::categories::Categories;

    #[test]
    fn lists_are_judged_by_their_first_ten_items() {
        let kinds = ["a", "b", "c"];
        let item = |number: usize| {
            let kind = kinds[number % 3];
            Item::new(number.to_string(), "").with_categories(vec![kind.to_owned()])
        };
        let users = vec![User::new("u", vec![ItemId(0)])];
        let dataset = Dataset::new((0..36).map(item).collect(), users).unwrap();
        let categories = Categories::new(&dataset);
        let cold = ColdItems::try_from((36, [0, 1, 4].as_slice())).unwrap();
        let facts = ItemFacts::default().with_categories(&categories).with_cold(&cold);
        let of = |user, items: &[&[u32]]| Ranking {
            id: SampleId::Event { user: UserId(user), position: 1 },
            target: ItemId(3),
            found: items.iter().map(|leaf| leaf.iter().copied().map(ItemId).collect()).collect(),
            scores: (0..items.len()).map(|at| -(at as f32)).collect(),
        };
        // Ten items of kind a, then the cold item 1, which does not count; two of kinds b and c.
        let long: Vec<[u32; 1]> = (0..10).map(|at| [3 * at]).chain([[1]]).collect();
        let long: Vec<&[u32]> = long.iter().map(<[u32; 1]>::as_slice).collect();
        let lists = [of(0, &long), of(1, &[&[4, 5]])];
        let found = Validated::of_lists(&lists, facts).unwrap();
        // 0 nats and ln 2; one cold item of ten, and one of two.
        let close = |found: Option<f64>, expected: f64| (found.unwrap() - expected).abs() < 1e-12;
        assert!(close(found.entropy, 0.5 * 2f64.ln()), "{found:?}");
        assert!(close(found.cold, 0.5 * (1.0 / 10.0 + 1.0 / 2.0)), "{found:?}");
        assert_eq!(found.cold_mass, None);
        let record = found.added_to(Record::new("rl", 1, 2));
        let names: Vec<&str> = record.values.keys().map(String::as_str).collect();
        assert_eq!(names, ["valid_cold", "valid_entropy", "valid_ndcg"]);

        let none = Categories::default();
        let unknown = ItemFacts::default().with_categories(&none).with_cold(&cold);
        let empty = Validated::of_lists(&[of(0, &[])], unknown).unwrap();
        assert_eq!((empty.entropy, empty.cold), (None, None));
        let nothing = Validated::of_lists(&lists, ItemFacts::default()).unwrap();
        assert_eq!(nothing, Validated::of_ndcg(found.ndcg));
    }
}
