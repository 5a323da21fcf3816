//! Items that the history has already.

use sidereal_sid::ItemId;

use crate::history::check_scores;
use crate::{BaselineError, Recommender};

/// Scores an item of the history −1, and every other item 0.
///
/// As a term of a [`Prior`](crate::Prior) its weight says how seldom users choose an item again. On data without
/// repeated choices, a large weight keeps seen items out of the first places, which validation users
/// tell; on data with repeated choices the weight stays near 0. If seen items are removed from the ranking, it
/// changes nothing.
///
/// ```
/// use sidereal_baselines::{Recommender, Repeats};
/// use sidereal_sid::ItemId;
///
/// let mut scores = [9.0; 3];
/// Repeats::new(3).score(&[ItemId(2), ItemId(0), ItemId(2)], &mut scores)?;
/// assert_eq!(scores, [-1.0, 0.0, -1.0]);
/// # Ok::<(), sidereal_baselines::BaselineError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeats {
    num_items: usize,
}

impl Repeats {
    /// For `num_items` items.
    #[must_use]
    pub const fn new(num_items: usize) -> Self {
        Self { num_items }
    }
}

impl Recommender for Repeats {
    fn num_items(&self) -> usize {
        self.num_items
    }

    fn score(&self, history: &[ItemId], scores: &mut [f32]) -> Result<(), BaselineError> {
        let num_items = self.num_items;
        check_scores(scores, num_items)?;
        scores.fill(0.0);
        for &item in history {
            *scores.get_mut(item.index()).ok_or(BaselineError::Item { item, num_items })? = -1.0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_item_and_a_wrong_number_of_scores_are_named() {
        let model = Repeats::new(2);
        let unknown = model.score(&[ItemId(2)], &mut [0.0; 2]);
        assert!(matches!(unknown, Err(BaselineError::Item { item: ItemId(2), num_items: 2 })));
        let short = model.score(&[], &mut [0.0]);
        assert!(matches!(short, Err(BaselineError::NumScores { found: 1, expected: 2 })));
    }
}
