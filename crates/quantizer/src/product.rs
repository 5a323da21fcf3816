//! The matrix product from which every distance is computed.
#![allow(
    unsafe_code,
    reason = "the product takes raw pointers; against ndarray's own it gains 10 % with AVX2 and \
              more with AVX-512"
)]

/// Writes `scale * centroids[k] · rows[b]` to `out[k * B + b]`.
///
/// The code index is the slow one, so that a minimum over codes runs along whole registers of
/// rows.
///
/// # Shapes
/// - `centroids`: `[K, D]`, `rows`: `[B, D]`, `out`: `[K, B]`, all row after row
///
/// # Panics
/// If the lengths do not fit together. Callers inside this crate have checked them.
pub(crate) fn scaled_dots(
    scale: f32,
    centroids: &[f32],
    rows: &[f32],
    width: usize,
    out: &mut [f32],
) {
    product(scale, centroids, rows, width, Layout::Rows, out);
}

/// [`scaled_dots`] of rows that are stored column after column, `[D, B]`: cheaper if the same rows
/// meet few centroids at a time.
pub(crate) fn scaled_dots_of_columns(
    scale: f32,
    centroids: &[f32],
    columns: &[f32],
    width: usize,
    out: &mut [f32],
) {
    product(scale, centroids, columns, width, Layout::Columns, out);
}

/// In which order the values of a block of rows are stored.
#[derive(Clone, Copy)]
enum Layout {
    Rows,
    Columns,
}

fn product(
    scale: f32,
    centroids: &[f32],
    rows: &[f32],
    width: usize,
    layout: Layout,
    out: &mut [f32],
) {
    let (codes, block) = (centroids.len() / width, rows.len() / width);
    assert_eq!(centroids.len(), codes * width, "whole centroids");
    assert_eq!(rows.len(), block * width, "whole rows");
    assert_eq!(out.len(), codes * block, "one product for each pair");
    if out.is_empty() {
        return;
    }
    // No dimension exceeds the length of an allocated slice, hence none exceeds isize::MAX.
    let stride = |value: usize| isize::try_from(value).unwrap_or(isize::MAX);
    let (width_stride, block_stride) = (stride(width), stride(block));
    let (column_stride, row_stride) = match layout {
        Layout::Rows => (1, width_stride),
        Layout::Columns => (block_stride, 1),
    };
    let gemm = gemm_f32::gemm::f32::get_gemm_fn();
    // Registers run along the dimension that is contiguous in `out`, that of the rows.
    // SAFETY: the product is `[block, codes]`, stored in `out` with row stride 1 and column stride
    // `block`; its factors are `rows` `[block, width]` with the strides of its layout, and
    // `centroids` read as its transpose `[width, codes]` with column stride `width`. The assertions
    // above make all three spans equal to the slices' lengths, and `out` is borrowed mutably, so it
    // overlaps neither input. It is written, never read.
    unsafe {
        gemm(
            block,
            codes,
            width,
            out.as_mut_ptr(),
            block_stride,
            1,
            false,
            rows.as_ptr(),
            column_stride,
            row_stride,
            centroids.as_ptr(),
            width_stride,
            1,
            0.0,
            scale,
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

    #[test]
    fn products_equal_plain_sums() {
        for (codes, block, width) in [(1, 1, 1), (3, 5, 7), (17, 33, 20), (2, 1, 40), (1, 9, 3)] {
            let value = |i: usize| ((i * 37 % 23) as f32 - 11.0) / 8.0;
            let centroids: Vec<f32> = (0..codes * width).map(value).collect();
            let rows: Vec<f32> = (0..block * width).map(|i| value(i + 5)).collect();
            let mut out = vec![f32::NAN; codes * block];
            scaled_dots(-2.0, &centroids, &rows, width, &mut out);
            let columns: Vec<f32> =
                (0..width * block).map(|i| rows[i % block * width + i / block]).collect();
            let mut of_columns = vec![f32::NAN; codes * block];
            scaled_dots_of_columns(-2.0, &centroids, &columns, width, &mut of_columns);
            for k in 0..codes {
                for b in 0..block {
                    let plain: f32 = (0..width)
                        .map(|d| -2.0 * centroids[k * width + d] * rows[b * width + d])
                        .sum();
                    assert!((out[k * block + b] - plain).abs() < 1e-4);
                    assert!((of_columns[k * block + b] - plain).abs() < 1e-4);
                }
            }
        }
    }
}
