//! Co-occurrences of items and their pointwise mutual information, as compressed sparse rows.

use sidereal_sid::ItemId;

use super::Ppmi;
use crate::VectorError;
use crate::sparse::{SparseRows, check_items, co_occurrences};

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
/// Similarity with Lessons Learned from Word Embeddings", TACL 2015, §3.2. Deviations: they smooth
/// only the context, which gives a matrix that is not symmetric. Here an item is both a word and a
/// context, so the mean of both directions is taken (the same for `α = 1`); the weight `1/|s-t|` is
/// `GloVe`'s, not word2vec's. An item that a sequence repeats within the window co-occurs with
/// itself.
#[derive(Debug, Clone, PartialEq)]
pub struct PpmiMatrix {
    entries: SparseRows,
}

impl PpmiMatrix {
    /// The matrix of items `0..num_items` over these sequences.
    ///
    /// # Shapes
    /// - `sequences`: each earliest first, of any length; the matrix is `[N, N]`
    ///
    /// # Errors
    /// [`VectorError::Item`] for an item that is not below `num_items`; [`VectorError::NumItems`] if
    /// `num_items` exceeds 2³².
    pub fn fit<Q: AsRef<[ItemId]>>(
        settings: &Ppmi,
        num_items: usize,
        sequences: &[Q],
    ) -> Result<Self, VectorError> {
        check_items(num_items, sequences)?;
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

        let entries = SparseRows::collect(rows, |row, column, x| {
            let mutual = x.ln() + log_z - exponent * (logs[row.index()] + logs[column.index()]);
            (mutual > 0.0).then_some(mutual)
        });
        Self { entries }
    }

    /// Number of items, `N`: rows and columns.
    #[must_use]
    pub fn num_items(&self) -> usize {
        self.entries.num_rows()
    }

    /// Number of entries above zero, both triangles counted.
    #[must_use]
    pub fn num_nonzero(&self) -> usize {
        self.entries.num_nonzero()
    }

    /// Entries above zero of an item's row, in ascending order of the other item; none for an
    /// item outside the catalogue.
    pub fn row(&self, item: ItemId) -> impl Iterator<Item = (ItemId, f64)> + '_ {
        self.entries.row(item)
    }

    pub(super) const fn entries(&self) -> &SparseRows {
        &self.entries
    }
}
