//! How much each item of a history counts.

use std::collections::BTreeSet;

use sidereal_sid::ItemId;

use crate::BaselineError;

/// Weight of an item of the history relative to the next later one, checked. Range `(0, 1]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Decay(f64);

impl Decay {
    pub(crate) fn new(value: f64) -> Result<Self, BaselineError> {
        if value > 0.0 && value <= 1.0 {
            return Ok(Self(value));
        }
        Err(BaselineError::Setting { field: "decay", value, needed: "a number in (0, 1]" })
    }

    /// Each item of the history with its share of the whole, latest first; shares sum to 1.
    ///
    /// ```text
    /// share(i) = decay^age(i) / Σ decay^age      the last item has age 0
    /// ```
    ///
    /// # Errors
    /// [`BaselineError::Item`] if the history holds an item of `num_items` or above.
    #[allow(clippy::cast_possible_truncation, reason = "scores are f32")]
    pub(crate) fn shares(
        self,
        history: &[ItemId],
        num_items: usize,
    ) -> Result<impl Iterator<Item = (ItemId, f32)>, BaselineError> {
        if let Some(&item) = history.iter().find(|item| item.index() >= num_items) {
            return Err(BaselineError::Item { item, num_items });
        }
        let weights = || std::iter::successors(Some(1.0), move |weight| Some(weight * self.0));
        let total: f64 = weights().take(history.len()).sum();
        Ok(history.iter().rev().copied().zip(weights().map(move |weight| (weight / total) as f32)))
    }

    /// Each different item of the history with `decay^age` of its latest place, latest first.
    ///
    /// # Errors
    /// [`BaselineError::Item`] if the history holds an item of `num_items` or above.
    #[allow(clippy::cast_possible_truncation, reason = "scores are f32")]
    pub(crate) fn latest(
        self,
        history: &[ItemId],
        num_items: usize,
    ) -> Result<Vec<(ItemId, f32)>, BaselineError> {
        let mut latest: Vec<(ItemId, f32)> = Vec::with_capacity(history.len());
        let mut weight = 1.0_f64;
        let mut known = BTreeSet::new();
        for &item in history.iter().rev() {
            if item.index() >= num_items {
                return Err(BaselineError::Item { item, num_items });
            }
            if known.insert(item) {
                latest.push((item, weight as f32));
            }
            weight *= self.0;
        }
        Ok(latest)
    }
}

/// Rejects a slice for the scores whose length is not the number of items.
pub(crate) fn check_scores(scores: &[f32], expected: usize) -> Result<(), BaselineError> {
    let found = scores.len();
    if found == expected { Ok(()) } else { Err(BaselineError::NumScores { found, expected }) }
}
