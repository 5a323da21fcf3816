//! Items that share categories with those of the history, rare categories above all.

use std::collections::{BTreeMap, BTreeSet};

use sidereal_data::Item;
use sidereal_sid::ItemId;

use crate::history::{Decay, check_scores};
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
    /// Unit vectors of the items as sparse rows: categories and values of item `i` are
    /// `starts[i]..starts[i + 1]`.
    starts: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f32>,
    num_categories: usize,
    decay: Decay,
}

impl CategoryKernel {
    /// The kernel of these items' categories.
    ///
    /// `decay`: the weight of an item of the history relative to the next later one, `(0, 1]`.
    ///
    /// # Errors
    /// [`BaselineError::Setting`] for a decay out of its range.
    #[allow(clippy::cast_possible_truncation, reason = "components of a unit vector are f32")]
    pub fn fit(items: &[Item], decay: f64) -> Result<Self, BaselineError> {
        let decay = Decay::new(decay)?;
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for name in items.iter().flat_map(names) {
            *counts.entry(name).or_default() += 1;
        }
        let num_items = items.len() as f64;
        let weight = |count: usize| (num_items / count as f64).ln();
        let weights: BTreeMap<&str, (u32, f64)> =
            (0..).zip(&counts).map(|(at, (name, count))| (*name, (at, weight(*count)))).collect();
        let mut kernel = Self {
            starts: vec![0],
            columns: Vec::new(),
            values: Vec::new(),
            num_categories: counts.len(),
            decay,
        };
        for item in items {
            let row: Vec<(u32, f64)> = names(item)
                .into_iter()
                .filter_map(|name| weights.get(name).copied())
                .filter(|(_, weight)| *weight > 0.0)
                .collect();
            let norm = row.iter().map(|(_, weight)| weight * weight).sum::<f64>().sqrt();
            for (column, weight) in row {
                kernel.columns.push(column);
                kernel.values.push((weight / norm) as f32);
            }
            kernel.starts.push(kernel.columns.len());
        }
        Ok(kernel)
    }

    /// Number of items without a category that counts. They score 0 after any history.
    #[must_use]
    pub fn num_zero(&self) -> usize {
        self.starts.windows(2).filter(|row| row[0] == row[1]).count()
    }

    /// The categories of an item with their values.
    fn row(&self, item: usize) -> impl Iterator<Item = (usize, f32)> + '_ {
        let range = self.starts[item]..self.starts[item + 1];
        let columns = self.columns[range.clone()].iter().map(|column| *column as usize);
        columns.zip(self.values[range].iter().copied())
    }
}

/// The categories of an item, each once.
fn names(item: &Item) -> BTreeSet<&str> {
    item.categories.iter().map(String::as_str).collect()
}

impl Recommender for CategoryKernel {
    fn num_items(&self) -> usize {
        self.starts.len() - 1
    }

    fn score(&self, history: &[ItemId], scores: &mut [f32]) -> Result<(), BaselineError> {
        check_scores(scores, self.num_items())?;
        let mut user = vec![0.0; self.num_categories];
        for (item, share) in self.decay.shares(history, self.num_items())? {
            for (column, value) in self.row(item.index()) {
                user[column] += share * value;
            }
        }
        for (item, score) in scores.iter_mut().enumerate() {
            *score = self.row(item).map(|(column, value)| user[column] * value).sum();
        }
        Ok(())
    }
}
