//! Lloyd's k-means on one level's residuals.

use std::ops::ControlFlow;

use rayon::prelude::*;

use crate::assign::nearest_codes;
use crate::balance::{Balance, Balancer};
use crate::rows::{Residuals, Table, distance, square_f64};
use crate::sums::{Move, NOWHERE, Sums};

/// Limits of one k-means run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) balance: Balance,
    pub(crate) max_iterations: usize,
    /// In units of the mean variance of the columns; under capacities, of the squared error.
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
/// if `Σ_k ‖Δc_k‖² <= tolerance * mean_d var_d`. Codes are those of the final centroids;
/// under capacities, centroids are the means of the final codes.
///
/// A cluster that lost all its rows takes over the row farthest from its centroid, as long as one
/// is off its centroid; with fewer distinct rows than codes, codes stay unused.
///
/// Under capacities the assignment is the one of least squared error that keeps them; codes of an
/// iteration may miss a capacity by few rows, the final codes never do. Rows then keep changing
/// places, so the run ends by its [`Pace`].
///
/// `observe` receives iteration and inertia and may stop the run, which then returns `None`.
pub(crate) fn lloyd(
    rows: &Residuals<'_>,
    table: Table,
    limits: Limits,
    observe: impl FnMut(usize, f64) -> ControlFlow<()>,
) -> Option<Clustering> {
    let mut balancer = Balancer::new(limits.balance, rows, table.len());
    let assign = |table: &Table, exact: bool| match &mut balancer {
        Some(balancer) if exact => balancer.exact(rows, table),
        Some(balancer) => balancer.near(rows, table),
        None => nearest_codes(rows, table),
    };
    lloyd_with(rows, table, limits, limits.balance != Balance::None, assign, observe)
}

/// [`lloyd`] with another way to assign rows, by centroids and whether the assignment is the final one.
/// `capacities`: whether that way keeps any, so that rows need not have their nearest centroids.
pub(crate) fn lloyd_with(
    rows: &Residuals<'_>,
    mut table: Table,
    limits: Limits,
    capacities: bool,
    mut assign: impl FnMut(&Table, bool) -> Vec<u32>,
    mut observe: impl FnMut(usize, f64) -> ControlFlow<()>,
) -> Option<Clustering> {
    let (energy, variance) = energy_and_variance(rows);
    let tolerance = limits.tolerance * variance / rows.width() as f64;
    let mut sums = Sums::new(table.len(), rows.width());
    let mut codes = vec![NOWHERE; rows.num_rows()];
    let mut pace = Pace { least: f64::INFINITY, waited: 0, tolerance: limits.tolerance };
    let mut iterations = 0;
    let mut settled = false;
    while iterations < limits.max_iterations {
        iterations += 1;
        let moved = reassign(rows, assign(&table, false), &mut codes, &mut sums);
        let inertia = sums.inertia(energy, &table);
        if observe(iterations, inertia).is_break() {
            return None;
        }
        let stale = pace.is_stale(inertia);
        if !moved {
            settled = !capacities;
            break;
        }
        fill_empty(rows, &table, &mut codes, &mut sums);
        let means = sums.means(&table);
        let shift: f64 = shift(&means, &table);
        table = means;
        if if capacities { stale } else { shift <= tolerance } {
            break;
        }
    }
    if !settled {
        reassign(rows, assign(&table, true), &mut codes, &mut sums);
        if capacities {
            // Where rows must go to codes they are far from, only means keep the error from growing.
            table = sums.means(&table);
        }
    }
    let inertia = sums.inertia(energy, &table);
    Some(Clustering { table, codes, inertia, iterations })
}

/// The codes of rows that the centroids were not fitted to.
pub(crate) fn settle(
    rows: &Residuals<'_>,
    mut table: Table,
    balance: Balance,
    iterations: usize,
) -> Clustering {
    let (energy, _) = energy_and_variance(rows);
    let mut sums = Sums::new(table.len(), rows.width());
    let mut codes = vec![NOWHERE; rows.num_rows()];
    match Balancer::new(balance, rows, table.len()) {
        Some(mut balancer) => {
            reassign(rows, balancer.exact(rows, &table), &mut codes, &mut sums);
            table = sums.means(&table);
        }
        None => {
            reassign(rows, nearest_codes(rows, &table), &mut codes, &mut sums);
        }
    }
    let inertia = sums.inertia(energy, &table);
    Clustering { table, codes, inertia, iterations }
}

/// Whether the squared error still falls.
struct Pace {
    least: f64,
    /// Iterations since it fell by more than `tolerance`, as a share of it.
    waited: usize,
    tolerance: f64,
}

impl Pace {
    fn is_stale(&mut self, inertia: f64) -> bool {
        if inertia < self.least * (1.0 - self.tolerance) {
            self.waited = 0;
        } else {
            self.waited += 1;
        }
        self.least = self.least.min(inertia);
        self.waited >= 3
    }
}

fn shift(a: &Table, b: &Table) -> f64 {
    a.values.chunks(a.width).zip(b.values.chunks(b.width)).map(|(a, b)| distance(a, b)).sum()
}

/// Moves every row to its new code; whether any moved.
fn reassign(rows: &Residuals<'_>, new: Vec<u32>, codes: &mut Vec<u32>, sums: &mut Sums) -> bool {
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
