//! Truncated SVD of a sparse symmetric matrix by randomised subspace iteration.

use linfa_linalg::LinalgError;
use linfa_linalg::eigh::EighInto;
use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::sparse::SparseRows;

/// Rows that one thread multiplies at once. Fixed, so that sums do not depend on the threads.
const BLOCK: usize = 2048;

/// Directions whose squared length is below this share of the longest's are rounding errors.
const NEGLIGIBLE: f64 = 1e-13;

/// Rows shorter than this share of the longest are rounding errors, and become zero.
const NEGLIGIBLE_ROW: f64 = 1e-6;

/// How many directions are wanted, and how much work is done to find them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// Seed of the random start.
    pub(crate) seed: u64,
    /// Directions that are wanted.
    pub(crate) dimensions: usize,
    /// Random directions beyond them.
    pub(crate) oversampling: usize,
    /// Products with the matrix that improve the random directions.
    pub(crate) power_iterations: usize,
}

/// Leading singular values and left singular vectors.
pub(crate) struct Svd {
    /// Orthonormal columns `[N, r]`.
    pub(crate) directions: Array2<f64>,
    /// Singular values `[r]`, largest first, all above zero.
    pub(crate) values: Vec<f64>,
}

/// Vectors `U sqrt(Σ)` of unit length, `[N, dimensions]`, and the singular values, of a matrix over items.
pub(crate) fn unit_vectors(
    matrix: &SparseRows,
    effort: Effort,
) -> Result<(Array2<f32>, Vec<f64>), LinalgError> {
    let svd = truncated(matrix, effort)?;
    Ok((svd.unit_rows(effort.dimensions), svd.values))
}

impl Svd {
    /// `U sqrt(Σ)`, its rows divided by their L2 norms: `[N, dimensions]`. Negligible rows, and columns
    /// beyond the rank, are zero.
    pub(crate) fn unit_rows(&self, dimensions: usize) -> Array2<f32> {
        let roots = Array1::from_iter(self.values.iter().map(|value| value.sqrt()));
        let rows = &self.directions * &roots; // [N, r]
        let norms: Vec<f64> = rows.rows().into_iter().map(|row| row.dot(&row).sqrt()).collect();
        let least = NEGLIGIBLE_ROW * norms.iter().copied().fold(0.0, f64::max);
        let mut vectors = Array2::zeros((rows.nrows(), dimensions));
        for ((mut to, from), norm) in vectors.rows_mut().into_iter().zip(rows.rows()).zip(norms) {
            if norm > least {
                to.iter_mut().zip(from).for_each(|(to, from)| *to = narrow(from / norm));
            }
        }
        vectors
    }
}

#[allow(clippy::cast_possible_truncation, reason = "components of vectors are kept as f32")]
pub(crate) fn narrow(value: f64) -> f32 {
    value as f32
}

/// The `dimensions` leading singular values of `matrix`, or as many as its rank.
pub(crate) fn truncated(matrix: &SparseRows, config: Effort) -> Result<Svd, LinalgError> {
    let num_items = matrix.num_rows();
    let width = config.dimensions.saturating_add(config.oversampling).min(num_items);
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
    let start = Array2::from_shape_simple_fn((num_items, width), || rng.gen_range(-1.0..1.0));

    let mut basis = orthonormal(matrix.dot(start.view()))?; // [N, W]
    for _ in 0..config.power_iterations {
        basis = orthonormal(matrix.dot(basis.view()))?;
    }
    let image = matrix.dot(basis.view()); // [N, W]
    let (values, rotation) = eigen(transposed_product(basis.view(), image.view()))?;
    // A symmetric matrix' singular values are its eigenvalues' absolute values.
    let largest = values.first().map_or(0.0, |value| value.abs());
    let kept = values
        .iter()
        .take(config.dimensions)
        .take_while(|value| value.abs() > NEGLIGIBLE.sqrt() * largest)
        .count();
    Ok(Svd {
        directions: product(basis.view(), rotation.slice(ndarray::s![.., ..kept])),
        values: values[..kept].iter().map(|value| value.abs()).collect(),
    })
}

