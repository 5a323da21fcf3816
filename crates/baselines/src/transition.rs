//! Which items follow which.

mod arrays;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sidereal_metrics::Placement;
use sidereal_sid::ItemId;

pub use self::arrays::TransitionArrays;
use crate::history::check_scores;
use crate::touched::Touched;
use crate::{BaselineError, Recommender};

/// Unchecked settings of an [`ItemTransition`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TransitionConfig {
    /// Furthest distance of two items of a sequence that count as a pair. Range `1..`.
    pub window: usize,
    /// Weight of a pair against its order, relative to one in order. Range `[0, 1]`.
    pub backward: f64,
    /// Weight of an item of the history relative to the next later one. Range `[0, 1]`.
    pub decay: f64,
    /// Exponent by which popularity is divided out. Range `[0, 1]`.
    pub damping: f64,
}

/// Window 8, backward 0.5, decay 0.6, damping 0.35: they do well on the 5-core Beauty reviews.
/// [`TransitionSearch`](crate::TransitionSearch) chooses on validation cases.
impl Default for TransitionConfig {
    fn default() -> Self {
        Self { window: 8, backward: 0.5, decay: 0.6, damping: 0.35 }
    }
}

impl TransitionConfig {
    /// Sets the furthest distance of a pair.
    #[must_use]
    pub fn with_window(mut self, window: usize) -> Self {
        self.window = window;
        self
    }

    /// Sets the weight of pairs against their order.
    #[must_use]
    pub fn with_backward(mut self, backward: f64) -> Self {
        self.backward = backward;
        self
    }

    /// Sets the decay over the history.
    #[must_use]
    pub fn with_decay(mut self, decay: f64) -> Self {
        self.decay = decay;
        self
    }

    /// Sets the exponent of popularity.
    #[must_use]
    pub fn with_damping(mut self, damping: f64) -> Self {
        self.damping = damping;
        self
    }
}

/// Checked settings of an [`ItemTransition`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "TransitionConfig", into = "TransitionConfig")]
pub struct Transition(TransitionConfig);

impl Transition {
    /// The settings, as a file spells them.
    #[must_use]
    pub fn config(&self) -> &TransitionConfig {
        &self.0
    }
}

impl TryFrom<TransitionConfig> for Transition {
    type Error = BaselineError;

    fn try_from(config: TransitionConfig) -> Result<Self, BaselineError> {
        if config.window == 0 {
            let needed = "a distance of at least 1";
            return Err(BaselineError::Setting { field: "window", value: 0.0, needed });
        }
        let shares =
            [("backward", config.backward), ("decay", config.decay), ("damping", config.damping)];
        match shares.into_iter().find(|(_, value)| !(0.0..=1.0).contains(value)) {
            Some((field, value)) => {
                Err(BaselineError::Setting { field, value, needed: "a number in [0, 1]" })
            }
            None => Ok(Self(config)),
        }
    }
}

impl From<Transition> for TransitionConfig {
    fn from(settings: Transition) -> Self {
        settings.0
    }
}

/// Scores items by how often they occur close to the items of the history. The latest items count
/// most.
///
/// ```text
/// score(j) = Σ_{i in history} decay^age(i) · w(i, j) · ((pop_i + 1)(pop_j + 1))^−damping
/// w(i, j)  = Σ 1/gap over pairs with j after i  +  backward · Σ 1/gap over pairs with j before i
/// ```
/// Pairs are those of the training sequences with a distance `gap <= window`; the last item of the
/// history has age 0; `pop` counts an item in the training sequences. Nothing is learned by
/// gradient, and no item beyond the window of a seen one gets a score above zero.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemTransition {
    decay: f32,
    /// Damped weights, row `i`, columns upwards: `weights[starts[i]..starts[i + 1]]`.
    starts: Vec<usize>,
    columns: Vec<u32>,
    weights: Vec<f32>,
}

