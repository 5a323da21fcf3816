//! Assignments under capacities against an exact solver, and against the conditions of optimality.

use std::collections::BTreeMap;

use ndarray::Array2;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::rows::distance;

fn residuals(matrix: &Array2<f32>) -> Residuals<'_> {
    Residuals { matrix: matrix.view(), before: &[] }
}

fn assign(matrix: &Array2<f32>, table: &Table) -> Vec<usize> {
    let rows = residuals(matrix);
    let codes = Balancer::new(Balance::PerLevel, &rows, table.len()).unwrap().exact(&rows, table);
    codes.into_iter().map(|code| code as usize).collect()
}

fn cost(matrix: &Array2<f32>, table: &Table, row: usize, code: usize) -> f64 {
    distance(matrix.row(row).as_slice().unwrap(), table.centroid(u16::try_from(code).unwrap()))
}

/// Least total cost over all assignments with sizes of `⌊N / K⌋` or `⌈N / K⌉`, by dynamic
/// programming over the sizes so far.
fn least_cost(matrix: &Array2<f32>, table: &Table) -> f64 {
    let (rows, codes) = (matrix.nrows(), table.len());
    let mut states = BTreeMap::from([(vec![0usize; codes], 0.0f64)]);
    for row in 0..rows {
        let mut next: BTreeMap<Vec<usize>, f64> = BTreeMap::new();
        for (sizes, so_far) in states {
            for code in 0..codes {
                let mut sizes = sizes.clone();
                sizes[code] += 1;
                if sizes[code] <= rows.div_ceil(codes) {
                    let total = so_far + cost(matrix, table, row, code);
                    let least = next.entry(sizes).or_insert(f64::INFINITY);
                    *least = least.min(total);
                }
            }
        }
        states = next;
    }
    let exact = |sizes: &[usize]| sizes.iter().all(|size| *size >= rows / codes);
    states.iter().filter(|(sizes, _)| exact(sizes)).map(|(_, c)| *c).fold(f64::INFINITY, f64::min)
}

fn assert_exact(codes: &[usize], of: usize) {
    let mut sizes = vec![0; of];
    for code in codes {
        sizes[*code] += 1;
    }
    let range = codes.len() / of..=codes.len().div_ceil(of);
    assert!(sizes.iter().all(|size| range.contains(size)), "{sizes:?}");
}

/// The most that a cycle of moves, which keeps all sizes legal, would save: 0 for an optimum.
fn best_cycle(matrix: &Array2<f32>, table: &Table, codes: &[usize]) -> f64 {
    let of = table.len();
    let floor = codes.len() / of;
    let mut sizes = vec![0; of];
    for code in codes {
        sizes[*code] += 1;
    }
    // Index `of` passes on the right to hold one row more than the floor.
    let mut edges = vec![vec![f64::INFINITY; of + 1]; of + 1];
    for (row, from) in codes.iter().enumerate() {
        let here = cost(matrix, table, row, *from);
        for (to, edge) in edges[*from].iter_mut().enumerate().take(of) {
            *edge = edge.min(cost(matrix, table, row, to) - here);
        }
    }
    if !codes.len().is_multiple_of(of) {
        for (code, size) in sizes.into_iter().enumerate() {
            let held = if size == floor { (code, of) } else { (of, code) };
            edges[held.0][held.1] = 0.0;
        }
    }
    let mut shortest = edges;
    for via in 0..=of {
        for from in 0..=of {
            for to in 0..=of {
                let through = shortest[from][via] + shortest[via][to];
                shortest[from][to] = shortest[from][to].min(through);
            }
        }
    }
    -(0..=of).map(|node| shortest[node][node]).fold(0.0, f64::min)
}

/// Few distinct values, so that ties are common, and rows and centroids that coincide.
fn small() -> impl Strategy<Value = (Array2<f32>, Table)> {
    (1usize..11, 1usize..5, 1usize..4).prop_flat_map(|(n, k, d)| {
        (vec(-4i8..=4, n * d), vec(-4i8..=4, k * d)).prop_map(move |(rows, centroids)| {
            let float = |values: Vec<i8>| -> Vec<f32> {
                values.into_iter().map(|v| f32::from(v) * 0.5).collect()
            };
            (Array2::from_shape_vec((n, d), float(rows)).unwrap(), Table::new(float(centroids), d))
        })
    })
}

