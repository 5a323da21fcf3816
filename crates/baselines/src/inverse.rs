//! The inverse of a symmetric positive definite matrix, in place and in blocks.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

use crate::BaselineError;

/// Rows and columns that are eliminated together.
const BLOCK: usize = 96;

/// The inverse of the symmetric matrix whose lower triangle `matrix` `[N, N]` holds; what is above the
/// diagonal is not read. `shift` is what was added to the diagonal, for messages.
///
/// Blocks `K` of rows are swept one after the other (Goodnight, *The American Statistician* 33, 1979):
///
/// ```text
/// D = A[K, K]⁻¹
/// A[i, j] −= A[i, K] · D · A[K, j]   for i, j outside K
/// A[i, K]  = A[i, K] · D             for i outside K
/// A[K, K]  = −D
/// ```
/// After the last block, `A` is `−A⁻¹`. Every step keeps `A` symmetric, so only its lower triangle is
/// computed: `N³` operations, in products of `f32` matrices on all cores, without a second matrix.
pub(crate) fn inverse(mut matrix: Array2<f32>, shift: f64) -> Result<Array2<f32>, BaselineError> {
    let size = matrix.nrows();
    for start in (0..size).step_by(BLOCK) {
        let end = (start + BLOCK).min(size);
        sweep(&mut matrix, start, end).ok_or(BaselineError::NotInvertible { shift })?;
    }
    for row in 0..size {
        for column in 0..row {
            let value = -matrix[[row, column]];
            matrix[[row, column]] = value;
            matrix[[column, row]] = value;
        }
        matrix[[row, row]] *= -1.0;
    }
    Ok(matrix)
}

/// Sweeps the rows `start..end`; `None` if their block has no inverse.
fn sweep(matrix: &mut Array2<f32>, start: usize, end: usize) -> Option<()> {
    let size = matrix.nrows();
    // All rows of the columns K, [N, b]: those above the block stand to the left of its rows.
    let mut columns = Array2::zeros((size, end - start));
    columns.slice_mut(s![..start, ..]).assign(&matrix.slice(s![start..end, ..start]).t());
    columns.slice_mut(s![start.., ..]).assign(&matrix.slice(s![start.., start..end]));
    let pivot = small_inverse(columns.slice(s![start..end, ..]))?;
    let scaled = columns.dot(&pivot); // [N, b]

    let mut chunks: Vec<_> = matrix.axis_chunks_iter_mut(Axis(0), BLOCK).collect();
    chunks.par_iter_mut().enumerate().for_each(|(chunk, rows)| {
        // The rows of a chunk reach to its own end: a little more than the lower triangle.
        let first = chunk * BLOCK;
        let last = first + rows.nrows();
        let own = scaled.slice(s![first..last, ..]);
        let mut rows = rows.slice_mut(s![.., ..last]);
        general_mat_mul(-1.0, &own, &columns.slice(s![..last, ..]).t(), 1.0, &mut rows);
    });
    matrix.slice_mut(s![end.., start..end]).assign(&scaled.slice(s![end.., ..]));
    matrix.slice_mut(s![start..end, ..start]).assign(&scaled.slice(s![..start, ..]).t());
    matrix.slice_mut(s![start..end, start..end]).assign(&pivot.mapv(|value| -value));
    Some(())
}

/// The inverse of a small matrix whose lower triangle `block` holds, by Gauss and Jordan in `f64`; a
/// positive definite matrix needs no exchange of rows. `None` if a pivot is not above 0.
#[allow(clippy::cast_possible_truncation, reason = "the matrix is one of f32")]
fn small_inverse(block: ArrayView2<'_, f32>) -> Option<Array2<f32>> {
    let size = block.nrows();
    let mut matrix = Array2::from_shape_fn((size, size), |(row, column)| {
        f64::from(if row < column { block[[column, row]] } else { block[[row, column]] })
    });
    for pivot in 0..size {
        let own = matrix[[pivot, pivot]];
        if !(own > 0.0 && own.is_finite()) {
            return None;
        }
        matrix[[pivot, pivot]] = 1.0;
        matrix.row_mut(pivot).mapv_inplace(|value| value / own);
        let of_pivot = matrix.row(pivot).to_owned();
        for row in (0..size).filter(|row| *row != pivot) {
            let factor = matrix[[row, pivot]];
            matrix[[row, pivot]] = 0.0;
            matrix.row_mut(row).scaled_add(-factor, &of_pivot);
        }
    }
    Some(matrix.mapv(|value| value as f32))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A symmetric matrix of small numbers with a heavy diagonal, from a formula.
    fn matrix(size: usize) -> Array2<f32> {
        Array2::from_shape_fn((size, size), |(row, column)| {
            let (row, column) = (row.max(column), row.min(column));
            let mixed = u16::try_from((row * 31 + column * 17) % 7).unwrap();
            if row == column { 9.0 + f32::from(mixed) } else { f32::from(mixed) / size as f32 }
        })
    }

    #[test]
    fn the_product_with_the_inverse_is_one_on_the_diagonal() {
        // One block, whole blocks, and a last block that is smaller.
        for size in [1, 5, BLOCK, 2 * BLOCK, 2 * BLOCK + 37] {
            let full = matrix(size);
            let mut lower = full.clone();
            for ((row, column), value) in lower.indexed_iter_mut() {
                if column > row {
                    *value = f32::NAN; // never read
                }
            }
            let product = full.dot(&inverse(lower, 1.0).unwrap());
            for ((row, column), value) in product.indexed_iter() {
                let expected = if row == column { 1.0 } else { 0.0 };
                assert!((value - expected).abs() < 1e-4, "{size}: [{row}, {column}] is {value}");
            }
        }
    }

    #[test]
    fn a_matrix_without_an_inverse_is_refused() {
        let error = inverse(Array2::ones((3, 3)), 0.5).unwrap_err().to_string();
        assert!(error.contains("0.5"), "{error}");
    }
}
