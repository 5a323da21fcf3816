//! The quality of the codes of a catalogue, measured before anything is trained on them.

mod level;
mod predicted;
mod table;
#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;

use ndarray::{Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};
use sidereal_sid::{Catalog, Code, SemanticId};

pub use self::level::LevelQuality;
use self::level::level_quality;
pub use self::predicted::{JudgedCodes, Predicted};
use crate::codebooks::check_codes;
use crate::neighbours::{agreement, chance_agreement};
use crate::rows::{check, check_width, distance};
use crate::{Codebooks, Prediction, QuantizerError};

/// How well codes are used, how far they tell items apart, and how close they stay to what they
/// quantise. Displays as a table, serialises as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QualityReport {
    /// Number of items `N`.
    pub num_items: usize,
    /// Number of distinct Semantic IDs.
    pub num_sids: usize,
    /// `1 - num_sids / N`: the share of items too many for their Semantic IDs.
    pub collision_rate: f64,
    /// Share of items whose Semantic ID some other item has too.
    pub shared_rate: f64,
    /// Largest number of items of one Semantic ID.
    pub max_items_per_sid: usize,
    /// One entry for each level, a suffix or slot included, coarsest first.
    pub levels: Vec<LevelQuality>,
    /// Mean over items of `‖x‖²`, the energy that `squared_error` is a part of; `None` if
    /// [`with_reconstruction`](Self::with_reconstruction) was not called.
    pub energy: Option<f64>,
    /// Mean over items of `‖x - x̄‖²`, the variance that `relative_error` is a share of.
    pub variance: Option<f64>,
    /// How well codes say which item follows; `None` if [`with_prediction`](Self::with_prediction)
    /// was not called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prediction: Option<Predicted>,
}

impl QualityReport {
    /// The quality of codes `[N, L]` of codebooks of these sizes.
    ///
    /// # Errors
    /// [`QuantizerError::EmptyMatrix`], [`QuantizerError::Levels`] and [`QuantizerError::Code`].
    pub fn from_codes(
        codes: ArrayView2<'_, Code>,
        sizes: &[usize],
    ) -> Result<Self, QuantizerError> {
        let (rows, columns) = codes.dim();
        if rows == 0 || columns == 0 {
            return Err(QuantizerError::EmptyMatrix { rows, columns });
        }
        if columns != sizes.len() {
            return Err(QuantizerError::Levels { found: columns, expected: sizes.len() });
        }
        check_codes(codes, sizes)?;
        let paths: Vec<SemanticId> =
            codes.axis_iter(Axis(0)).map(|row| row.iter().copied().collect()).collect();
        let mut order: Vec<&[Code]> = paths.iter().map(SemanticId::codes).collect();
        order.sort_unstable();
        Ok(Self::from_sorted(&order, sizes))
    }

    /// The quality of a catalogue's Semantic IDs, its suffix counted as a level.
    #[must_use]
    pub fn from_catalog(catalog: &Catalog) -> Self {
        let spec = catalog.spec();
        let suffix = (spec.suffix_size() > 0).then(|| spec.suffix_size());
        let sizes: Vec<usize> = spec.codebook_sizes().iter().copied().chain(suffix).collect();
        let order: Vec<&[Code]> = catalog
            .items_by_sid()
            .iter()
            .filter_map(|item| catalog.sid(*item))
            .map(SemanticId::codes)
            .collect();
        Self::from_sorted(&order, &sizes)
    }

    fn from_sorted(order: &[&[Code]], sizes: &[usize]) -> Self {
        let num_items = order.len();
        let sid_counts: Vec<usize> = order.chunk_by(|a, b| a == b).map(<[_]>::len).collect();
        let shared: usize = sid_counts.iter().filter(|count| **count > 1).sum();
        let levels =
            sizes.iter().enumerate().map(|(level, size)| level_quality(order, level, *size));
        Self {
            num_items,
            num_sids: sid_counts.len(),
            collision_rate: 1.0 - sid_counts.len() as f64 / num_items as f64,
            shared_rate: shared as f64 / num_items as f64,
            // Without items no Semantic ID has any.
            max_items_per_sid: sid_counts.iter().copied().max().unwrap_or(0),
            levels: levels.collect(),
            energy: None,
            variance: None,
            prediction: None,
        }
    }

