//! Sums whose parts do not wait for each other.
#![allow(
    clippy::inline_always,
    reason = "part of loops that are compiled for several widths of vectors"
)]

const LANES: usize = 16;

/// Sum of `value(i)` over a row's places, in independent sums that are joined at the end.
#[inline(always)]
pub(super) fn sum(len: usize, value: impl Fn(usize) -> f32) -> f32 {
    let mut sums = [0f32; LANES];
    let whole = len - len % LANES;
    for start in (0..whole).step_by(LANES) {
        for (lane, sum) in sums.iter_mut().enumerate() {
            *sum += value(start + lane);
        }
    }
    let rest: f32 = (whole..len).map(value).sum();
    joined(sums) + rest
}

/// Product of two vectors.
#[inline(always)]
pub(in super::super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; LANES];
    let (a_rows, b_rows) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a_rows.remainder().iter().zip(b_rows.remainder()).map(|(x, y)| x * y).sum();
    for (a, b) in a_rows.zip(b_rows) {
        for ((sum, x), y) in sums.iter_mut().zip(a).zip(b) {
            *sum += x * y;
        }
    }
    joined(sums) + rest
}

/// `out += factor · x`.
#[inline(always)]
pub(in super::super) fn add(out: &mut [f32], factor: f32, x: &[f32]) {
    out.iter_mut().zip(x).for_each(|(out, x)| *out += factor * x);
}

#[inline(always)]
fn joined(mut sums: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            sums[lane] += sums[lane + half];
        }
        half /= 2;
    }
    sums[0]
}
