//! Random numbers of a run: one seed, a stream for each purpose.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

/// What a stream of random numbers decides in this crate. Streams of different purposes are
/// independent, so that one choice never follows from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The order of supervised batches.
    Batches = 6,
    /// The order in which alignment sequences take turns.
    Alignment = 7,
    /// The validation users of next-item training.
    ValidUsers = 12,
    /// Variations of the histories of next-item training.
    Variation = 13,
    /// The items that a step of a recommendation head scores besides its targets.
    HeadNegatives = 15,
}

/// The random numbers of a purpose, which is a number that the caller chooses; this crate itself
/// uses 6, 7, 12, 13 and 15. `round` separates repeated draws, such as those of epochs.
#[must_use]
pub fn stream(seed: u64, purpose: u64, round: u64) -> ChaCha8Rng {
    let mut bytes = [0; 32];
    for (slot, part) in bytes.chunks_exact_mut(8).zip([seed, purpose, round]) {
        slot.copy_from_slice(&part.to_le_bytes());
    }
    ChaCha8Rng::from_seed(bytes)
}

/// The random numbers of one of this crate's purposes.
pub(crate) fn stream_of(seed: u64, purpose: Purpose, round: u64) -> ChaCha8Rng {
    stream(seed, purpose as u64, round)
}

/// A seed for libtorch's generator, and for a step's draws, that depends only on run and step.
#[must_use]
pub fn step_seed(seed: u64, step: usize) -> i64 {
    let mixed = (seed ^ 0x9E37_79B9_7F4A_7C15).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    i64::from_le_bytes(mixed.wrapping_add(step as u64).to_le_bytes())
}

#[cfg(test)]
mod tests {
    use rand::RngCore as _;

    use super::*;

    #[test]
    fn seeds_purposes_and_rounds_have_streams_of_their_own() {
        let first = |seed, purpose, round| stream_of(seed, purpose, round).next_u64();
        let one = first(1, Purpose::Batches, 0);
        assert_eq!(one, first(1, Purpose::Batches, 0));
        for other in [
            first(2, Purpose::Batches, 0),
            first(1, Purpose::Alignment, 0),
            first(1, Purpose::Batches, 1),
        ] {
            assert_ne!(one, other);
        }
    }
}
