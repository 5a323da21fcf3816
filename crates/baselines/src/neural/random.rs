//! Random choices: each from a stream of its own, so that the draws of a step follow from the seed and
//! the step alone.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

/// What a stream of random numbers is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// The order of the rows of an epoch.
    Order,
    /// Negatives and hidden items of a step.
    Step,
    /// The users of the validation.
    ValidUsers,
    /// The order of the rows of an epoch of pretraining.
    PretrainingOrder,
    /// Hidden items of a step of pretraining.
    PretrainingStep,
}

/// The stream of the `index`-th use of a purpose.
pub(crate) fn stream(seed: u64, purpose: Purpose, index: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(((purpose as u64 + 2) << 56) | index as u64);
    rng
}
