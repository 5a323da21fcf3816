//! First centroids of a k-means run.

use rand::Rng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::product::scaled_dots_of_columns;
use crate::rows::{BLOCK, Residuals, Table, square};

/// How k-means chooses its first centroids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Init {
    /// Greedy k-means++ (Arthur and Vassilvitskii 2007, §2.2 and §5): each further centroid is the
    /// best of `2 + ⌊ln K⌋` rows drawn in proportion to their squared distance from the nearest
    /// centroid so far. Drawn among `max(64 K, 4096)` rows chosen at random.
    ///
    /// Deviation: from 64 codes on, rows are drawn for up to eight centroids at once, four more
    /// for each, and each centroid is the best of all of them.
    #[default]
    KMeansPlusPlus,
    /// `K` rows chosen at random without replacement.
    Random,
}

impl Init {
    /// `[K, D]` centroids; rows are repeated if there are fewer than `codes`.
    pub(crate) fn centroids(
        self,
        rows: &Residuals<'_>,
        codes: usize,
        rng: &mut ChaCha8Rng,
    ) -> Table {
        let num_rows = rows.num_rows();
        let candidates = match self {
            Self::Random => codes,
            Self::KMeansPlusPlus => (64 * codes).max(4096),
        };
        let mut sample = index::sample(rng, num_rows, candidates.min(num_rows)).into_vec();
        let mut values = Vec::new();
        if self == Self::KMeansPlusPlus && num_rows > 1 {
            sample.sort_unstable();
            rows.gather(&sample, &mut values);
            // Inside the thread pool, so that the many short loops do not have to wake it each
            // time.
            values = rayon::scope(|_| plus_plus(&values, rows.width(), codes, rng));
        } else {
            rows.gather(&sample, &mut values);
        }
        let given = values.len();
        values.reserve((codes * rows.width()).saturating_sub(given));
        while values.len() < codes * rows.width() {
            values.extend_from_within(values.len() - given..values.len() - given + rows.width());
        }
        Table::new(values, rows.width())
    }
}

/// Largest number of centroids chosen among rows that were drawn together.
const PICKS: usize = 8;

/// Up to `codes` centroids; fewer once every row of the sample coincides with one.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the logarithm of a codebook size is a small positive number"
)]
fn plus_plus(sample: &[f32], width: usize, codes: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let row = |i: usize| &sample[i * width..(i + 1) * width];
    let num_rows = sample.len() / width;
    let picks = (codes / 32).clamp(1, PICKS);
    let trials = 2 + (codes as f64).ln() as usize + 4 * (picks - 1);
    let norms: Vec<f32> = sample.chunks_exact(width).map(square).collect();
    let columns = columns(sample, width);
    let mut centroids = row(rng.gen_range(0..num_rows)).to_vec();
    let mut nearest = vec![f32::INFINITY; num_rows];
    for (nearest, new) in
        nearest.chunks_mut(BLOCK).zip(distances(&columns, width, &norms, &centroids))
    {
        nearest.copy_from_slice(&new);
    }
    while centroids.len() < codes * width {
        let mut total = 0.0;
        let cumulative: Vec<f64> = nearest
            .iter()
            .map(|d| {
                total += f64::from(*d);
                total
            })
            .collect();
        if total <= 0.0 {
            break;
        }
        let mut drawn = Vec::with_capacity(trials * width);
        for _ in 0..trials {
            let at = rng.gen_range(0.0..total);
            let index = cumulative.partition_point(|sum| *sum <= at).min(num_rows - 1);
            drawn.extend_from_slice(row(index));
        }
        let blocks = distances(&columns, width, &norms, &drawn);
        for _ in 0..picks.min(codes - centroids.len() / width) {
            let potentials: Vec<Vec<f64>> = blocks
                .par_iter()
                .zip(nearest.par_chunks(BLOCK))
                .map(|(block, nearest)| {
                    let trials = block.chunks_exact(nearest.len());
                    trials.map(|distances| potential(distances, nearest)).collect()
                })
                .collect();
            let potential = |trial: usize| potentials.iter().map(|block| block[trial]).sum::<f64>();
            // There is at least one trial.
            let best = (0..trials)
                .map(|trial| (trial, potential(trial)))
                .min_by(|a, b| a.1.total_cmp(&b.1))
                .map_or(0, |(trial, _)| trial);
            centroids.extend_from_slice(&drawn[best * width..(best + 1) * width]);
            for (block, nearest) in blocks.iter().zip(nearest.chunks_mut(BLOCK)) {
                let start = best * nearest.len();
                let new = &block[start..start + nearest.len()];
                nearest.iter_mut().zip(new).for_each(|(old, new)| *old = old.min(*new));
            }
        }
    }
    centroids
}

/// `Σ_i min(distances[i], nearest[i])`.
fn potential(distances: &[f32], nearest: &[f32]) -> f64 {
    // Sixteen running sums of at most 32 values each: exact enough in f32, and in registers.
    let mut lanes = [0.0f32; 16];
    let (distances, nearest) = (distances.chunks(16), nearest.chunks(16));
    for (distances, nearest) in distances.zip(nearest) {
        for ((lane, distance), nearest) in lanes.iter_mut().zip(distances).zip(nearest) {
            *lane += distance.min(*nearest);
        }
    }
    lanes.iter().map(|lane| f64::from(*lane)).sum()
}

/// The values of each block of rows column after column, `[D, B]`: a block is multiplied many times.
fn columns(sample: &[f32], width: usize) -> Vec<f32> {
    let mut columns = vec![0.0; sample.len()];
    let blocks = columns.par_chunks_mut(BLOCK * width).zip(sample.par_chunks(BLOCK * width));
    blocks.for_each(|(columns, rows)| {
        let block = rows.len() / width;
        for (column, values) in columns.chunks_exact_mut(block).enumerate() {
            for (value, row) in values.iter_mut().zip(rows.chunks_exact(width)) {
                *value = row[column];
            }
        }
    });
    columns
}

/// Squared distances of the rows of each block to each drawn row, `[trials, B]`, from the rows'
/// [`columns`] and squared norms.
fn distances(columns: &[f32], width: usize, norms: &[f32], drawn: &[f32]) -> Vec<Vec<f32>> {
    columns
        .par_chunks(BLOCK * width)
        .zip(norms.par_chunks(BLOCK))
        .map(|(columns, norms)| {
            let trials = drawn.len() / width;
            let mut distances = vec![0.0; trials * norms.len()];
            scaled_dots_of_columns(-2.0, drawn, columns, width, &mut distances);
            let of_trials = distances.chunks_exact_mut(norms.len());
            for (distances, centroid) in of_trials.zip(drawn.chunks_exact(width)) {
                let own = square(centroid);
                for (d, norm) in distances.iter_mut().zip(norms) {
                    // Rounding leaves a coinciding row a little off zero; it must never be drawn
                    // again.
                    let squared = *d + norm + own;
                    let noise = 4.0 * f32::EPSILON * (norm + own);
                    *d = if squared > noise { squared } else { 0.0 };
                }
            }
            distances
        })
        .collect()
}
