//! What a catalogue's codes are worth before anything is trained on them.

use std::fmt;
use std::num::NonZeroUsize;

use ndarray::{Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};
use sidereal_sid::{Catalog, Code, SemanticId};

use crate::codebooks::check_codes;
use crate::neighbours::{agreement, chance_agreement};
use crate::rows::{check, check_width, distance};
use crate::{Codebooks, QuantizerError};

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
    /// Most items of one Semantic ID.
    pub max_items_per_sid: usize,
    /// One entry for each level, a suffix or slot included, coarsest first.
    pub levels: Vec<LevelQuality>,
    /// Mean over items of `‖x‖²`, the energy that `squared_error` is a part of; `None` where
    /// [`with_reconstruction`](Self::with_reconstruction) was not called.
    pub energy: Option<f64>,
    /// Mean over items of `‖x - x̄‖²`, the variance that `relative_error` is a share of.
    pub variance: Option<f64>,
}

/// One level of a [`QualityReport`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LevelQuality {
    /// Number of codes `K`.
    pub codebook_size: usize,
    /// Number of codes that some item has.
    pub used: usize,
    /// `used / K`, in `[0, 1]`.
    pub usage: f64,
    /// Entropy of the codes' shares of the items that reach this level, in nats: `ln K` if even.
    pub entropy: f64,
    /// `exp(entropy)`: the number of evenly used codes that would be as uncertain.
    pub perplexity: f64,
    /// Gini coefficient of the codes' item counts, unused codes included: 0 if even, `1 - 1 / K`
    /// if one code has all.
    pub gini: f64,
    /// Distinct prefixes that end at this level.
    pub num_prefixes: usize,
    /// Mean number of distinct codes at this level below one prefix of the level before.
    pub mean_fan_out: f64,
    /// Most distinct codes at this level below one prefix of the level before.
    pub max_fan_out: usize,
    /// Mean over items of the squared error that is left after this level; `None` for a suffix or
    /// slot, or without embeddings.
    pub squared_error: Option<f64>,
    /// Share of an item's nearest neighbours, by embedding, that have its codes up to this level;
    /// mean over items. `None` where [`with_neighbours`](QualityReport::with_neighbours) was not
    /// called.
    pub neighbour_agreement: Option<f64>,
    /// The same share for two items drawn at random: what agreement is worth by chance.
    pub chance_agreement: Option<f64>,
    /// `squared_error` as a share of the variance of the embeddings, `Σ‖x - x̂‖² / Σ‖x - x̄‖²`;
    /// `None` also where they have none.
    pub relative_error: Option<f64>,
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
            max_items_per_sid: sid_counts.iter().copied().max().unwrap_or(0),
            levels: levels.collect(),
            energy: None,
            variance: None,
        }
    }

    /// Adds how much of the embeddings each level leaves unexplained.
    ///
    /// # Shapes
    /// - `rows`: `[N, D]`; `codes`: `[N, L]`, of all levels of `codebooks`
    ///
    /// # Errors
    /// [`QuantizerError::Rows`] where items differ in number, [`QuantizerError::Levels`],
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

    /// Adds how often near items share codes, level by level.
    ///
    /// `queries` items, evenly spaced over all, are compared with every other item; ties go to the
    /// lower item. Costs `2 · queries · N · D` operations.
    ///
    /// # Shapes
    /// - `rows`: `[N, D]`; `codes`: `[N, L]`
    ///
    /// # Errors
    /// [`QuantizerError::Rows`] where items differ in number, [`QuantizerError::NotFinite`], and
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

/// `order` holds the items' codes in lexicographic order; a shorter one never reaches `level`.
fn level_quality(order: &[&[Code]], level: usize, size: usize) -> LevelQuality {
    let mut counts = vec![0usize; size];
    let reaching = order.iter().filter(|sid| sid.len() > level);
    for sid in reaching.clone() {
        counts[usize::from(sid[level])] += 1;
    }
    let total: usize = counts.iter().sum();
    let entropy = -counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| *count as f64 / total as f64)
        .map(|share| share * share.ln())
        .sum::<f64>();
    let used = counts.iter().filter(|count| **count > 0).count();
    let reaching: Vec<&[Code]> = reaching.copied().collect();
    let fan_outs: Vec<usize> = reaching
        .chunk_by(|a, b| a[..level] == b[..level])
        .map(|family| family.chunk_by(|a, b| a[level] == b[level]).count())
        .collect();
    let num_prefixes: usize = fan_outs.iter().sum();
    LevelQuality {
        codebook_size: size,
        used,
        usage: used as f64 / size as f64,
        entropy: entropy.max(0.0),
        perplexity: entropy.max(0.0).exp(),
        gini: gini(counts),
        num_prefixes,
        mean_fan_out: if fan_outs.is_empty() {
            0.0
        } else {
            num_prefixes as f64 / fan_outs.len() as f64
        },
        max_fan_out: fan_outs.into_iter().max().unwrap_or(0),
        squared_error: None,
        neighbour_agreement: None,
        chance_agreement: None,
        relative_error: None,
    }
}

/// `Σ_i (2 i - K - 1) x_(i) / (K Σ x)` over ascending counts; 0 without items.
fn gini(mut counts: Vec<usize>) -> f64 {
    counts.sort_unstable();
    let size = counts.len() as f64;
    let total: usize = counts.iter().sum();
    if total == 0 {
        return 0.0;
    }
    let weighted: f64 = (1..)
        .zip(&counts)
        .map(|(rank, count)| (2.0 * f64::from(rank) - size - 1.0) * *count as f64)
        .sum();
    weighted / (size * total as f64)
}

