//! Sparse square matrices over the items, row by row, and counts of items that occur close to each
//! other.

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;
use sidereal_sid::ItemId;

use crate::VectorError;

/// A sparse matrix `[N, N]` as compressed sparse rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SparseRows {
    /// Row `i` is `offsets[i]..offsets[i + 1]` of the other two; one offset more than rows.
    offsets: Vec<usize>,
    columns: Vec<ItemId>,
    values: Vec<f64>,
}

impl SparseRows {
    /// The matrix of these rows, each entry turned into what `entry` makes of its row, its column and
    /// its value; `None` leaves it out.
    pub(crate) fn collect(
        rows: Vec<Vec<(ItemId, f64)>>,
        entry: impl Fn(ItemId, ItemId, f64) -> Option<f64>,
    ) -> Self {
        let mut matrix = Self { offsets: vec![0], columns: Vec::new(), values: Vec::new() };
        for (own, row) in (0..).map(ItemId).zip(rows) {
            for (item, x) in row {
                if let Some(value) = entry(own, item, x) {
                    matrix.columns.push(item);
                    matrix.values.push(value);
                }
            }
            matrix.offsets.push(matrix.columns.len());
        }
        matrix
    }

    pub(crate) fn num_rows(&self) -> usize {
        self.offsets.len() - 1
    }

    pub(crate) fn num_nonzero(&self) -> usize {
        self.values.len()
    }

    /// Entries of an item's row, in ascending order of the other item; none outside the matrix.
    pub(crate) fn row(&self, item: ItemId) -> impl Iterator<Item = (ItemId, f64)> + '_ {
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
    pub(crate) fn dot(&self, dense: ArrayView2<'_, f64>) -> Array2<f64> {
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

/// Rejects more items than there are identities, and sequences with items outside the catalogue.
pub(crate) fn check_items<Q: AsRef<[ItemId]>>(
    num_items: usize,
    sequences: &[Q],
) -> Result<(), VectorError> {
    if u32::try_from(num_items.saturating_sub(1)).is_err() {
        return Err(VectorError::NumItems { num_items });
    }
    for (sequence, items) in sequences.iter().enumerate() {
        let mut items = items.as_ref().iter().enumerate();
        if let Some((position, item)) = items.find(|(_, item)| item.index() >= num_items) {
            return Err(VectorError::Item { sequence, position, item: *item, num_items });
        }
    }
    Ok(())
}

/// Rows of `X`, each in ascending order of the other item.
///
/// The terms of `X[i,j]` and those of `X[j,i]` are summed in the order of the sequences, so that
/// both are the same number to the last bit.
pub(crate) fn co_occurrences<S: AsRef<[ItemId]>>(
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
