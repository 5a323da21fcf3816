//! A linear model in closed form.

use ndarray::{Array1, Array2};
use serde::{Deserialize, Serialize};
use sidereal_sid::ItemId;

use crate::history::{Decay, check_scores};
use crate::inverse::inverse;
use crate::transition::check_sequences;
use crate::{BaselineError, Recommender};

/// Unchecked settings of an [`Ease`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct EaseConfig {
    /// Weight `λ` of the squared norm. Range `(0, ∞)`.
    pub l2: f64,
    /// Weight of an item of the history relative to the next later one; 1 is the paper's, which knows
    /// no order. Range `(0, 1]`.
    pub decay: f64,
    /// The most items: the model holds `4 · N²` bytes, and is fitted with `N³` operations.
    /// Range `1..`.
    pub max_items: usize,
}

/// `λ` 250, decay 1, at most 25,000 items, which take 2.5 GB.
impl Default for EaseConfig {
    fn default() -> Self {
        Self { l2: 250.0, decay: 1.0, max_items: 25_000 }
    }
}

impl EaseConfig {
    /// Sets the weight of the squared norm.
    #[must_use]
    pub fn with_l2(mut self, l2: f64) -> Self {
        self.l2 = l2;
        self
    }

    /// Sets the decay over the history.
    #[must_use]
    pub fn with_decay(mut self, decay: f64) -> Self {
        self.decay = decay;
        self
    }

    /// Sets the most items.
    #[must_use]
    pub fn with_max_items(mut self, max_items: usize) -> Self {
        self.max_items = max_items;
        self
    }
}

/// An item-to-item linear model with the least squared error on the training users, in closed form.
///
/// ```text
/// P = (XᵀX + λ·I)⁻¹        X[u, i] = 1 if the sequence of user u holds item i, else 0
/// B[i, j] = −P[i, j] / P[j, j] for i ≠ j,    B[j, j] = 0
/// score(j) = Σ_{i in history} decay^age(i) · B[i, j]
/// ```
/// An item that occurs several times counts once, at its latest place in the history; the last item has
/// age 0. Steck, [arXiv:1905.03375](https://arxiv.org/abs/1905.03375), equations 4, 8 and 9. Deviation:
/// the decay (1 is the paper's).
///
/// `P` is dense, `[N, N]` in `f32`: 586 MB for 12,101 items. Catalogues above [`EaseConfig::max_items`] are
/// refused before any of it is made.
///
/// ```
/// use sidereal_baselines::{Ease, EaseConfig, Recommender};
/// use sidereal_sid::ItemId;
///
/// let sequences = [[0, 1], [0, 1], [2, 3]].map(|s| s.map(ItemId));
/// let model = Ease::fit(&EaseConfig::default().with_l2(1.0), 4, &sequences)?;
/// let mut scores = [0.0; 4];
/// model.score(&[ItemId(0)], &mut scores)?;
/// // The block of items 0 and 1 is [[3, 2], [2, 3]], so P = [[3, −2], [−2, 3]] / 5 and B = 2/3.
/// assert!((scores[1] - 2.0 / 3.0).abs() < 1e-6 && scores[0] == 0.0 && scores[2] == 0.0);
/// # Ok::<(), sidereal_baselines::BaselineError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Ease {
    decay: Decay,
    /// `P` with zeros in its diagonal, `[N, N]`.
    inverse: Array2<f32>,
    /// `−1 / P[j, j]`, `[N]`.
    scale: Array1<f32>,
}

impl Ease {
    /// Fits the model to the training sequences, on all cores.
    ///
    /// # Errors
    /// [`BaselineError::Setting`] for a setting outside its range; [`BaselineError::TooManyItems`];
    /// [`BaselineError::Sequence`] if a sequence holds an item of `num_items` or above;
    /// [`BaselineError::NotInvertible`] where `λ` is too small for the numbers of `f32`.
    pub fn fit<Q: AsRef<[ItemId]>>(
        config: &EaseConfig,
        num_items: usize,
        sequences: &[Q],
    ) -> Result<Self, BaselineError> {
        let EaseConfig { l2, decay, max_items } = *config;
        if !(l2 > 0.0 && l2.is_finite()) {
            let needed = "a finite number above 0";
            return Err(BaselineError::Setting { field: "l2", value: l2, needed });
        }
        let decay = Decay::new(decay)?;
        if num_items > max_items {
            return Err(BaselineError::TooManyItems { what: "EASE", num_items, max_items });
        }
        check_sequences(num_items, sequences)?;
        let mut inverse = inverse(gram(num_items, sequences, l2), l2)?;
        let scale = inverse.diag().mapv(|own| -own.recip());
        inverse.diag_mut().fill(0.0);
        Ok(Self { decay, inverse, scale })
    }

    /// The model with another weight of earlier items, without fitting it again.
    ///
    /// # Errors
    /// [`BaselineError::Setting`] for a decay out of its range.
    pub fn with_decay(mut self, decay: f64) -> Result<Self, BaselineError> {
        self.decay = Decay::new(decay)?;
        Ok(self)
    }
}

/// The lower triangle of `XᵀX + λ·I`, `[N, N]`, with zeros above it.
#[allow(clippy::cast_possible_truncation, reason = "counts below 2^24 are exact in f32")]
fn gram<Q: AsRef<[ItemId]>>(num_items: usize, sequences: &[Q], l2: f64) -> Array2<f32> {
    let mut gram = Array2::zeros((num_items, num_items));
    gram.diag_mut().fill(l2 as f32);
    for items in sequences {
        let mut items: Vec<usize> = items.as_ref().iter().map(|item| item.index()).collect();
        items.sort_unstable();
        items.dedup();
        for (at, &row) in items.iter().enumerate() {
            items[..=at].iter().for_each(|&column| gram[[row, column]] += 1.0);
        }
    }
    gram
}

impl Recommender for Ease {
    fn num_items(&self) -> usize {
        self.scale.len()
    }

    fn score(&self, history: &[ItemId], scores: &mut [f32]) -> Result<(), BaselineError> {
        check_scores(scores, self.num_items())?;
        scores.fill(0.0);
        for (item, weight) in self.decay.latest(history, self.num_items())? {
            let row = self.inverse.row(item.index());
            scores.iter_mut().zip(row).for_each(|(score, value)| *score += weight * value);
        }
        scores.iter_mut().zip(&self.scale).for_each(|(score, scale)| *score *= scale);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalogue_above_the_limit_is_refused_with_the_limit() {
        let config = EaseConfig::default().with_max_items(3);
        let error = Ease::fit(&config, 4, &[[ItemId(0)]]).unwrap_err().to_string();
        assert!(error.contains("4 items") && error.contains("at most 3"), "{error}");
        for config in [
            EaseConfig::default().with_l2(0.0),
            EaseConfig::default().with_l2(f64::NAN),
            EaseConfig::default().with_decay(0.0),
        ] {
            assert!(matches!(
                Ease::fit(&config, 1, &[[ItemId(0)]]),
                Err(BaselineError::Setting { .. })
            ));
        }
    }
}
