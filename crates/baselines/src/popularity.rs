//! The most popular items, the same for all users.

use sidereal_sid::ItemId;

use crate::transition::check_sequences;
use crate::{BaselineError, Recommender};

/// Scores every item by how often it occurs in the training sequences.
#[derive(Debug, Clone, PartialEq)]
pub struct Popularity {
    counts: Vec<f32>,
}

impl Popularity {
    /// Counts the items of all sequences.
    ///
    /// ```
    /// use sidereal_baselines::{Popularity, Recommender};
    /// use sidereal_sid::ItemId;
    /// let model = Popularity::fit(3, &[[ItemId(1), ItemId(1)], [ItemId(1), ItemId(2)]])?;
    /// let mut scores = [0.0; 3];
    /// model.score(&[ItemId(0)], &mut scores)?;
    /// assert_eq!(scores, [0.0, 3.0, 1.0]);
    /// # Ok::<(), sidereal_baselines::BaselineError>(())
    /// ```
    ///
    /// # Errors
    /// [`BaselineError::Sequence`] if a sequence holds an item of `num_items` or above.
    pub fn fit<Q: AsRef<[ItemId]>>(
        num_items: usize,
        sequences: &[Q],
    ) -> Result<Self, BaselineError> {
        let counts = check_sequences(num_items, sequences)?;
        #[allow(clippy::cast_possible_truncation, reason = "f32 orders counts up to 2^24 exactly")]
        let counts = counts.into_iter().map(|count| count as f32).collect();
        Ok(Self { counts })
    }

    /// How often each item occurs, `[N]`.
    #[must_use]
    pub fn counts(&self) -> &[f32] {
        &self.counts
    }

    /// The popularity of stored [`counts`](Self::counts), `[N]`.
    ///
    /// # Errors
    /// [`BaselineError::Stored`] for a count that is negative or not finite.
    pub fn from_counts(counts: Vec<f32>) -> Result<Self, BaselineError> {
        match counts.iter().position(|count| !(*count >= 0.0 && count.is_finite())) {
            None => Ok(Self { counts }),
            Some(item) => {
                let count = counts[item];
                let problem =
                    format!("item {item} occurs {count} times, needed a finite number, 0 or more");
                Err(BaselineError::Stored { what: "popularity", problem })
            }
        }
    }
}

impl Recommender for Popularity {
    fn num_items(&self) -> usize {
        self.counts.len()
    }

    fn score(&self, history: &[ItemId], scores: &mut [f32]) -> Result<(), BaselineError> {
        let (found, expected) = (scores.len(), self.counts.len());
        if found != expected {
            return Err(BaselineError::NumScores { found, expected });
        }
        if let Some(&item) = history.iter().find(|item| item.index() >= expected) {
            return Err(BaselineError::Item { item, num_items: expected });
        }
        scores.copy_from_slice(&self.counts);
        Ok(())
    }
}
