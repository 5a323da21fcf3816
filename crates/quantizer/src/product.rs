//! The matrix product that every distance goes through.
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
/// If the lengths contradict each other: callers inside this crate checked them.
pub(crate) fn scaled_dots(
    scale: f32,
    centroids: &[f32],
    rows: &[f32],
    width: usize,
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
    let gemm = gemm_f32::gemm::f32::get_gemm_fn();
    // Registers run along the dimension that is contiguous in `out`, that of the rows.
    // SAFETY: the product is `[block, codes]`, stored in `out` with row stride 1 and column stride
    // `block`; its factors are `rows` `[block, width]` with row stride `width`, and `centroids`
    // read as its transpose `[width, codes]` with column stride `width`. The assertions above make
    // all three spans equal to the slices' lengths, and `out` is borrowed mutably, so it overlaps
    // neither input. It is written, never read.
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
            1,
            width_stride,
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
            for k in 0..codes {
                for b in 0..block {
                    let plain: f32 = (0..width)
                        .map(|d| -2.0 * centroids[k * width + d] * rows[b * width + d])
                        .sum();
                    assert!((out[k * block + b] - plain).abs() < 1e-4);
                }
            }
        }
    }
}
