//! Whether items that are near in embedding space share codes.

use ndarray::ArrayView2;
use rayon::prelude::*;
use sidereal_sid::Code;

use crate::product::scaled_dots;
use crate::rows::{BLOCK, Residuals, square};

/// Share of the nearest neighbours of each query that have its codes up to each level, mean over
/// queries, `[L]`; `None` for a single row.
pub(crate) fn agreement(
    rows: ArrayView2<'_, f32>,
    codes: ArrayView2<'_, Code>,
    neighbours: usize,
    queries: usize,
) -> Vec<Option<f64>> {
    let (num_rows, levels) = codes.dim();
    let neighbours = neighbours.min(num_rows.saturating_sub(1));
    let queries = queries.min(num_rows);
    if neighbours == 0 {
        return vec![None; levels];
    }
    let queries: Vec<usize> = (0..queries).map(|query| query * num_rows / queries).collect();
    let residuals = Residuals { matrix: rows, before: &[] };
    let shared: Vec<Vec<usize>> = queries
        .par_chunks(BLOCK / 4)
        .map(|queries| {
            let mut shared = vec![0; levels];
            for (query, near) in queries.iter().zip(nearest(&residuals, queries, neighbours)) {
                for (_, row) in near {
                    let (own, other) = (codes.row(*query), codes.row(row));
                    let same = own.iter().zip(&other).take_while(|(a, b)| a == b).count();
                    shared[..same].iter_mut().for_each(|count| *count += 1);
                }
            }
            shared
        })
        .collect();
    let pairs = (queries.len() * neighbours) as f64;
    let total = |level: usize| shared.iter().map(|shared| shared[level]).sum::<usize>() as f64;
    (0..levels).map(|level| Some(total(level) / pairs)).collect()
}

/// The rows nearest to each query, itself excluded, nearest first, ties to the lower row.
fn nearest(residuals: &Residuals<'_>, queries: &[usize], count: usize) -> Vec<Vec<(f32, usize)>> {
    let width = residuals.width();
    let (mut wanted, mut buffer, mut scores) = (Vec::new(), Vec::new(), Vec::new());
    residuals.gather(queries, &mut wanted);
    let mut near: Vec<Vec<(f32, usize)>> = vec![Vec::with_capacity(count + 1); queries.len()];
    for block in 0..residuals.num_blocks() {
        let range = residuals.block_range(block);
        let rows = residuals.block(range.clone(), &mut buffer);
        scores.resize(range.len() * queries.len(), 0.0);
        scaled_dots(-2.0, rows, &wanted, width, &mut scores);
        let norms = rows.chunks_exact(width).map(square);
        for ((row, norm), scores) in range.zip(norms).zip(scores.chunks_exact(queries.len())) {
            for ((near, query), score) in near.iter_mut().zip(queries).zip(scores) {
                let entry = (score + norm, row);
                let full = near.len() == count;
                if row == *query || (full && near.last().is_some_and(|last| last.0 <= entry.0)) {
                    continue;
                }
                near.truncate(count - usize::from(full));
                near.insert(near.partition_point(|other| other.0 <= entry.0), entry);
            }
        }
    }
    near
}

/// Share of all pairs of distinct items that have the same codes up to each level, `[L]`.
pub(crate) fn chance_agreement(codes: ArrayView2<'_, Code>) -> Vec<Option<f64>> {
    let (num_rows, levels) = codes.dim();
    let mut order: Vec<usize> = (0..num_rows).collect();
    order.sort_by(|a, b| codes.row(*a).iter().cmp(codes.row(*b).iter()));
    let pairs = num_rows as f64 * (num_rows as f64 - 1.0);
    (1..=levels)
        .map(|depth| {
            let same = |a: &usize, b: &usize| {
                codes.row(*a).iter().take(depth).eq(codes.row(*b).iter().take(depth))
            };
            let groups = order.chunk_by(same).map(|group| group.len() as f64);
            (pairs > 0.0).then(|| groups.map(|size| size * (size - 1.0)).sum::<f64>() / pairs)
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "values that are exact in binary")]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    #[test]
    fn hand_counted_neighbours() {
        // Nearest two of 0: 1, 2; of 1: 0, 2; of 2: 1, 0; of 10: 2, 1.
        let rows = array![[0.0], [1.0], [2.0], [10.0]];
        let codes = array![[0, 0], [0, 1], [1, 1], [1, 1]];
        // First code: (1 of 2) + (1 of 2) + (0 of 2) + (1 of 2); both codes: only 10 and 2.
        let shares = agreement(rows.view(), codes.view(), 2, 4);
        assert_eq!(shares, [Some(3.0 / 8.0), Some(1.0 / 8.0)]);
        // Ordered pairs of 12: two in each half; and the last two once more.
        assert_eq!(chance_agreement(codes.view()), [Some(4.0 / 12.0), Some(2.0 / 12.0)]);
    }

    #[test]
    fn blocks_equal_a_plain_search() {
        let rows =
            Array2::from_shape_fn((1300, 5), |(i, d)| ((i * (2 * d + 3)) as f32 * 0.7).sin());
        let queries = [3, 700, 1299];
        let found = nearest(&Residuals { matrix: rows.view(), before: &[] }, &queries, 6);
        for (query, found) in queries.iter().zip(found) {
            let mut plain: Vec<(f64, usize)> = (0..1300)
                .filter(|row| row != query)
                .map(|row| {
                    let (a, b) = (rows.row(row).mapv(f64::from), rows.row(*query).mapv(f64::from));
                    ((a - b).mapv(|v| v * v).sum(), row)
                })
                .collect();
            plain.sort_by(|a, b| a.0.total_cmp(&b.0));
            let rows_of = |near: &[(f64, usize)]| near.iter().map(|n| n.1).collect::<Vec<_>>();
            assert_eq!(found.iter().map(|n| n.1).collect::<Vec<_>>(), rows_of(&plain[..6]));
        }
    }

    #[test]
    fn a_single_row_has_no_neighbours() {
        let (rows, codes) = (array![[1.0]], array![[0]]);
        assert_eq!(agreement(rows.view(), codes.view(), 3, 5), [None]);
        assert_eq!(chance_agreement(codes.view()), [None]);
    }
}
