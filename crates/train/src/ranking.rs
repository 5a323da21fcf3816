//! The ranking of a policy for a user, and the place of the target in it.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use sidereal_data::{ItemId, SampleId};
use sidereal_metrics::{Placement, RankingRun, SeenItems};

use crate::TrainError;

/// A user's ranking: the items of each Semantic ID found, best first.
///
/// Items with one Semantic ID have no order among themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ranking {
    /// Identity of the sample.
    pub id: SampleId,
    /// The item that the user chose.
    pub target: ItemId,
    /// Items by Semantic ID, best first.
    pub found: Vec<Vec<ItemId>>,
    /// Log-probability of each Semantic ID, nats.
    #[serde(with = "crate::number::list")]
    pub scores: Vec<f32>,
}

impl Ranking {
    /// The place of the target at item level, after the `seen` items are removed.
    #[must_use]
    pub fn item_placement(&self, seen: &BTreeSet<ItemId>) -> Placement {
        let mut before = 0;
        for items in &self.found {
            let left: Vec<&ItemId> = items
                .iter()
                .filter(|item| !seen.contains(*item) || **item == self.target)
                .collect();
            if left.contains(&&self.target) {
                let count = NonZeroUsize::new(left.len()).unwrap_or(NonZeroUsize::MIN);
                return Placement::tied(before, count);
            }
            before += left.len();
        }
        Placement::Absent
    }

    /// The place of the target's Semantic ID among those found.
    #[must_use]
    pub fn sid_placement(&self) -> Placement {
        let rank = self.found.iter().position(|items| items.contains(&self.target));
        rank.map_or(Placement::Absent, |at| Placement::tied(at, NonZeroUsize::MIN))
    }

    /// One item of each of the first `count` Semantic IDs that are not the target's.
    #[must_use]
    pub fn misses(&self, count: usize) -> Vec<ItemId> {
        let misses = self.found.iter().filter(|items| !items.contains(&self.target));
        misses.filter_map(|items| items.first()).take(count).copied().collect()
    }

    /// The first `k` items that are not in `seen`; items of one Semantic ID by identity.
    pub fn top(&self, k: usize, seen: &BTreeSet<ItemId>) -> impl Iterator<Item = ItemId> {
        self.found.iter().flatten().filter(|item| !seen.contains(*item)).take(k).copied()
    }
}

/// The placements of rankings under a rule for seen items; `seen` returns the seen items of a
/// sample.
///
/// # Errors
/// [`TrainError::Metric`] if a sample occurs twice.
pub fn placements<'s>(
    rankings: &[Ranking],
    rule: SeenItems,
    seen: impl Fn(SampleId) -> &'s [ItemId],
) -> Result<RankingRun<SampleId>, TrainError> {
    let mut run = RankingRun::new();
    for ranking in rankings {
        let removed: BTreeSet<ItemId> = match rule {
            SeenItems::Removed => seen(ranking.id).iter().copied().collect(),
            SeenItems::Kept => BTreeSet::new(),
        };
        run.push(ranking.id, ranking.item_placement(&removed))?;
    }
    Ok(run)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sidereal_data::UserId;

    fn ranking() -> Ranking {
        Ranking {
            id: SampleId::Event { user: UserId(0), position: 3 },
            target: ItemId(5),
            found: vec![vec![ItemId(1)], vec![ItemId(2), ItemId(3)], vec![ItemId(5), ItemId(6)]],
            scores: vec![-1.0, -2.0, -3.0],
        }
    }

    #[test]
    fn items_of_better_semantic_ids_stand_before_and_seen_ones_do_not() {
        let two = NonZeroUsize::new(2).unwrap();
        let none = BTreeSet::new();
        assert_eq!(ranking().item_placement(&none), Placement::tied(3, two));
        let seen = BTreeSet::from([ItemId(1), ItemId(3), ItemId(6)]);
        assert_eq!(ranking().item_placement(&seen), Placement::tied(1, NonZeroUsize::MIN));
        assert_eq!(ranking().sid_placement(), Placement::tied(2, NonZeroUsize::MIN));
    }

    #[test]
    fn a_target_that_was_seen_before_stays_in_the_ranking() {
        let seen = BTreeSet::from([ItemId(5)]);
        assert_ne!(ranking().item_placement(&seen), Placement::Absent);
    }
}
