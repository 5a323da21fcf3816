//! Co-occurrences of items and their pointwise mutual information, as compressed sparse rows.

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;
use sidereal_sid::ItemId;

use super::{Ppmi, PpmiError};

/// Positive pointwise mutual information of all pairs of items that co-occur: sparse, symmetric,
/// without negative entries, in nats.
///
/// ```text
/// X[i,j] = Σ 1/|s-t|     over sequences x and positions s ≠ t with |s-t| ≤ window, x[s]=i, x[t]=j
/// n[i]   = Σ_j X[i,j],   Z = Σ_i n[i]^α
/// PMI_α[i,j] = ln( X[i,j] / n[i] · Z / n[j]^α )
/// M[i,j] = max(0, (PMI_α[i,j] + PMI_α[j,i]) / 2)
///        = max(0, ln X[i,j] + ln Z - (1+α)/2 · (ln n[i] + ln n[j]))
/// ```
/// PPMI with smoothed context distribution: Levy, Goldberg & Dagan, "Improving Distributional
/// Similarity with Lessons Learned from Word Embeddings", TACL 2015, §3.2. Deviations:
/// they smooth the context alone, which leaves a matrix that is not symmetric, where here an item
/// is a word and a context alike, hence the mean of both directions (the same for `α = 1`); the
/// weight `1/|s-t|` is `GloVe`'s, not word2vec's. An item that a sequence repeats within the
/// window co-occurs with itself.
#[derive(Debug, Clone, PartialEq)]
pub struct PpmiMatrix {
    /// Row `i` is `offsets[i]..offsets[i + 1]` of the other two; one offset more than rows.
    offsets: Vec<usize>,
    columns: Vec<ItemId>,
    values: Vec<f64>,
}

impl PpmiMatrix {
    /// The matrix of items `0..num_items` over these sequences.
    ///
    /// # Shapes
    /// - `sequences`: each earliest first, of any length; the matrix is `[N, N]`
    ///
    /// # Errors
    /// [`PpmiError::Item`] for an item that is not below `num_items`; [`PpmiError::NumItems`] if
    /// `num_items` exceeds 2³².
    pub fn fit<Q: AsRef<[ItemId]>>(
        settings: &Ppmi,
        num_items: usize,
        sequences: &[Q],
    ) -> Result<Self, PpmiError> {
        if u32::try_from(num_items.saturating_sub(1)).is_err() {
            return Err(PpmiError::NumItems { num_items });
        }
        for (sequence, items) in sequences.iter().enumerate() {
            let mut items = items.as_ref().iter().enumerate();
            if let Some((position, item)) = items.find(|(_, item)| item.index() >= num_items) {
                return Err(PpmiError::Item { sequence, position, item: *item, num_items });
            }
        }
        let config = settings.config();
        let rows = co_occurrences(sequences, num_items, config.window);
        Ok(Self::of_rows(rows, config.context_smoothing))
    }

    /// Turns the rows of `X` into those of `M`.
    fn of_rows(rows: Vec<Vec<(ItemId, f64)>>, smoothing: f64) -> Self {
        let totals: Vec<f64> = rows.iter().map(|row| row.iter().map(|(_, x)| x).sum()).collect();
        let seen = totals.iter().filter(|n| **n > 0.0);
        let log_z = seen.map(|n| n.powf(smoothing)).sum::<f64>().ln();
        let logs: Vec<f64> = totals.iter().map(|n| n.ln()).collect();
        let exponent = f64::midpoint(1.0, smoothing);

        let mut matrix = Self { offsets: vec![0], columns: Vec::new(), values: Vec::new() };
        for (row, log_n) in rows.into_iter().zip(&logs) {
            for (item, x) in row {
                let mutual = x.ln() + log_z - exponent * (log_n + logs[item.index()]);
                if mutual > 0.0 {
                    matrix.columns.push(item);
                    matrix.values.push(mutual);
                }
            }
            matrix.offsets.push(matrix.columns.len());
        }
        matrix
    }

    /// Number of items, `N`: rows and columns.
    #[must_use]
    pub fn num_items(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Number of entries above zero, both triangles counted.
    #[must_use]
    pub fn num_nonzero(&self) -> usize {
        self.values.len()
    }

    /// Entries above zero of an item's row, in ascending order of the other item; none for an
    /// item outside the catalogue.
    pub fn row(&self, item: ItemId) -> impl Iterator<Item = (ItemId, f64)> + '_ {
        let range = match self.offsets.get(item.index()..) {
            Some([start, end, ..]) => *start..*end,
            _ => 0..0,
        };
        let columns = self.columns.get(range.clone()).unwrap_or_default();
        let values = self.values.get(range).unwrap_or_default();
        columns.iter().copied().zip(values.iter().copied())
    }

    /// `M · dense`, each row summed by one thread in a fixed order.
    ///
    /// # Shapes
    /// - `dense`: `[N, W]`; returns `[N, W]`
    pub(super) fn dot(&self, dense: ArrayView2<'_, f64>) -> Array2<f64> {
        let mut product = Array2::zeros(dense.raw_dim());
        let rows: Vec<_> = product.axis_iter_mut(Axis(0)).collect();
        rows.into_par_iter().enumerate().with_min_len(64).for_each(|(i, mut sum)| {
            let range = self.offsets[i]..self.offsets[i + 1];
            for (item, value) in self.columns[range.clone()].iter().zip(&self.values[range]) {
                sum.scaled_add(*value, &dense.row(item.index()));
            }
        });
        product
    }
}

/// Rows of `X`, each in ascending order of the other item.
///
/// The terms of `X[i,j]` and those of `X[j,i]` are summed in the order of the sequences, so that
/// both are the same number to the last bit.
fn co_occurrences<S: AsRef<[ItemId]>>(
    sequences: &[S],
    num_items: usize,
    window: usize,
) -> Vec<Vec<(ItemId, f64)>> {
    let mut rows: Vec<Vec<(ItemId, f64)>> = vec![Vec::new(); num_items];
    for items in sequences.iter().map(AsRef::as_ref) {
        for (start, first) in items.iter().enumerate() {
            let later = items[start + 1..].iter().take(window);
            for (distance, second) in (1..).zip(later) {
                let weight = 1.0 / f64::from(distance);
                rows[first.index()].push((*second, weight));
                rows[second.index()].push((*first, weight));
            }
        }
    }
    rows.par_iter_mut().for_each(|row| {
        row.sort_by_key(|(item, _)| *item); // stable: keeps the order of the sequences
        row.dedup_by(|(item, weight), (kept, sum)| {
            let same = item == kept;
            if same {
                *sum += *weight;
            }
            same
        });
    });
    rows
}
