//! Random numbers of a run: one seed, a stream for each purpose.

use rand_chacha::ChaCha8Rng;

/// What a stream of random numbers decides. The results of a run depend on these numbers. The
/// numbers of the engine's own purposes are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Which users are used for validation.
    Validation = 1,
    /// Which users belong to the share of a stage.
    UserShare = 2,
    /// Which events, and which titles, reinforcement asks about.
    Prompts = 3,
    /// Which events become preference pairs.
    Pairs = 4,
    /// Variations of histories.
    Variation = 5,
    /// Which of several rarest items count as cold.
    ColdItems = 8,
    /// Which users are asked to choose from a pool.
    Pools = 9,
    /// Which users are asked to reason in a test.
    Reasoning = 10,
    /// Which users a report shows.
    Showcase = 11,
    /// Which exercises test general ability.
    Exercises = 12,
    /// The order of a baseline's items of one score.
    Ties = 13,
    /// Which events of the test are asked for their labels.
    Labels = 14,
    /// Which behaviour a user of the test is asked about.
    Behaviours = 15,
    /// Which users the test asks.
    TestUsers = 16,
}

/// The random numbers of a purpose; `round` separates repeated draws, such as those of epochs.
pub(crate) fn stream(seed: u64, purpose: Purpose, round: u64) -> ChaCha8Rng {
    sidereal_train::seed::stream(seed, purpose as u64, round)
}
