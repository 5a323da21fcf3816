//! How a dataset is cut into three sets.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a dataset was cut: numbers of different protocols are not comparable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SplitProtocol {
    /// Each user's last event is tested, the second last validates, the rest trains.
    LeaveOneOut,
    /// All samples in the order of their targets' times are cut in two places.
    GlobalTime(Shares),
    /// Every user is in one set only, drawn by the seed.
    Users {
        /// How many users each set gets.
        shares: Shares,
        /// Seed of who is where.
        seed: u64,
    },
    /// As its publishers cut it.
    Published,
}

/// How much each set gets, in parts: 8 : 1 : 1 by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shares {
    /// Parts for training.
    pub train: u32,
    /// Parts for validation.
    pub valid: u32,
    /// Parts for the test.
    pub test: u32,
}

impl Default for Shares {
    fn default() -> Self {
        Self { train: 8, valid: 1, test: 1 }
    }
}

impl Shares {
    /// Where `n` things in a row are cut: the first valid one and the first test one.
    ///
    /// ```text
    /// ⌊n · train / sum⌋   and   ⌊n · (train + valid) / sum⌋
    /// ```
    /// Everything trains where all parts are 0.
    #[must_use]
    pub fn cut(self, n: usize) -> (usize, usize) {
        let [train, valid, test] = [self.train, self.valid, self.test].map(u128::from);
        let sum = train + valid + test;
        let at = |parts: u128| {
            let place = (n as u128 * parts).checked_div(sum);
            place.and_then(|place| usize::try_from(place).ok()).unwrap_or(n)
        };
        (at(train), at(train + valid))
    }
}

impl fmt::Display for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.train, self.valid, self.test)
    }
}

impl fmt::Display for SplitProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeaveOneOut => f.write_str("leave-one-out"),
            Self::GlobalTime(shares) => write!(f, "global time {shares}"),
            Self::Users { shares, seed } => write!(f, "users {shares}, seed {seed}"),
            Self::Published => f.write_str("as published"),
        }
    }
}
