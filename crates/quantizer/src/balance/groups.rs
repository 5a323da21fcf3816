//! The sets of rows within which codes are used evenly.

use std::cmp::Ordering;
use std::ops::Range;

use rayon::prelude::*;

use super::held::{Held, SCORES, stream};
use super::prices::{self, as_f32, spread};
use crate::rows::{BLOCK, Residuals, Table};

/// Largest number of passes over the held scores while centroids move.
const PASSES: usize = 16;

/// Rows that share capacities.
#[derive(Debug)]
pub(super) struct Group {
    /// The places of its rows in the order of all rows.
    pub(super) rows: Range<usize>,
    /// `None` for a group of fewer rows than codes, which does not need them.
    pub(super) prices: Option<Prices>,
}

/// The prices of the codes for the rows of a group.
#[derive(Debug)]
pub(super) struct Prices {
    /// Price of each code, for costs `‖c‖² - 2 x·c`, `[K]`.
    pub(super) now: Vec<f64>,
    /// Mean row of the group.
    mean: Vec<f32>,
    /// Mean cost of each code, which `now` compensates, `[K]`.
    offset: Vec<f64>,
    /// Mean gap between the cheapest and the second code of a row, once known.
    gap: Option<f64>,
}

impl Group {
    fn new(rows: Range<usize>, codes: usize) -> Self {
        let prices = (rows.len() >= codes).then(|| Prices {
            now: vec![0.0; codes],
            mean: Vec::new(),
            offset: vec![0.0; codes],
            gap: None,
        });
        Self { rows, prices }
    }
}

impl Prices {
    /// Follows centroids that moved: the price of a code keeps its distance from the mean cost of
    /// that code, so that a centroid far from all rows stays as attractive as it was.
    pub(super) fn follow(&mut self, table: &Table) {
        let centroids = table.values.chunks_exact(table.width).zip(&table.norms);
        let prices = self.now.iter_mut().zip(&mut self.offset);
        for ((price, offset), (centroid, norm)) in prices.zip(centroids) {
            let dot: f64 =
                centroid.iter().zip(&self.mean).map(|(c, m)| f64::from(*c) * f64::from(*m)).sum();
            let cost = f64::from(*norm) - 2.0 * dot;
            *price += *offset - cost;
            *offset = cost;
        }
    }

    /// The cheapest code of each row of the group, at prices that spread them nearly evenly.
    ///
    /// Prices are found on scores that fit into memory: those of all rows, or of evenly chosen rows
    /// of a larger group. It is enough if at most one row in a hundred is above capacity, because
    /// the next iteration changes the means by more than that.
    pub(super) fn choose(
        &mut self,
        held: &mut Held,
        rows: &Residuals<'_>,
        order: &[usize],
        table: &Table,
        chosen: &mut [u32],
    ) {
        let most = (SCORES / table.len()).max(1);
        let part: Vec<usize>;
        let seen = if order.len() <= most {
            order
        } else {
            part = (0..most).map(|i| order[i * order.len() / most]).collect();
            &part
        };
        held.fill(rows, seen, table);
        let tally = |prices: &[f32], band| held.tally(prices, band);
        let limits =
            prices::Limits { reach: f64::INFINITY, enough: seen.len() / 100, passes: PASSES };
        self.gap = Some(spread(tally, seen.len(), &mut self.now, self.gap, limits).gap);
        if seen.len() == order.len() {
            held.cheapest(&as_f32(&self.now), chosen);
        } else {
            stream(rows, order, table, &as_f32(&self.now), chosen);
        }
    }
}

/// One group of all rows.
pub(super) fn whole(rows: &Residuals<'_>, codes: usize) -> (Vec<usize>, Vec<Group>) {
    let count = rows.num_rows();
    with_means(rows, (0..count).collect(), vec![Group::new(0..count, codes)])
}

/// A group for each prefix of the levels before.
pub(super) fn by_prefix(rows: &Residuals<'_>, codes: usize) -> (Vec<usize>, Vec<Group>) {
    let prefix = |a: usize, b: usize| -> Ordering {
        rows.before
            .iter()
            .map(|(_, codes)| codes[a].cmp(&codes[b]))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    };
    let mut order: Vec<usize> = (0..rows.num_rows()).collect();
    order.par_sort_unstable_by(|a, b| prefix(*a, *b).then(a.cmp(b)));
    let mut start = 0;
    let groups = order
        .chunk_by(|a, b| prefix(*a, *b).is_eq())
        .map(|group| {
            let range = start..start + group.len();
            start = range.end;
            Group::new(range, codes)
        })
        .collect();
    with_means(rows, order, groups)
}

#[allow(clippy::cast_possible_truncation, reason = "means are used as f32")]
fn with_means(
    rows: &Residuals<'_>,
    order: Vec<usize>,
    mut groups: Vec<Group>,
) -> (Vec<usize>, Vec<Group>) {
    for group in &mut groups {
        let Some(prices) = &mut group.prices else { continue };
        let parts: Vec<Vec<f64>> = order[group.rows.clone()]
            .par_chunks(BLOCK)
            .map_init(Vec::new, |buffer, order| {
                rows.gather(order, buffer);
                let mut sums = vec![0.0; rows.width()];
                for row in buffer.chunks_exact(rows.width()) {
                    sums.iter_mut().zip(row).for_each(|(sum, v)| *sum += f64::from(*v));
                }
                sums
            })
            .collect();
        let mut sums = vec![0.0; rows.width()];
        for part in parts {
            sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        let count = group.rows.len() as f64;
        prices.mean = sums.into_iter().map(|sum| (sum / count) as f32).collect();
    }
    (order, groups)
}
