//! The exponential and the normal distribution in single precision, in operations that vectors have.
#![allow(
    clippy::inline_always,
    reason = "part of loops that are compiled for several widths of vectors"
)]

use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, LOG2_E};

/// `eˣ`, within two units in the last place for `x` of −87 to 88; at least `e⁻⁸⁷`, and at most `e⁸⁸`. Not a
/// number for none.
///
/// ```text
/// eˣ = 2ⁿ · eʳ      n = ⌊x / ln 2⌉,  r = x − n · ln 2,  eʳ by a polynomial (Cephes, expf)
/// ```
#[inline(always)]
pub(in super::super) fn exp(x: f32) -> f32 {
    // What is added to this has its nearest integer in the last bits.
    const SHIFT: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = clamped(x, -87.0, 88.0);
    let shifted = x * LOG2_E + SHIFT;
    let n = shifted - SHIFT;
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    let mut p = 1.987_569_1e-4;
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = p * r + c;
    }
    let of_r = (p * r) * r + r + 1.0;
    let two_to_n = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1f32.to_bits()));
    of_r * two_to_n
}

/// Distribution and density of the standard normal law at `x`, each within 2e-7.
///
/// ```text
/// Φ(x) = ½ (1 + erf(x/√2))      φ(x) = exp(−½x²)/√(2π)
/// erf(z) = z · P(z²)/Q(z²), at most 1      |z| up to 3.83, where it is 1 (the rational function of Eigen)
/// ```
#[inline(always)]
pub(super) fn normal(x: f32) -> (f32, f32) {
    const P: [f32; 5] =
        [2.290_506_5e-4, 3.408_291e-3, 5.095_569_5e-2, 1.852_083_2e-1, FRAC_2_SQRT_PI];
    const Q: [f32; 7] = [
        -1.179_160_2e-7,
        2.354_796_6e-5,
        1.017_962_5e-3,
        1.407_047_e-2,
        1.109_850_5e-1,
        4.974_692_5e-1,
        1.0,
    ];
    const DENSITY: f32 = 0.398_942_3;
    let z = clamped(x * FRAC_1_SQRT_2, -3.832_507, 3.832_507);
    let square = z * z;
    let polynomial = |coefficients: &[f32]| {
        let mut sum = 0.0;
        for c in coefficients {
            sum = sum * square + c;
        }
        sum
    };
    let erf = clamped(z * polynomial(&P) / polynomial(&Q), -1.0, 1.0);
    (0.5 + 0.5 * erf, DENSITY * exp(-0.5 * x * x))
}

/// The nearest value of a range; not a number for none.
#[inline(always)]
#[allow(clippy::manual_clamp, reason = "comparisons that vectors have")]
fn clamped(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_that_of_the_standard_library() {
        for k in -86_999..88_000 {
            let x = k as f32 * 1e-3;
            let exact = f64::from(x).exp();
            let off = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(off < 2.5e-7, "{x}: {off}");
        }
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(f32::NEG_INFINITY) < 1e-37 && (exp(0.0) - 1.0).abs() < 1e-7);
    }

    #[test]
    fn the_normal_law_is_that_of_libtorch() {
        use tch::{Kind, Tensor};
        let points: Vec<f32> = (-9000i16..9000).map(|k| f32::from(k) * 1e-3).collect();
        let x = Tensor::from_slice(&points).to_kind(Kind::Double);
        let share: Tensor = (&x * 0.5f64.sqrt()).erf() * 0.5 + 0.5;
        let density = (x.square() * -0.5).exp() * (0.5 / std::f64::consts::PI).sqrt();
        let exact = Vec::<f64>::try_from(share).unwrap().into_iter();
        let exact = exact.zip(Vec::<f64>::try_from(density).unwrap());
        for (x, (share, density)) in points.into_iter().zip(exact) {
            let found = normal(x);
            assert!((f64::from(found.0) - share).abs() < 2e-7, "{x}: {found:?}");
            assert!((f64::from(found.1) - density).abs() < 1e-7, "{x}: {found:?}");
        }
        assert!(normal(f32::NAN).0.is_nan());
        assert_eq!((normal(-100.0).0, normal(100.0).0), (0.0, 1.0));
    }
}