impl ItemTransition {
    /// Counts the pairs of all sequences.
    ///
    /// For a leave-one-out test, pass only the training parts of the sequences, without the
    /// validation item, which is only in the history of the test.
    ///
    /// # Errors
    /// [`BaselineError::Sequence`] if a sequence holds an item of `num_items` or above.
    pub fn fit<Q: AsRef<[ItemId]>>(
        settings: &Transition,
        num_items: usize,
        sequences: &[Q],
    ) -> Result<Self, BaselineError> {
        let TransitionConfig { window, backward, decay, damping } = settings.0;
        Ok(PairWeights::count(num_items, sequences, window, backward)?.damped(decay, damping))
    }

    /// Number of item pairs with a weight.
    #[must_use]
    pub fn num_pairs(&self) -> usize {
        self.weights.len()
    }
}

impl ItemTransition {
    /// Adds the scores after a history to `add`, one item of a row after the other, the latest row first.
    fn for_each(
        &self,
        history: &[ItemId],
        mut add: impl FnMut(usize, f32),
    ) -> Result<(), BaselineError> {
        let num_items = self.num_items();
        let mut share = 1.0;
        for &item in history.iter().rev() {
            let (Some(&start), Some(&end)) =
                (self.starts.get(item.index()), self.starts.get(item.index() + 1))
            else {
                return Err(BaselineError::Item { item, num_items });
            };
            for (column, weight) in self.columns[start..end].iter().zip(&self.weights[start..end]) {
                add(*column as usize, share * weight);
            }
            share *= self.decay;
        }
        Ok(())
    }
}

impl Recommender for ItemTransition {
    fn num_items(&self) -> usize {
        self.starts.len() - 1
    }

    fn score(&self, history: &[ItemId], scores: &mut [f32]) -> Result<(), BaselineError> {
        check_scores(scores, self.num_items())?;
        scores.fill(0.0);
        self.for_each(history, |item, score| scores[item] += score)
    }

    fn place(
        &self,
        history: &[ItemId],
        removed: &[ItemId],
        target: ItemId,
        scratch: &mut [f32],
    ) -> Result<Placement, BaselineError> {
        check_scores(scratch, self.num_items())?;
        let mut touched = Touched::new(scratch);
        self.for_each(history, |item, score| touched.add(item, score))?;
        touched.place(removed, target)
    }
}

/// `w(i, j)` and `pop_i` of the equations above, before damping.
pub(crate) struct PairWeights {
    /// Row `i`: columns upwards, each once.
    rows: Vec<Vec<(u32, f64)>>,
    popularity: Vec<f64>,
}

impl PairWeights {
    pub(crate) fn count<Q: AsRef<[ItemId]>>(
        num_items: usize,
        sequences: &[Q],
        window: usize,
        backward: f64,
    ) -> Result<Self, BaselineError> {
        let popularity = check_sequences(num_items, sequences)?;
        let mut rows: Vec<Vec<(u32, f64)>> = vec![Vec::new(); num_items];
        for sequence in sequences {
            let sequence = sequence.as_ref();
            for (position, earlier) in sequence.iter().enumerate() {
                for (gap, later) in (1_u32..).zip(sequence.iter().skip(position + 1).take(window)) {
                    let weight = f64::from(gap).recip();
                    rows[earlier.index()].push((later.0, weight));
                    if backward > 0.0 {
                        rows[later.index()].push((earlier.0, backward * weight));
                    }
                }
            }
        }
        rows.par_iter_mut().for_each(|row| {
            row.sort_by_key(|(column, _)| *column); // stable: one order of summation
            row.dedup_by(|next, kept| {
                let same = next.0 == kept.0;
                kept.1 += if same { next.1 } else { 0.0 };
                same
            });
        });
        Ok(Self { rows, popularity })
    }