    /// Adds how much of the embeddings each level leaves unexplained.
    ///
    /// # Shapes
    /// - `rows`: `[N, D]`; `codes`: `[N, L]`, of all levels of `codebooks`
    ///
    /// # Errors
    /// [`QuantizerError::Rows`] if items differ in number, [`QuantizerError::Levels`],
    /// [`QuantizerError::Code`], [`QuantizerError::Width`], [`QuantizerError::NotFinite`].
    pub fn with_reconstruction(
        mut self,
        codebooks: &Codebooks,
        rows: ArrayView2<'_, f32>,
        codes: ArrayView2<'_, Code>,
    ) -> Result<Self, QuantizerError> {
        check(&rows)?;
        check_width(&rows, codebooks)?;
        check_codes(codes, &codebooks.sizes())?;
        for (found, expected) in [(rows.nrows(), codes.nrows()), (codes.nrows(), self.num_items)] {
            if found != expected {
                return Err(QuantizerError::Rows { found, expected });
            }
        }
        let count = rows.nrows() as f64;
        let mut mean = vec![0.0; rows.ncols()];
        for row in rows.rows() {
            mean.iter_mut().zip(row).for_each(|(sum, v)| *sum += f64::from(*v));
        }
        let mean: Vec<f64> = mean.into_iter().map(|sum| sum / count).collect();
        let origin = vec![0.0f32; rows.ncols()];
        let (mut energy, mut variance) = (0.0, 0.0);
        let mut errors = vec![0.0; codes.ncols()];
        for (row, codes) in rows.rows().into_iter().zip(codes.rows()) {
            let mut residual: Vec<f32> = row.to_vec();
            energy += distance(&residual, &origin);
            variance +=
                row.iter().zip(&mean).map(|(v, mean)| (f64::from(*v) - mean).powi(2)).sum::<f64>();
            for ((table, code), error) in codebooks.tables().iter().zip(codes).zip(&mut errors) {
                residual.iter_mut().zip(table.centroid(*code)).for_each(|(v, c)| *v -= c);
                *error += distance(&residual, &origin);
            }
        }
        for (level, error) in self.levels.iter_mut().zip(errors) {
            level.squared_error = Some(error / count);
            level.relative_error = (variance > 0.0).then(|| error / variance);
        }
        self.energy = Some(energy / count);
        self.variance = Some(variance / count);
        Ok(self)
    }

    /// Adds how well codes say which item follows.
    #[must_use]
    pub fn with_prediction(mut self, measured: Prediction, codes: JudgedCodes) -> Self {
        self.prediction = Some(Predicted { measured, codes });
        self
    }

    /// Adds how often near items share codes, level by level.
    ///
    /// `queries` items, evenly spaced over all, are compared with every other item; ties go to the
    /// lower item. Costs `2 · queries · N · D` operations.
    ///
    /// # Shapes
    /// - `rows`: `[N, D]`; `codes`: `[N, L]`
    ///
    /// # Errors
    /// [`QuantizerError::Rows`] if items differ in number, [`QuantizerError::NotFinite`], and
    /// [`QuantizerError::Levels`] for codes of more levels than the report has.
    pub fn with_neighbours(
        mut self,
        rows: ArrayView2<'_, f32>,
        codes: ArrayView2<'_, Code>,
        neighbours: NonZeroUsize,
        queries: NonZeroUsize,
    ) -> Result<Self, QuantizerError> {
        check(&rows)?;
        for (found, expected) in [(rows.nrows(), codes.nrows()), (codes.nrows(), self.num_items)] {
            if found != expected {
                return Err(QuantizerError::Rows { found, expected });
            }
        }
        if codes.ncols() > self.levels.len() {
            let (found, expected) = (codes.ncols(), self.levels.len());
            return Err(QuantizerError::Levels { found, expected });
        }
        let near = agreement(rows, codes, neighbours.get(), queries.get());
        let chance = chance_agreement(codes);
        for (level, (near, chance)) in self.levels.iter_mut().zip(near.into_iter().zip(chance)) {
            level.neighbour_agreement = near;
            level.chance_agreement = chance;
        }
        Ok(self)
    }
}

/// Codes of a catalogue without suffix, or of the first levels of one with it: `[N, L]`.
#[must_use]
pub fn catalog_codes(catalog: &Catalog) -> Array2<Code> {
    let levels = catalog.spec().num_levels();
    let mut codes = Array2::zeros((catalog.num_items(), levels));
    for (mut row, sid) in codes.rows_mut().into_iter().zip(catalog.sids()) {
        row.iter_mut().zip(sid.codes()).for_each(|(code, own)| *code = *own);
    }
    codes
}
