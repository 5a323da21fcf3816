//! Rewards on slates, by the metrics that they are tested with.

use std::num::NonZeroUsize;

use sidereal_metrics::{Placement, ndcg};
use sidereal_rl::Group;

use crate::categories::Categories;

/// `1 / log2(rank + 1)` of the target in each slate, 0 where it is not in it; in `[0, 1]`. No scores for
/// a group without slates.
pub(super) fn ndcg_of_target(group: &Group<'_>) -> Vec<f64> {
    let Some(slates) = group.slates() else { return Vec::new() };
    let of = |items: &Vec<_>| {
        let place = items.iter().position(|item| *item == slates.target);
        let placed = place.map_or(Placement::Absent, |at| Placement::tied(at, NonZeroUsize::MIN));
        ndcg(placed, NonZeroUsize::new(items.len()).unwrap_or(NonZeroUsize::MIN))
    };
    slates.items.iter().map(of).collect()
}

/// Entropy of the categories in each slate, nats; in `[0, ln n]` for a slate of `n`. No scores for a
/// group without slates.
pub(super) fn category_entropy(group: &Group<'_>, categories: &Categories) -> Vec<f64> {
    let Some(slates) = group.slates() else { return Vec::new() };
    slates.items.iter().map(|items| categories.entropy(items.iter().copied())).collect()
}

#[cfg(test)]
mod tests {
    use sidereal_data::{Dataset, Item, ItemId, User};
    use sidereal_rl::{RlError, Slates, score_groups};
    use sidereal_sid::SemanticId;

    use super::*;

    #[test]
    fn slate_rewards_are_the_place_of_the_target_and_the_entropy_of_categories() {
        let item = |kinds: &[&str]| {
            let mut item = Item::new(kinds.concat(), "");
            item.categories = kinds.iter().map(ToString::to_string).collect();
            item
        };
        let items = vec![item(&["a", "x"]), item(&["a", "y"]), item(&["b", "x"]), item(&["c"])];
        let users = vec![User::new("u", vec![ItemId(0)])];
        let categories = Categories::new(&Dataset::new(items, users).unwrap());
        let slates = [[0, 2, 1], [1, 0, 3], [0, 2, 3]].map(|items| items.map(ItemId).to_vec());
        let (target, rollouts) = (SemanticId::from([1]), vec![SemanticId::default(); 3]);
        let group = Group::new(&target, &rollouts);
        let listed = group.with_slates(Slates { target: ItemId(1), items: &slates });
        // Third, first and not at all: 1 / log2(4), 1 / log2(2), 0.
        assert_eq!(ndcg_of_target(&listed), [0.5, 1.0, 0.0]);
        // x twice and y; y, x and c; x twice and c.
        let three = 3f64.ln();
        let two = three - 2.0 / 3.0 * 2f64.ln();
        for (found, expected) in
            category_entropy(&listed, &categories).iter().zip([two, three, two])
        {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        let refused = score_groups(&ndcg_of_target, [group]).unwrap_err();
        assert_eq!(refused, RlError::ScoreCount { group: 0, found: 0, needed: 3 });
    }
}
