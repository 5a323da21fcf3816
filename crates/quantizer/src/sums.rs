//! Sums and counts of clusters, kept up to date as rows move.

use rayon::prelude::*;

use crate::rows::{Residuals, Table};

/// Columns that one task sums.
const STRIPE: usize = 64;

/// The cluster of a row that has none yet.
pub(crate) const NOWHERE: u32 = u32::MAX;

/// A row that leaves one cluster for another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Move {
    pub(crate) row: usize,
    pub(crate) from: u32,
    pub(crate) to: u32,
}

/// Sum `[K, D]` in `f64` and count `[K]` of each cluster's rows.
///
/// A task owns a stripe of columns and adds the moved rows in their order, so no sum depends on
/// the number of threads, and nothing is merged.
#[derive(Debug, Clone)]
pub(crate) struct Sums {
    stripes: Vec<Vec<f64>>,
    counts: Vec<usize>,
    width: usize,
}

impl Sums {
    pub(crate) fn new(clusters: usize, width: usize) -> Self {
        let stripes = (0..width.div_ceil(STRIPE))
            .map(|stripe| vec![0.0; clusters * STRIPE.min(width - stripe * STRIPE)])
            .collect();
        Self { stripes, counts: vec![0; clusters], width }
    }

    pub(crate) fn counts(&self) -> &[usize] {
        &self.counts
    }

    pub(crate) fn apply(&mut self, rows: &Residuals<'_>, moves: &[Move]) {
        for one in moves {
            if let Some(count) = self.counts.get_mut(one.from as usize) {
                *count -= 1;
            }
            self.counts[one.to as usize] += 1;
        }
        let width = self.width;
        self.stripes.par_iter_mut().enumerate().for_each(|(index, sums)| {
            let start = index * STRIPE;
            let stripe = STRIPE.min(width - start);
            let mut part = [0.0; STRIPE];
            let part = &mut part[..stripe];
            for one in moves {
                rows.stripe(one.row, start, part);
                if let Some(from) = cluster(sums, one.from, stripe) {
                    from.iter_mut().zip(&*part).for_each(|(sum, v)| *sum -= f64::from(*v));
                }
                if let Some(to) = cluster(sums, one.to, stripe) {
                    to.iter_mut().zip(&*part).for_each(|(sum, v)| *sum += f64::from(*v));
                }
            }
        });
    }

    /// `Σ_k Σ_{i in k} ‖x_i - c_k‖²`, from `Σ ‖x‖²` and the sums, without a pass over the rows.
    pub(crate) fn inertia(&self, energy: f64, table: &Table) -> f64 {
        let mut inertia = energy;
        for (index, sums) in self.stripes.iter().enumerate() {
            let (start, stripe) = (index * STRIPE, STRIPE.min(self.width - index * STRIPE));
            let centroids = table.values.chunks_exact(self.width);
            for ((sum, centroid), count) in
                sums.chunks_exact(stripe).zip(centroids).zip(&self.counts)
            {
                for (sum, c) in sum.iter().zip(&centroid[start..]) {
                    let c = f64::from(*c);
                    inertia += c * (*count as f64 * c - 2.0 * sum);
                }
            }
        }
        inertia.max(0.0)
    }

    /// The mean of each cluster; an empty one keeps its centroid of `old`.
    #[allow(clippy::cast_possible_truncation, reason = "centroids are f32")]
    pub(crate) fn means(&self, old: &Table) -> Table {
        let mut values = old.values.clone();
        for (index, sums) in self.stripes.iter().enumerate() {
            let (start, stripe) = (index * STRIPE, STRIPE.min(self.width - index * STRIPE));
            let centroids = values.chunks_exact_mut(self.width);
            for ((sum, centroid), count) in
                sums.chunks_exact(stripe).zip(centroids).zip(&self.counts)
            {
                if *count > 0 {
                    for (c, sum) in centroid[start..].iter_mut().zip(sum) {
                        *c = (sum / *count as f64) as f32;
                    }
                }
            }
        }
        Table::new(values, self.width)
    }
}

fn cluster(sums: &mut [f64], cluster: u32, stripe: usize) -> Option<&mut [f64]> {
    let start = (cluster as usize).checked_mul(stripe)?;
    sums.get_mut(start..start.checked_add(stripe)?)
}
