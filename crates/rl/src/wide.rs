//! Reductions in several running values side by side, in the widest registers of the processor.

use pulp::{Arch, Simd, WithSimd};

/// Running values of a reduction.
pub(crate) const LANES: usize = 8;

/// The sum; 0 of nothing.
pub(crate) fn sum(values: &[f64]) -> f64 {
    Arch::new().dispatch(Fold { values, start: 0.0, combine: |a, b| a + b })
}

/// The largest value above 0, else 0.
pub(crate) fn max(values: &[f64]) -> f64 {
    Arch::new().dispatch(Fold { values, start: 0.0, combine: |a, b| if b > a { b } else { a } })
}

/// Index of the first NaN or infinity.
pub(crate) fn first_not_finite(values: &[f64]) -> Option<usize> {
    // A value times zero is zero, or else NaN, which stays.
    let zero = Arch::new().dispatch(Fold { values, start: 0.0, combine: |a, b| a + b * 0.0 });
    if zero.is_nan() { values.iter().position(|value| !value.is_finite()) } else { None }
}

struct Fold<'a, F> {
    values: &'a [f64],
    start: f64,
    combine: F,
}

impl<F: Fn(f64, f64) -> f64> WithSimd for Fold<'_, F> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f64 {
        let Self { values, start, combine } = self;
        let mut lanes = [start; LANES];
        let chunks = values.chunks_exact(LANES);
        let rest = chunks.remainder();
        for chunk in chunks {
            for (lane, value) in lanes.iter_mut().zip(chunk) {
                *lane = combine(*lane, *value);
            }
        }
        for (lane, value) in lanes.iter_mut().zip(rest) {
            *lane = combine(*lane, *value);
        }
        lanes.into_iter().fold(start, combine)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn reductions_equal_plain_ones(values in prop::collection::vec(-9..9i32, 0..70)) {
            // Sums of small integers are exact in any order.
            let floats: Vec<f64> = values.iter().copied().map(f64::from).collect();
            let plain = (values.iter().sum::<i32>(), values.iter().copied().fold(0, i32::max));
            let bits = |(sum, max): (f64, f64)| (sum.abs().to_bits(), sum < 0.0, max.to_bits());
            prop_assert_eq!(
                bits((sum(&floats), max(&floats))),
                bits((plain.0.into(), plain.1.into()))
            );
        }

        #[test]
        fn the_first_value_that_is_not_finite_is_found(
            values in prop::collection::vec(prop::num::f64::ANY, 0..70)
        ) {
            let first = values.iter().position(|value| !value.is_finite());
            prop_assert_eq!(first_not_finite(&values), first);
        }
    }
}