impl fmt::Display for QualityReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} items, {} semantic ids: collision rate {:.2} %, {:.2} % of items share one, \
             at most {} on one",
            self.num_items,
            self.num_sids,
            100.0 * self.collision_rate,
            100.0 * self.shared_rate,
            self.max_items_per_sid
        )?;
        writeln!(
            f,
            "level   codes    used  usage  perplexity  entropy   gini  prefixes  fan-out  (max)  \
             sq. error  of variance  neighbours  (chance)"
        )?;
        for (level, q) in self.levels.iter().enumerate() {
            let optional = |value: Option<f64>| {
                value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"))
            };
            writeln!(
                f,
                "{level:>5} {:>7} {:>7} {:>5.1}% {:>11.1} {:>8.3} {:>6.3} {:>9} {:>8.2} {:>6} \
                 {:>10} {:>12} {:>11} {:>9}",
                q.codebook_size,
                q.used,
                100.0 * q.usage,
                q.perplexity,
                q.entropy,
                q.gini,
                q.num_prefixes,
                q.mean_fan_out,
                q.max_fan_out,
                optional(q.squared_error),
                optional(q.relative_error),
                optional(q.neighbour_agreement),
                optional(q.chance_agreement)
            )?;
        }
        Ok(())
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

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "values that are exact in binary")]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::Collisions;

    #[test]
    fn hand_counted_codes() {
        // Level 0: counts [3, 1, 0, 0]; prefixes <a_0> (two children) and <a_1> (one).
        let codes = array![[0, 0], [0, 1], [0, 1], [1, 1]];
        let report = QualityReport::from_codes(codes.view(), &[4, 2]).unwrap();
        assert_eq!((report.num_items, report.num_sids), (4, 3));
        assert_eq!((report.collision_rate, report.shared_rate), (0.25, 0.5));
        assert_eq!(report.max_items_per_sid, 2);
        let (first, second) = (&report.levels[0], &report.levels[1]);
        assert_eq!((first.used, first.usage), (2, 0.5));
        // -(3/4 ln 3/4 + 1/4 ln 1/4)
        assert!((first.entropy - 0.562_335_144_618_808).abs() < 1e-12);
        assert!((first.perplexity - 0.562_335_144_618_808_f64.exp()).abs() < 1e-12);
        // Ascending [0, 0, 1, 3]: (1 * 1 + 3 * 3) / (4 * 4)
        assert_eq!(first.gini, 0.625);
        assert_eq!((first.num_prefixes, first.mean_fan_out, first.max_fan_out), (2, 2.0, 2));
        assert_eq!((second.num_prefixes, second.mean_fan_out, second.max_fan_out), (3, 1.5, 2));
    }

    #[test]
    fn error_is_a_share_of_the_variance() {
        let codebooks = Codebooks::new(vec![array![[0.0], [4.0]], array![[1.0], [-1.0]]]).unwrap();
        let rows = array![[0.0], [2.0], [4.0], [6.0]];
        // Mean 3, squares about it 9 + 1 + 1 + 9 = 20. Level 0 leaves 0, 2, 0, 2: 8 in all;
        // level 1 then leaves -1, 1, 1, 1: 4.
        let codes = array![[0, 0], [0, 0], [1, 1], [1, 0]];
        let report = QualityReport::from_codes(codes.view(), &[2, 2])
            .and_then(|r| r.with_reconstruction(&codebooks, rows.view(), codes.view()))
            .unwrap();
        assert_eq!((report.energy, report.variance), (Some(14.0), Some(5.0)));
        assert_eq!(report.levels[0].squared_error, Some(2.0));
        assert_eq!(report.levels[0].relative_error, Some(0.4));
        assert_eq!(report.levels[1].relative_error, Some(0.2));
    }

    #[test]
    fn a_suffix_is_a_level_that_only_some_items_reach() {
        let codebooks = Codebooks::new(vec![array![[0.0], [4.0]]]).unwrap();
        let rows = array![[0.0], [0.5], [4.0]];
        let codes = codebooks.encode(rows.view()).unwrap();
        let catalog = Collisions::Suffix.catalog(&codebooks, rows.view(), codes.view()).unwrap();
        let report = QualityReport::from_catalog(&catalog);
        assert_eq!(report.num_sids, 3);
        assert_eq!(report.collision_rate, 0.0);
        assert_eq!(report.levels.len(), 2);
        assert_eq!((report.levels[1].used, report.levels[1].num_prefixes), (2, 2));
        assert_eq!(catalog_codes(&catalog), codes);
    }

    #[test]
    fn a_constant_matrix_has_no_relative_error() {
        let codebooks = Codebooks::new(vec![array![[1.0]]]).unwrap();
        let (rows, codes) = (array![[1.0], [1.0]], array![[0], [0]]);
        let report = QualityReport::from_codes(codes.view(), &[1])
            .and_then(|r| r.with_reconstruction(&codebooks, rows.view(), codes.view()))
            .unwrap();
        assert_eq!(report.levels[0].relative_error, None);
        assert_eq!(report.levels[0].squared_error, Some(0.0));
    }

    #[test]
    fn a_report_survives_json_and_prints_a_line_for_each_level() {
        let report = QualityReport::from_codes(array![[0, 0], [1, 1]].view(), &[2, 2]).unwrap();
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<QualityReport>(&text).unwrap(), report);
        assert_eq!(report.to_string().lines().count(), 4);
    }
}
