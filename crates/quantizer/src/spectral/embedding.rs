//! The leading eigenvectors of a normalised graph.

use linfa_linalg::LinalgError;
use linfa_linalg::eigh::EighInto;
use ndarray::{Array2, Axis, s};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::graph::Normalised;

/// Largest number of nodes whose eigenvectors are found directly.
const DIRECT: usize = 128;
/// Directions beyond those that are wanted.
const MORE: usize = 12;
/// Degree of the polynomial of a filter.
const DEGREE: usize = 10;
/// Most filters.
const FILTERS: usize = 80;
/// Largest length of `M x − λ x` of an eigenvector of length one.
const RESIDUAL: f64 = 1e-8;
/// A direction whose length falls below this share of what it was depends on the others.
const DEPENDENT: f64 = 1e-10;

/// The place of each node, `[n, dimensions]`: eigenvectors of the largest eigenvalues, divided by the
/// square roots of the degrees (zero for a node without edges). There are fewer dimensions if there are
/// fewer nodes.
pub(super) fn places(
    matrix: &Normalised<'_>,
    dimensions: usize,
    rng: &mut ChaCha8Rng,
) -> Result<Array2<f64>, LinalgError> {
    let nodes = matrix.num_nodes();
    let wanted = dimensions.min(nodes);
    let vectors =
        if nodes <= DIRECT { directly(matrix, wanted)? } else { filtered(matrix, wanted, rng)? };
    Ok((vectors * &matrix.scale).reversed_axes())
}

/// Eigenvectors `[wanted, n]` as rows, by the decomposition of the whole matrix.
fn directly(matrix: &Normalised<'_>, wanted: usize) -> Result<Array2<f64>, LinalgError> {
    let dense = matrix.times(&Array2::eye(matrix.num_nodes()));
    let (_, vectors) = eigen(&dense)?;
    Ok(vectors.slice(s![..wanted, ..]).to_owned())
}

/// The same by Chebyshev-filtered subspace iteration (Zhou, Saad, Tiago and Chelikowsky, Phys. Rev. E 74
/// (2006) 066704): a polynomial that is small on `[−1, b]` and grows fast above `b`, the smallest of the
/// values found so far, turns the directions towards the eigenvectors of the largest eigenvalues.
fn filtered(
    matrix: &Normalised<'_>,
    wanted: usize,
    rng: &mut ChaCha8Rng,
) -> Result<Array2<f64>, LinalgError> {
    let nodes = matrix.num_nodes();
    let width = (wanted + wanted / 2 + MORE).min(nodes);
    let mut basis = Array2::from_shape_simple_fn((width, nodes), || rng.gen_range(-1.0..1.0));
    orthonormalise(&mut basis, rng);
    for _ in 0..FILTERS {
        let image = matrix.times(&basis); // [W, n]
        let (values, rotation) = eigen(&basis.dot(&image.t()))?;
        let image = rotation.dot(&image);
        basis = rotation.dot(&basis);
        let wrong = (0..wanted).map(|k| {
            let off = &image.row(k) - &(&basis.row(k) * values[k]);
            off.dot(&off).sqrt()
        });
        if wrong.fold(0.0, f64::max) <= RESIDUAL {
            break;
        }
        // Never so small that the polynomial leaves the range in which directions stay apart.
        let bound = values.last().copied().unwrap_or(0.0).clamp(0.0, 0.999);
        let (centre, half) = ((bound - 1.0) / 2.0, f64::midpoint(bound, 1.0));
        let mut before = basis;
        let mut now = (image - &before * centre) / half;
        for _ in 1..DEGREE {
            let next = (matrix.times(&now) - &now * centre) * (2.0 / half) - before;
            (before, now) = (now, next);
        }
        basis = now;
        orthonormalise(&mut basis, rng);
    }
    Ok(basis.slice(s![..wanted, ..]).to_owned())
}

/// Eigenvalues of a symmetric matrix, largest first, and eigenvectors as rows.
fn eigen(matrix: &Array2<f64>) -> Result<(Vec<f64>, Array2<f64>), LinalgError> {
    let even = (matrix + &matrix.t()) / 2.0;
    let (_, vectors) = even.clone().eigh_into()?;
    // The values that linfa-linalg returns may be exchanged, but not the vectors: hence vᵀMv.
    let values = (&vectors * &even.dot(&vectors)).sum_axis(Axis(0));
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*b].total_cmp(&values[*a]));
    let vectors = vectors.select(Axis(1), &order).reversed_axes();
    Ok((order.iter().map(|k| values[*k]).collect(), vectors))
}

/// Makes the rows orthogonal and of length one; a row that depends on those before it becomes a random
/// one. There must not be more rows than columns.
fn orthonormalise(rows: &mut Array2<f64>, rng: &mut ChaCha8Rng) {
    for k in 0..rows.nrows() {
        loop {
            let (done, mut rest) = rows.view_mut().split_at(Axis(0), k);
            let mut row = rest.row_mut(0);
            let length = row.dot(&row).sqrt();
            // Twice, because once leaves errors if the row nearly depends on the others.
            for _ in 0..2 {
                for other in done.rows() {
                    let along = other.dot(&row);
                    row.scaled_add(-along, &other);
                }
            }
            let left = row.dot(&row).sqrt();
            if left > DEPENDENT * length {
                row /= left;
                break;
            }
            row.mapv_inplace(|_| rng.gen_range(-1.0..1.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use sidereal_sid::ItemId;

    use super::*;
    use crate::spectral::graph::Graph;

    /// Nodes on a ring of groups, with chance edges.
    fn graph(nodes: u32, rng: &mut ChaCha8Rng) -> Graph {
        let sequences: Vec<Vec<ItemId>> = (0..nodes * 3)
            .map(|_| {
                let first = rng.gen_range(0..nodes);
                let near = (first + rng.gen_range(1..12)) % nodes;
                vec![ItemId(first), ItemId(near)]
            })
            .collect();
        Graph::of_sequences(nodes as usize, &sequences).unwrap()
    }

    #[test]
    fn filters_find_the_space_that_the_whole_decomposition_finds() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for (nodes, regulariser) in [(150, 0.0), (200, 0.3)] {
            let graph = graph(nodes, &mut rng);
            let matrix = Normalised::new(&graph, regulariser);
            let exact = directly(&matrix, 5).unwrap();
            let found = filtered(&matrix, 5, &mut rng).unwrap();
            // The lengths of the projections of one space's directions on the other.
            let along = found.dot(&exact.t());
            let gap = along.dot(&along.t()) - Array2::<f64>::eye(5);
            assert!(gap.iter().all(|value| value.abs() < 1e-8), "{gap}");
        }
    }

    #[test]
    fn rows_that_depend_on_each_other_are_replaced() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let mut rows = Array2::from_shape_fn((4, 9), |(i, j)| ((i / 2 + 1) * (j % 3)) as f64);
        orthonormalise(&mut rows, &mut rng);
        let gap = rows.dot(&rows.t()) - Array2::<f64>::eye(4);
        assert!(gap.iter().all(|value| value.abs() < 1e-12), "{gap}");
    }
}
