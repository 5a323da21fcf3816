//! How a dataset is cut into three sets.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a dataset was split. Numbers under different protocols are not comparable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SplitProtocol {
    /// The last event of each user is for the test, the one before it for validation, and the rest
    /// for training.
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

/// The share of each set, in parts: 8 : 1 : 1 by default.
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
    /// Where a row of `n` samples is cut: the index of the first validation sample and of the first
    /// test sample.
    ///
    /// ```text
    /// ⌊n · train / sum⌋   and   ⌊n · (train + valid) / sum⌋
    /// ```
    /// If all parts are 0, everything is for training.
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
