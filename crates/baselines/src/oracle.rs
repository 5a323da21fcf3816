//! The law of a synthetic shop as a recommender: the bound for all others.

use sidereal_data::synthetic::Oracle;
use sidereal_sid::ItemId;

use crate::{BaselineError, Recommender};

/// Ranks by the true probability of coming next: no recommender can do better in expectation.
///
/// The probabilities are only exact if the history is all that the customer bought.
impl Recommender for Oracle {
    fn num_items(&self) -> usize {
        Self::num_items(self)
    }

    fn score(&self, history: &[ItemId], scores: &mut [f32]) -> Result<(), BaselineError> {
        let (found, expected) = (scores.len(), Self::num_items(self));
        if found != expected {
            return Err(BaselineError::NumScores { found, expected });
        }
        let truth = self.truth(history)?;
        #[allow(clippy::cast_possible_truncation, reason = "scores order items")]
        scores.iter_mut().zip(truth).for_each(|(score, probability)| *score = probability as f32);
        Ok(())
    }
}
