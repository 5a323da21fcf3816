//! The exponential of many values at once.
//!
//! Ratios and KL terms need one exponential a token, which with the standard library's scalar one
//! is most of an objective's time. This one has no branch and no table, so the compiler turns a loop
//! over it into the widest registers that the running processor has. It uses no fused
//! multiply-add: results are the same to the bit on every processor.

use std::f64::consts::LOG2_E;

use pulp::{Arch, Simd, WithSimd};

/// `ln 2` in two parts, the first short enough that its product with an exponent is exact.
const LN_2: [f64; 2] =
    [f64::from_bits(0x3fe6_2e42_fee0_0000), f64::from_bits(0x3dea_39ef_3579_3c76)];

/// Added to a float of moderate size, leaves its nearest integer in the low bits.
const TO_INTEGER: f64 = 6_755_399_441_055_744.0; // 1.5 · 2^52

/// Beyond these the result is infinite, or rounds to zero.
const RANGE: (f64, f64) = (-746.0, 710.0);

/// `1/k!` for k = 3 to 13.
const TAYLOR: [f64; 11] = [
    1.0 / 6.0,
    1.0 / 24.0,
    1.0 / 120.0,
    1.0 / 720.0,
    1.0 / 5_040.0,
    1.0 / 40_320.0,
    1.0 / 362_880.0,
    1.0 / 3_628_800.0,
    1.0 / 39_916_800.0,
    1.0 / 479_001_600.0,
    1.0 / 6_227_020_800.0,
];

/// A value split for the exponential: `e^x = low · high · (1 + rise)`.
///
/// `low` and `high` are powers of two, two of them so that neither leaves the range of an `f64`
/// where their product with the rest does not.
struct Split {
    rise: f64,
    low: f64,
    high: f64,
    /// `1 / high`.
    inverse_high: f64,
}

#[inline(always)]
fn split(x: f64) -> Split {
    // In this order NaN passes both comparisons and stays.
    let x = if x < RANGE.0 { RANGE.0 } else { x };
    let x = if x > RANGE.1 { RANGE.1 } else { x };
    let exponent = round(x * LOG2_E);
    let r = (x - exponent * LN_2[0]) - exponent * LN_2[1];
    let square = r * r;
    let rise = r + square * (0.5 + r * series(r, square));
    let low = round(0.5 * exponent);
    let high = exponent - low;
    Split {
        rise,
        low: power_of_two(low),
        high: power_of_two(high),
        inverse_high: power_of_two(-high),
    }
}

/// `Σ_k TAYLOR[k]·r^k` in Estrin's order: terms of a pair do not wait for each other.
#[inline(always)]
fn series(r: f64, square: f64) -> f64 {
    let pair = |k: usize| TAYLOR[k] + TAYLOR[k + 1] * r;
    let fourth = square * square;
    let low = (pair(0) + pair(2) * square) + (pair(4) + pair(6) * square) * fourth;
    low + (pair(8) + TAYLOR[10] * square) * (fourth * fourth)
}

#[inline(always)]
fn round(x: f64) -> f64 {
    (x + TO_INTEGER) - TO_INTEGER
}

/// `2^exponent` for an integer from -1022 to 1023.
#[inline(always)]
fn power_of_two(exponent: f64) -> f64 {
    f64::from_bits((exponent + (TO_INTEGER + 1023.0)).to_bits() << 52)
}

/// `e^x`, to two units in the last place.
#[inline(always)]
pub(crate) fn exp(x: f64) -> f64 {
    let Split { rise, low, high, .. } = split(x);
    (low * rise + low) * high
}

/// `e^x - 1`, to a few units in the last place, near zero too.
#[inline(always)]
pub(crate) fn exp_m1(x: f64) -> f64 {
    let Split { rise, low, high, inverse_high } = split(x);
    (low * rise + (low - inverse_high)) * high
}

/// `e^(a[t] - b[t])` for every `t`.
pub(crate) fn exp_differences(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; a.len().min(b.len())];
    Arch::new().dispatch(Differences { a, b, out: &mut out });
    out
}

struct Differences<'a> {
    a: &'a [f64],
    b: &'a [f64],
    out: &'a mut [f64],
}

impl WithSimd for Differences<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for ((out, a), b) in self.out.iter_mut().zip(self.a).zip(self.b) {
            *out = exp(a - b);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Distance in units of the last place of `b`.
    fn ulps(a: f64, b: f64) -> f64 {
        if a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()) {
            return 0.0;
        }
        let unit = f64::from_bits(b.abs().to_bits() + 1) - b.abs();
        (a - b).abs() / unit
    }

    proptest! {
        #[test]
        fn equals_the_standard_library(x in -760.0..760f64, small in -1.0..1f64) {
            for x in [x, small, small * 1e-3, small * 1e-9, small * 1e-200] {
                prop_assert!(ulps(exp(x), x.exp()) <= 2.0, "{x}: {} {}", exp(x), x.exp());
                prop_assert!(
                    ulps(exp_m1(x), x.exp_m1()) <= 4.0, "{x}: {} {}", exp_m1(x), x.exp_m1()
                );
            }
        }

        #[test]
        fn a_slice_equals_its_values_to_the_bit(
            values in prop::collection::vec(prop::num::f64::ANY, 0..40)
        ) {
            let zeros = vec![0.0; values.len()];
            let bits = |values: Vec<f64>| -> Vec<u64> {
                let canonical = |v: f64| if v.is_nan() { f64::NAN } else { v };
                values.into_iter().map(|v| canonical(v).to_bits()).collect()
            };
            let one_by_one: Vec<f64> = values.iter().map(|v| exp(v - 0.0)).collect();
            prop_assert_eq!(bits(exp_differences(&values, &zeros)), bits(one_by_one));
        }
    }

    #[test]
    fn ends_of_the_range() {
        for x in [0.0, -0.0, 709.782_712_893_384, 709.79, 1e308, f64::INFINITY, f64::MAX] {
            assert!(ulps(exp(x), x.exp()) <= 2.0, "{x}: {}", exp(x));
            assert!(ulps(exp_m1(x), x.exp_m1()) <= 4.0, "{x}: {}", exp_m1(x));
        }
        for x in [-708.4, -740.0, -745.2, -1e308, f64::NEG_INFINITY] {
            assert!((exp(x) - x.exp()).abs() <= f64::from_bits(1), "{x}: {:e}", exp(x));
            assert!((exp_m1(x) + 1.0).abs() <= f64::EPSILON, "{x}: {}", exp_m1(x));
        }
        assert!(exp(f64::NAN).is_nan() && exp_m1(f64::NAN).is_nan());
    }
}
