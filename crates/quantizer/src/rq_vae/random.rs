//! Random choices: each from a stream of its own, so that a step's draws follow from the seed and
//! the step alone, and a resumed training needs no generator's state.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// What a stream of random numbers is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    Weights,
    Order,
    Codebook,
    Revival,
    Clusters,
    Positives,
}

/// The stream for the `index`-th use (step, epoch or level) of a purpose.
pub(super) fn stream(seed: u64, purpose: Purpose, index: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(((purpose as u64 + 1) << 56) | index as u64);
    rng
}

/// The order of the rows in an epoch.
pub(super) fn order(seed: u64, epoch: usize, rows: usize) -> Vec<i64> {
    let mut order: Vec<i64> = (0..i64::try_from(rows).unwrap_or(i64::MAX)).collect();
    order.shuffle(&mut stream(seed, Purpose::Order, epoch));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_has_every_row_once_in_an_order_of_its_own() {
        let (first, second) = (order(7, 0, 100), order(7, 1, 100));
        assert_ne!(first, second);
        assert_eq!(first, order(7, 0, 100));
        for mut order in [first, second] {
            order.sort_unstable();
            assert!(order.into_iter().eq(0..100));
        }
    }
}