/// Orthonormal columns that span those of `columns`; fewer where these depend on each other.
///
/// `Y V Λ^(-1/2)` with `YᵀY = V Λ Vᵀ`, twice, as once leaves errors of the order of `Y`'s squared
/// condition (Stathopoulos & Wu, SIAM J. Sci. Comput. 23 (2002) 2165).
fn orthonormal(mut columns: Array2<f64>) -> Result<Array2<f64>, LinalgError> {
    for _ in 0..2 {
        let (values, mut rotation) = eigen(transposed_product(columns.view(), columns.view()))?;
        let largest = values.first().copied().unwrap_or(0.0);
        let kept = values.iter().take_while(|value| **value > NEGLIGIBLE * largest).count();
        for (mut column, value) in rotation.columns_mut().into_iter().zip(&values[..kept]) {
            column.mapv_inplace(|x| x / value.sqrt());
        }
        columns = product(columns.view(), rotation.slice(ndarray::s![.., ..kept]));
    }
    Ok(columns)
}

/// Eigenvalues of a symmetric matrix, largest absolute value first, and eigenvectors as columns.
pub(crate) fn eigen(matrix: Array2<f64>) -> Result<(Vec<f64>, Array2<f64>), LinalgError> {
    if matrix.is_empty() {
        return Ok((Vec::new(), matrix));
    }
    let (_, vectors) = matrix.clone().eigh_into()?;
    // linfa-linalg may exchange two eigenvalues, though not their vectors, when the last
    // off-diagonal element of a 2 x 2 block is below the machine's precision: hence vᵀMv.
    let values = (&vectors * &matrix.dot(&vectors)).sum_axis(Axis(0));
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*b].abs().total_cmp(&values[*a].abs()));
    Ok((order.iter().map(|k| values[*k]).collect(), vectors.select(Axis(1), &order)))
}

/// `leftᵀ · right`: `[N, A]`, `[N, B]` to `[A, B]`.
pub(crate) fn transposed_product(
    left: ArrayView2<'_, f64>,
    right: ArrayView2<'_, f64>,
) -> Array2<f64> {
    let blocks: Vec<_> =
        left.axis_chunks_iter(Axis(0), BLOCK).zip(right.axis_chunks_iter(Axis(0), BLOCK)).collect();
    let parts: Vec<_> = blocks.into_par_iter().map(|(left, right)| left.t().dot(&right)).collect();
    parts.iter().fold(Array2::zeros((left.ncols(), right.ncols())), |sum, part| sum + part)
}

/// `left · right`: `[N, A]`, `[A, B]` to `[N, B]`.
pub(crate) fn product(left: ArrayView2<'_, f64>, right: ArrayView2<'_, f64>) -> Array2<f64> {
    let mut out = Array2::zeros((left.nrows(), right.ncols()));
    let blocks: Vec<_> = left
        .axis_chunks_iter(Axis(0), BLOCK)
        .zip(out.axis_chunks_iter_mut(Axis(0), BLOCK))
        .collect();
    blocks.into_par_iter().for_each(|(left, mut out)| out.assign(&left.dot(&right)));
    out
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn eigenvalues_stay_with_their_vectors_when_a_last_off_diagonal_is_tiny() {
        let tiny = 1.5e-16;
        let matrix = array![[1.0, 0.0, 0.0], [0.0, 0.1, tiny], [0.0, tiny, 0.2]];
        let (values, vectors) = eigen(matrix.clone()).unwrap();
        for (value, vector) in values.iter().zip(vectors.columns()) {
            let residual = matrix.dot(&vector) - *value * &vector;
            assert!(residual.iter().all(|r| r.abs() < 1e-15), "{value}: {vector}");
        }
    }
}