proptest! {
    #[test]
    fn no_assignment_with_the_same_sizes_costs_less((matrix, table) in small()) {
        let codes = assign(&matrix, &table);
        assert_exact(&codes, table.len());
        let found: f64 =
            codes.iter().enumerate().map(|(row, code)| cost(&matrix, &table, row, *code)).sum();
        let least = least_cost(&matrix, &table);
        prop_assert!((found - least).abs() < 1e-4, "{found} instead of {least}");
    }
}

/// Skewed groups of rows, and centroids that follow other groups.
fn skewed(rows: usize, codes: usize, width: usize) -> (Array2<f32>, Table) {
    let value = |i: usize, d: usize, groups: f64| {
        let group = ((i * 7919 % 1000) as f64 / 1000.0).powi(3) * groups;
        (1.7 * group.floor() + 0.9 * d as f64).sin() + 0.4 * (0.37 * (i * (d + 3)) as f64).sin()
    };
    #[allow(clippy::cast_possible_truncation, reason = "the rows are f32")]
    let matrix = Array2::from_shape_fn((rows, width), |(i, d)| value(i, d, 12.0) as f32);
    #[allow(clippy::cast_possible_truncation, reason = "the centroids are f32")]
    let centroids =
        (0..codes * width).map(|i| value(i / width + 5, i % width, 30.0) as f32).collect();
    (matrix, Table::new(centroids, width))
}

#[test]
fn many_rows_leave_no_cycle_that_saves() {
    // Lists hold all codes in the first two cases and 32 of 40 in the last.
    for (rows, codes) in [(1000, 32), (1003, 17), (9001, 40)] {
        let (matrix, table) = skewed(rows, codes, 6);
        let assigned = assign(&matrix, &table);
        assert_exact(&assigned, codes);
        // Scores are f32 sums of squares up to 10; a cycle adds up to 40 of their roundings.
        let saved = best_cycle(&matrix, &table, &assigned);
        assert!(saved < 1e-4, "{rows} rows, {codes} codes: a cycle saves {saved}");
    }
}

#[test]
fn groups_too_large_for_a_proof_come_near_the_bound_of_their_prices() {
    let (matrix, table) = skewed(140_003, 40, 4);
    let rows = residuals(&matrix);
    let mut balancer = Balancer::new(Balance::PerLevel, &rows, table.len()).unwrap();
    let codes: Vec<usize> =
        balancer.exact(&rows, &table).into_iter().map(|code| code as usize).collect();
    assert_exact(&codes, table.len());
    // Weak duality: whatever the prices, no assignment with these sizes costs less.
    let prices = &balancer.groups[0].prices.as_ref().unwrap().now;
    let (mut found, mut bound) = (0.0, 0.0);
    for (row, code) in codes.iter().enumerate() {
        let with_price = (0..table.len()).map(|k| cost(&matrix, &table, row, k) + prices[k]);
        found += cost(&matrix, &table, row, *code);
        bound += with_price.fold(f64::INFINITY, f64::min) - prices[*code];
    }
    assert!(found >= bound - 1e-3 && found <= 1.001 * bound, "{found} above {bound}");
}

#[test]
fn duplicates_beyond_capacity_fill_their_codes_and_spill() {
    // 9,000 equal rows on centroid 0, capacity 251: lists of 32 cannot reach all 40 codes.
    let (mut matrix, table) = skewed(10_040, 40, 4);
    for row in 0..9000 {
        matrix.row_mut(row).assign(&ndarray::ArrayView1::from(table.centroid(0)));
    }
    let codes = assign(&matrix, &table);
    assert_exact(&codes, 40);
    let own = codes[..9000].iter().filter(|code| **code == 0).count();
    assert_eq!(own, 251, "the nearest code holds as many of them as it may");
}

#[test]
fn equal_rows_and_equal_centroids_are_dealt_out() {
    let matrix = Array2::from_elem((10_007, 3), 0.7f32);
    let table = Table::new(vec![0.7; 41 * 3], 3);
    assert_exact(&assign(&matrix, &table), 41);
}
