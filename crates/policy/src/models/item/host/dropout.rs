//! Which activations a step zeroes: the same for the same seed, whoever asks, and in any order.
//!
//! ```text
//! y[i] = x[i] · z[i]/(1 − p)      z[i] = 1{h(seed, site, row, i) ≥ p · 2³²}
//! ```
//! `h` is a hash to 32 bits: a row's two keys come from `SplitMix64` (Steele et al., OOPSLA 2014), and each
//! place in it is mixed with them as in the `lowbias32` of Wellons. The backward pass is the same product.
#![allow(
    clippy::inline_always,
    reason = "part of loops that are compiled for several widths of vectors"
)]

use super::wide::wide;

/// What is zeroed of one kind of activations.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dropout {
    key: u64,
    /// Hashes below this are zeroed.
    threshold: u32,
    /// Of what is kept.
    scale: f32,
}

/// The keys of a row.
#[derive(Debug, Clone, Copy)]
struct Row {
    first: u32,
    second: u32,
}

impl Dropout {
    /// Zeroes a share, in `[0, 1)`.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of 2^32, and a factor that is applied in f32"
    )]
    pub(super) fn new(share: f64, seed: u64) -> Self {
        let threshold = (share * 2f64.powi(32)).round() as u32; // the largest where it is more
        Self { key: mixed(seed), threshold, scale: (1.0 / (1.0 - share)) as f32 }
    }

    /// The same share of the activations of another place of the network.
    pub(super) const fn at(self, site: u64) -> Self {
        Self { key: mixed(self.key ^ site.wrapping_mul(GOLDEN_64)), ..self }
    }

    /// Whether nothing is zeroed.
    pub(super) const fn is_off(self) -> bool {
        self.threshold == 0
    }

    /// The factors of a row's places from the first.
    #[inline(always)]
    pub(super) fn factors(self, row: usize) -> impl Fn(usize) -> f32 {
        let Self { key, threshold, scale } = self;
        let keys = mixed(key.wrapping_add((row as u64).wrapping_mul(GOLDEN_64)));
        #[allow(clippy::cast_possible_truncation, reason = "the two halves")]
        let row = Row { first: keys as u32, second: (keys >> 32) as u32 };
        move |at| if row.hash(at) < threshold { 0.0 } else { scale }
    }
}

const GOLDEN_64: u64 = 0x9e37_79b9_7f4a_7c15;
const GOLDEN_32: u32 = 0x9e37_79b9;

impl Row {
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "a row has fewer places")]
    fn hash(self, at: usize) -> u32 {
        let mut x = (at as u32).wrapping_mul(GOLDEN_32) ^ self.first;
        x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d) ^ self.second;
        x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
        x ^ (x >> 16)
    }
}

/// The finaliser of `SplitMix64`.
const fn mixed(key: u64) -> u64 {
    let x = key.wrapping_add(GOLDEN_64);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

wide! {
    /// Zeroes rows of activations, `[m, width]`, the first of which is the row `first` of the step; or, on the
    /// backward pass, their derivatives.
    pub(super) fn apply<'a>(dropout: Dropout, first: usize, width: usize, x: &'a mut [f32]) {
        if dropout.is_off() {
            return;
        }
        for (row, x) in x.chunks_exact_mut(width).enumerate() {
            let factor = dropout.factors(first + row);
            for (at, x) in x.iter_mut().enumerate() {
                *x *= factor(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ones(dropout: Dropout, first: usize, rows: usize, width: usize) -> Vec<f32> {
        let mut x = vec![1.0; rows * width];
        apply(dropout, first, width, &mut x);
        x
    }

    #[test]
    fn the_share_is_zeroed_and_the_expectation_kept() {
        for share in [0.1, 0.25, 0.5, 0.9] {
            let (rows, width) = (1000, 64);
            let count = (rows * width) as f64;
            for site in 0..3 {
                let found = ones(Dropout::new(share, 7).at(site), 0, rows, width);
                let zeros = found.iter().filter(|x| **x == 0.0).count() as f64 / count;
                // Five standard errors: a false alarm once in a million.
                let error = (share * (1.0 - share) / count).sqrt();
                assert!((zeros - share).abs() < 5.0 * error, "{zeros} for {share}");
                let mean = found.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
                assert!((mean - 1.0).abs() < 5.0 * error / (1.0 - share), "{mean}");
            }
        }
    }

    #[test]
    fn neighbours_rows_sites_and_seeds_are_independent() {
        let (rows, width, share) = (500, 64, 0.25);
        let of = |seed, site| ones(Dropout::new(share, seed).at(site), 0, rows, width);
        let x = of(1, 1);
        let mut next_column = x.clone();
        next_column.rotate_left(1);
        let mut next_row = x.clone();
        next_row.rotate_left(width);
        for (what, y) in
            [("columns", next_column), ("rows", next_row), ("sites", of(1, 2)), ("seeds", of(2, 1))]
        {
            let both = x.iter().zip(&y).filter(|(x, y)| **x == 0.0 && **y == 0.0).count() as f64;
            let (count, p) = ((rows * width) as f64, share * share);
            // Five standard errors, as above.
            let error = (p * (1.0 - p) / count).sqrt();
            assert!((both / count - p).abs() < 5.0 * error, "{what}: {}", both / count);
        }
    }

    #[test]
    fn rows_are_the_same_whoever_asks() {
        let dropout = Dropout::new(0.4, 3);
        assert_eq!(ones(dropout, 0, 20, 10)[70..90], ones(dropout, 7, 2, 10)[..]);
        assert_eq!(ones(Dropout::new(0.0, 3), 0, 2, 5), [1.0; 10]);
    }
}