    #[allow(clippy::cast_possible_truncation, reason = "scores are f32")]
    pub(crate) fn damped(&self, decay: f64, damping: f64) -> ItemTransition {
        let factors: Vec<f64> =
            self.popularity.iter().map(|count| (count + 1.0).powf(-damping)).collect();
        let num_pairs = self.rows.iter().map(Vec::len).sum();
        let mut model = ItemTransition {
            decay: decay as f32,
            starts: vec![0],
            columns: Vec::with_capacity(num_pairs),
            weights: Vec::with_capacity(num_pairs),
        };
        for (row, own) in self.rows.iter().zip(&factors) {
            for (column, weight) in row {
                model.columns.push(*column);
                model.weights.push((weight * own * factors[*column as usize]) as f32);
            }
            model.starts.push(model.columns.len());
        }
        model
    }
}

/// How often each item occurs, if all are inside the catalogue.
pub(crate) fn check_sequences<Q: AsRef<[ItemId]>>(
    num_items: usize,
    sequences: &[Q],
) -> Result<Vec<f64>, BaselineError> {
    let mut counts = vec![0.0; num_items];
    for (sequence, items) in sequences.iter().enumerate() {
        for &item in items.as_ref() {
            let unknown = BaselineError::Sequence { sequence, item, num_items };
            *counts.get_mut(item.index()).ok_or(unknown)? += 1.0;
        }
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    fn ids<const N: usize>(items: [u32; N]) -> [ItemId; N] {
        items.map(ItemId)
    }

    #[test]
    fn a_score_by_hand() {
        // Sequence 0 1 2; window 2; pop = 1 each, so the damping factor is (2 · 2)^−0.5 = 1/2.
        // w(0,1) = 1, w(0,2) = 1/2, w(1,2) = 1; backward half: w(1,0) = 1/2, w(2,0) = 1/4,
        // w(2,1) = 1/2. History 0, 1 with decay 0.5: share 1 for item 1, 0.5 for item 0.
        let config = TransitionConfig::default().with_window(2).with_decay(0.5).with_damping(0.5);
        let settings = Transition::try_from(config).unwrap();
        let model = ItemTransition::fit(&settings, 4, &[ids([0, 1, 2])]).unwrap();
        let mut scores = [9.0; 4];
        model.score(&ids([0, 1]), &mut scores).unwrap();
        let expected = [0.5 * 0.5, 0.5 * 1.0 * 0.5, (1.0 + 0.5 * 0.5) * 0.5, 0.0];
        for (found, expected) in scores.iter().zip(expected) {
            assert_relative_eq!(*found, expected);
        }
        assert_eq!(model.num_pairs(), 6);
    }

    #[test]
    fn unknown_items_are_named() {
        let settings = Transition::try_from(TransitionConfig::default()).unwrap();
        let error = ItemTransition::fit(&settings, 2, &[ids([0, 1]), ids([1, 2])]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "sequence 1 holds item 2, but the catalogue has only 2 items"
        );
        let model = ItemTransition::fit(&settings, 2, &[ids([0, 1])]).unwrap();
        let error = model.score(&[ItemId(u32::MAX)], &mut [0.0; 2]).unwrap_err();
        assert_eq!(error.to_string(), "item 4294967295 is outside the catalogue of 2 items");
        assert!(matches!(
            model.score(&[], &mut [0.0; 3]),
            Err(BaselineError::NumScores { found: 3, expected: 2 })
        ));
    }

    #[test]
    fn settings_outside_their_range_are_refused() {
        for json in [
            r#"{"window":0}"#,
            r#"{"decay":1.5}"#,
            r#"{"backward":-0.1}"#,
            r#"{"damping":2}"#,
            r#"{"decey":0.5}"#,
        ] {
            assert!(serde_json::from_str::<Transition>(json).is_err(), "{json}");
        }
        let nan = TransitionConfig::default().with_decay(f64::NAN);
        assert!(Transition::try_from(nan).is_err());
    }
}
