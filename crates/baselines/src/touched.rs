//! Scores of which most are zero.

use std::num::NonZeroUsize;

use sidereal_metrics::Placement;
use sidereal_sid::ItemId;

use crate::BaselineError;

/// Scores that are 0 or more, with a list of those that are above 0, so that a place is found without
/// looking at all items.
pub(crate) struct Touched<'s> {
    /// `[N]`
    scores: &'s mut [f32],
    /// The items with a score above 0, each once.
    items: Vec<usize>,
}

impl<'s> Touched<'s> {
    /// All scores are 0, whatever `scratch` `[N]` held.
    pub(crate) fn new(scratch: &'s mut [f32]) -> Self {
        scratch.fill(0.0);
        Self { scores: scratch, items: Vec::new() }
    }

    /// Adds to the score of an item below `N`. `score` is 0 or more.
    pub(crate) fn add(&mut self, item: usize, score: f32) {
        if score > 0.0 {
            let sum = &mut self.scores[item];
            if *sum <= 0.0 {
                self.items.push(item);
            }
            *sum += score;
        }
    }

    /// The place of `target` among the items that are not removed, as [`Placement::from_scores`] defines it.
    #[allow(clippy::float_cmp, reason = "only scores that are exactly equal tie")]
    pub(crate) fn place(
        self,
        removed: &[ItemId],
        target: ItemId,
    ) -> Result<Placement, BaselineError> {
        let num_items = self.scores.len();
        let mut num_left = num_items;
        for &item in removed {
            let unknown = BaselineError::Item { item, num_items };
            let score = self.scores.get_mut(item.index()).ok_or(unknown)?;
            if *score != f32::NEG_INFINITY {
                *score = f32::NEG_INFINITY;
                num_left -= 1;
            }
        }
        let unknown = BaselineError::Item { item: target, num_items };
        let own = *self.scores.get(target.index()).ok_or(unknown)?;
        if own == f32::NEG_INFINITY {
            return Ok(Placement::Absent);
        }
        let left = || self.items.iter().map(|item| self.scores[*item]);
        let above = left().filter(|score| *score > own).count();
        // A target without a score ties with all items that have none.
        let equal = if own > 0.0 {
            left().filter(|score| *score == own).count()
        } else {
            num_left - left().filter(|score| *score > 0.0).count()
        };
        Ok(Placement::tied(above, NonZeroUsize::new(equal).unwrap_or(NonZeroUsize::MIN)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The plain way: all scores in a row, with the removed ones at `−∞`.
        #[test]
        fn the_place_is_that_among_all_scores(
            added in prop::collection::vec((0..12_usize, 0..4_u8), 0..30),
            removed in prop::collection::vec(0..12_u32, 0..6),
            target in 0..12_u32,
        ) {
            let mut scratch = [7.0; 12];
            let mut touched = Touched::new(&mut scratch);
            let mut scores = [0.0_f32; 12];
            for (item, score) in added {
                touched.add(item, f32::from(score));
                scores[item] += f32::from(score);
            }
            let removed: Vec<ItemId> = removed.into_iter().map(ItemId).collect();
            for item in &removed {
                scores[item.index()] = f32::NEG_INFINITY;
            }
            let expected = Placement::from_scores(&scores, target as usize).unwrap();
            prop_assert_eq!(touched.place(&removed, ItemId(target)).unwrap(), expected);
        }
    }

    #[test]
    fn unknown_items_are_named() {
        let of = |removed: &[u32], target| {
            let removed: Vec<ItemId> = removed.iter().copied().map(ItemId).collect();
            Touched::new(&mut [0.0; 2]).place(&removed, ItemId(target))
        };
        let item = |found| match found {
            Err(BaselineError::Item { item, num_items: 2 }) => Some(item.0),
            _ => None,
        };
        assert_eq!(item(of(&[], 2)), Some(2));
        assert_eq!(item(of(&[9], 0)), Some(9));
    }
}
