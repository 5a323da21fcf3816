//! Items as unit vectors over the names that they have, rare names above all.

use std::collections::{BTreeMap, BTreeSet};

use sidereal_sid::ItemId;

use crate::BaselineError;
use crate::history::{Decay, check_scores};

/// Sparse unit vectors, `[N, names]`.
///
/// ```text
/// x_i[c] = ln(N / n_c) if item i has the name c, else 0      n_c: items with the name
/// ```
/// divided by its L2 norm. A name that all items have does not count.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct IdfVectors {
    /// Names and values of item `i` are `starts[i]..starts[i + 1]`.
    starts: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f32>,
    num_names: usize,
}

impl IdfVectors {
    /// The vectors of items with these names.
    #[allow(clippy::cast_possible_truncation, reason = "components of a unit vector are f32")]
    pub(crate) fn new(items: &[BTreeSet<&str>]) -> Self {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for name in items.iter().flatten() {
            *counts.entry(name).or_default() += 1;
        }
        let num_items = items.len() as f64;
        let weight = |count: usize| (num_items / count as f64).ln();
        let weights: BTreeMap<&str, (u32, f64)> =
            (0..).zip(&counts).map(|(at, (name, count))| (*name, (at, weight(*count)))).collect();
        let mut vectors = Self {
            starts: vec![0],
            columns: Vec::new(),
            values: Vec::new(),
            num_names: counts.len(),
        };
        for item in items {
            let row: Vec<(u32, f64)> = item
                .iter()
                .filter_map(|name| weights.get(name).copied())
                .filter(|(_, weight)| *weight > 0.0)
                .collect();
            let norm = row.iter().map(|(_, weight)| weight * weight).sum::<f64>().sqrt();
            for (column, weight) in row {
                vectors.columns.push(column);
                vectors.values.push((weight / norm) as f32);
            }
            vectors.starts.push(vectors.columns.len());
        }
        vectors
    }

    pub(crate) fn num_items(&self) -> usize {
        self.starts.len() - 1
    }

    /// Number of items without a name that counts.
    pub(crate) fn num_zero(&self) -> usize {
        self.starts.windows(2).filter(|row| row[0] == row[1]).count()
    }

    /// Overwrites `scores` `[N]` with `Σ_{i in history} share(i) · cos(x_i, x_j)`.
    pub(crate) fn score(
        &self,
        decay: Decay,
        history: &[ItemId],
        scores: &mut [f32],
    ) -> Result<(), BaselineError> {
        check_scores(scores, self.num_items())?;
        let mut user = vec![0.0; self.num_names];
        for (item, share) in decay.shares(history, self.num_items())? {
            for (column, value) in self.row(item.index()) {
                user[column] += share * value;
            }
        }
        for (item, score) in scores.iter_mut().enumerate() {
            *score = self.row(item).map(|(column, value)| user[column] * value).sum();
        }
        Ok(())
    }

    /// The names of an item with their values.
    fn row(&self, item: usize) -> impl Iterator<Item = (usize, f32)> + '_ {
        let range = self.starts[item]..self.starts[item + 1];
        let columns = self.columns[range.clone()].iter().map(|column| *column as usize);
        columns.zip(self.values[range].iter().copied())
    }
}
