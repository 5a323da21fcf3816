//! Items that share categories with those of the history, rare categories above all.

use sidereal_data::Item;
use sidereal_sid::ItemId;

use crate::history::Decay;
use crate::idf_vectors::IdfVectors;
use crate::{BaselineError, Recommender};

/// Scores items by the categories that they share with the history, the latest counting most.
///
/// ```text
/// x_i[c]   = ln(N / n_c) if item i has category c, else 0      n_c: items with the category
/// score(j) = Σ_{i in history} share(i) · cos(x_i, x_j)         share(i) = decay^age(i) / Σ decay^age
/// ```
/// The last item of the history has age 0. Scores lie in `[0, 1]`. A category that all items have
/// does not count. A category that an item names twice counts once. An item without a category that
/// counts has score 0 and adds nothing.
///
/// ```
/// use sidereal_baselines::{CategoryKernel, Recommender};
/// use sidereal_data::{Item, ItemId};
///
/// let item = |key: &str, categories: &[&str]| {
///     Item::new(key, "").with_categories(categories.iter().map(|c| c.to_string()).collect())
/// };
/// let items = [
///     item("oolong", &["shop", "tea"]),
///     item("assam", &["shop", "tea"]),
///     item("pen", &["shop", "ink"]),
/// ];
/// let model = CategoryKernel::fit(&items, 0.6)?;
/// let mut scores = [0.0; 3];
/// model.score(&[ItemId(0)], &mut scores)?;
/// assert!((scores[1] - 1.0).abs() < 1e-6 && scores[2].abs() < 1e-6);
/// # Ok::<(), sidereal_baselines::BaselineError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct CategoryKernel {
    vectors: IdfVectors,
    decay: Decay,
}

impl CategoryKernel {
    /// The kernel of these items' categories.
    ///
    /// `decay`: the weight of an item of the history relative to the next later one, `(0, 1]`.
    ///
    /// # Errors
    /// [`BaselineError::Setting`] for a decay out of its range.
    pub fn fit(items: &[Item], decay: f64) -> Result<Self, BaselineError> {
        let decay = Decay::new(decay)?;
        let names = items.iter().map(|item| item.categories.iter().map(String::as_str).collect());
        Ok(Self { vectors: IdfVectors::new(&names.collect::<Vec<_>>()), decay })
    }

    /// Number of items without a category that counts. They score 0 after any history.
    #[must_use]
    pub fn num_zero(&self) -> usize {
        self.vectors.num_zero()
    }
}

impl Recommender for CategoryKernel {
    fn num_items(&self) -> usize {
        self.vectors.num_items()
    }

    fn score(&self, history: &[ItemId], scores: &mut [f32]) -> Result<(), BaselineError> {
        self.vectors.score(self.decay, history, scores)
    }
}
