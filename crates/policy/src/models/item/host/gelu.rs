//! The exact GELU with the bias before it, and its derivative.
//!
//! ```text
//! gelu(x) = x · Φ(x)      gelu'(x) = Φ(x) + x · φ(x)
//! ```

use super::functions::normal;
use super::wide::wide;

wide! {
    /// `out = gelu(x + bias)`, `[m, width]`; what comes in is replaced by the derivative there.
    pub(super) fn forward<'a>(x: &'a mut [f32], bias: &'a [f32], out: &'a mut [f32]) {
        let width = bias.len();
        for (x, out) in x.chunks_exact_mut(width).zip(out.chunks_exact_mut(width)) {
            for ((x, out), bias) in x.iter_mut().zip(out).zip(bias) {
                let at = *x + bias;
                let (share, density) = normal(at);
                *out = at * share;
                *x = share + at * density;
            }
        }
    }

    /// `d_out` becomes the derivative by what came in, given the derivative there.
    pub(super) fn back<'a>(slope: &'a [f32], d_out: &'a mut [f32]) {
        for (d_out, slope) in d_out.iter_mut().zip(slope) {
            *d_out *= slope;
        }
    }
}
