//! Lloyd's k-means on one level's residuals.

use std::ops::ControlFlow;

use rayon::prelude::*;

use crate::assign::nearest_codes;
use crate::rows::{Residuals, Table, distance, square_f64};
use crate::sums::{Move, NOWHERE, Sums};

/// Limits of one k-means run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) max_iterations: usize,
    /// In units of the mean variance of the columns.
    pub(crate) tolerance: f64,
}

/// What one k-means run found.
#[derive(Debug, Clone)]
pub(crate) struct Clustering {
    pub(crate) table: Table,
    pub(crate) codes: Vec<u32>,
    pub(crate) inertia: f64,
    pub(crate) iterations: usize,
}

/// Lloyd's iterations from given centroids, in the order and with the stopping rule of
/// scikit-learn: an iteration assigns, then moves; it is the last if no row changed its code, or
/// if `Σ_k ‖Δc_k‖² <= tolerance * mean_d var_d`. Codes are those of the final centroids.
///
/// A cluster that lost all its rows takes over the row farthest from its centroid, as long as one
/// is off its centroid; with fewer distinct rows than codes, codes stay unused.
///
/// `observe` receives iteration and inertia and may stop the run, which then returns `None`.
pub(crate) fn lloyd(
    rows: &Residuals<'_>,
    mut table: Table,
    limits: Limits,
    mut observe: impl FnMut(usize, f64) -> ControlFlow<()>,
) -> Option<Clustering> {
    let (energy, variance) = energy_and_variance(rows);
    let tolerance = limits.tolerance * variance / rows.width() as f64;
    let mut sums = Sums::new(table.len(), rows.width());
    let mut codes = vec![NOWHERE; rows.num_rows()];
    let mut iterations = 0;
    while iterations < limits.max_iterations {
        iterations += 1;
        let moved = reassign(rows, &table, &mut codes, &mut sums);
        if observe(iterations, sums.inertia(energy, &table)).is_break() {
            return None;
        }
        if !moved {
            break;
        }
        fill_empty(rows, &table, &mut codes, &mut sums);
        let means = sums.means(&table);
        let shift: f64 = shift(&means, &table);
        table = means;
        if shift <= tolerance {
            break;
        }
    }
    reassign(rows, &table, &mut codes, &mut sums);
    let inertia = sums.inertia(energy, &table);
    Some(Clustering { table, codes, inertia, iterations })
}

fn shift(a: &Table, b: &Table) -> f64 {
    a.values.chunks(a.width).zip(b.values.chunks(b.width)).map(|(a, b)| distance(a, b)).sum()
}

/// Moves every row to its nearest centroid; whether any moved.
fn reassign(rows: &Residuals<'_>, table: &Table, codes: &mut Vec<u32>, sums: &mut Sums) -> bool {
    let new = nearest_codes(rows, table);
    let moves: Vec<Move> = new
        .iter()
        .zip(codes.iter())
        .enumerate()
        .filter(|(_, (to, from))| to != from)
        .map(|(row, (to, from))| Move { row, from: *from, to: *to })
        .collect();
    sums.apply(rows, &moves);
    *codes = new;
    !moves.is_empty()
}

/// Gives each empty cluster the row that is farthest from its centroid.
fn fill_empty(rows: &Residuals<'_>, table: &Table, codes: &mut [u32], sums: &mut Sums) {
    let empty: Vec<u32> =
        (0..).zip(sums.counts()).filter(|(_, count)| **count == 0).map(|(code, _)| code).collect();
    if empty.is_empty() {
        return;
    }
    let mut distances: Vec<(f64, usize)> = (0..rows.num_blocks())
        .into_par_iter()
        .map_init(Vec::new, |buffer, block| {
            let range = rows.block_range(block);
            let values = rows.block(range.clone(), buffer);
            range
                .zip(values.chunks_exact(rows.width()))
                .map(|(row, value)| {
                    let start = codes[row] as usize * table.width;
                    (distance(value, &table.values[start..start + table.width]), row)
                })
                .collect::<Vec<_>>()
        })
        .flatten()
        .filter(|(distance, _)| *distance > 0.0)
        .collect();
    distances.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut empty = empty.into_iter();
    for (_, row) in distances {
        if sums.counts()[codes[row] as usize] < 2 {
            continue;
        }
        let Some(to) = empty.next() else { return };
        sums.apply(rows, &[Move { row, from: codes[row], to }]);
        codes[row] = to;
    }
}

/// `Σ ‖x‖²` and `Σ ‖x - mean‖² / N`, the sum of the columns' variances.
fn energy_and_variance(rows: &Residuals<'_>) -> (f64, f64) {
    let (count, width) = (rows.num_rows(), rows.width());
    let blocks: Vec<(f64, Vec<f64>)> = (0..rows.num_blocks())
        .into_par_iter()
        .map_init(Vec::new, |buffer, block| {
            let values = rows.block(rows.block_range(block), buffer);
            let mut sums = vec![0.0; width];
            for row in values.chunks_exact(width) {
                sums.iter_mut().zip(row).for_each(|(sum, v)| *sum += f64::from(*v));
            }
            (values.chunks_exact(width).map(square_f64).sum(), sums)
        })
        .collect();
    let mut energy = 0.0;
    let mut total = vec![0.0; width];
    for (part, sums) in blocks {
        energy += part;
        total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
    }
    let mean_energy: f64 = total.iter().map(|sum| (sum / count as f64).powi(2)).sum();
    (energy, (energy / count as f64 - mean_energy).max(0.0))
}
