//! Varied histories: what a user could also have done.

use rand::Rng;
use serde::{Deserialize, Serialize};
use sidereal_data::ItemId;

/// Random variation of training histories, drawn anew in every epoch.
///
/// What users choose depends little on exact neighbourhood and order; dropping items makes distant
/// ones adjacent, turning round makes transitions go both ways. Both regularise where users are
/// few. A history keeps at least two items.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct AugmentConfig {
    /// Probability that an item is left out. Range `[0, 1)`.
    pub drop: f64,
    /// Probability that a history is read backwards. Range `[0, 1]`.
    pub reverse: f64,
}

impl AugmentConfig {
    /// Whether histories stay as they are.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.drop <= 0.0 && self.reverse <= 0.0
    }

    /// A variation of `items`, cut to its latest `max_len`.
    pub fn apply(&self, items: &[ItemId], max_len: usize, rng: &mut impl Rng) -> Vec<ItemId> {
        let mut kept: Vec<ItemId> =
            items.iter().filter(|_| rng.gen_range(0.0..1.0) >= self.drop).copied().collect();
        if kept.len() < 2 {
            kept = items.to_vec();
        }
        if rng.gen_range(0.0..1.0) < self.reverse {
            kept.reverse();
        }
        kept.split_off(kept.len().saturating_sub(max_len))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    proptest! {
        #[test]
        fn a_variation_is_a_subsequence_in_one_of_both_directions(
            len in 2usize..30, max_len in 2usize..40, drop in 0.0..1.0, reverse in 0.0..1.0, seed: u64
        ) {
            let items: Vec<ItemId> = (0..u32::try_from(len)?).map(ItemId).collect();
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let varied = AugmentConfig { drop, reverse }.apply(&items, max_len, &mut rng);
            prop_assert!(varied.len() >= 2 && varied.len() <= len.min(max_len));
            prop_assert!(varied.is_sorted() || varied.iter().rev().is_sorted());
        }

        #[test]
        fn nothing_changes_where_nothing_varies(len in 2usize..30, seed: u64) {
            let items: Vec<ItemId> = (0..u32::try_from(len)?).map(ItemId).collect();
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let off = AugmentConfig::default();
            prop_assert!(off.is_off());
            prop_assert_eq!(off.apply(&items, 40, &mut rng), items);
        }
    }

    #[test]
    fn events_are_left_out_and_histories_turned_as_often_as_their_shares_say() {
        let items: Vec<ItemId> = (0..2000).map(ItemId).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let dropping = AugmentConfig { drop: 0.25, ..AugmentConfig::default() };
        let turning = AugmentConfig { reverse: 0.25, ..AugmentConfig::default() };
        assert!(!dropping.is_off() && !turning.is_off());
        // Five standard errors: √(2000 · 1/4 · 3/4) = 19.4, √(400 · 1/4 · 3/4) = 8.7.
        let kept = dropping.apply(&items, items.len(), &mut rng).len();
        assert!(kept.abs_diff(1500) < 97, "{kept}");
        let turned =
            (0..400).filter(|_| !turning.apply(&items[..3], 3, &mut rng).is_sorted()).count();
        assert!(turned.abs_diff(100) < 44, "{turned}");
        // Two events are enough to be kept, fewer are not.
        let lens: Vec<usize> =
            (0..200).map(|_| dropping.apply(&items[..3], 3, &mut rng).len()).collect();
        assert!(lens.contains(&2) && lens.contains(&3) && !lens.contains(&1), "{lens:?}");
    }
}
