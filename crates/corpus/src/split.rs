//! Who is trained on, who chooses settings, who is reported: three sets, three types.

use std::fmt;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use self::sequences::Sequences;
use crate::dataset::Digest;
use crate::{Dataset, UserId};

mod global_time;
mod leave_one_out;
mod sequences;
mod sets;
mod users;

pub use global_time::global_time;
pub use leave_one_out::leave_one_out;
pub use sets::{HeldOut, TestSet, TrainSet, UserSequence, ValidSet};
pub use users::user_split;

/// How a dataset was cut: numbers of different protocols are not comparable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Protocol {
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

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeaveOneOut => f.write_str("leave-one-out"),
            Self::GlobalTime(shares) => write!(f, "global time {shares}"),
            Self::Users { shares, seed } => write!(f, "users {shares}, seed {seed}"),
            Self::Published => f.write_str("as published"),
        }
    }
}

/// The three sets of one split.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Split {
    /// How the dataset was cut.
    pub protocol: Protocol,
    /// What a model learns from.
    pub train: TrainSet,
    /// What settings are chosen on.
    pub valid: ValidSet,
    /// What is reported.
    pub test: TestSet,
}

/// Where a user's sequence is cut: `events[..train]` train, `events[valid..test]` are validation
/// targets, `events[test..]` test targets. The first event of all is nobody's target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) train: usize,
    pub(crate) valid: usize,
    pub(crate) test: usize,
}

impl Split {
    /// Cuts each user's sequence in two places. A held-out target's history holds all events
    /// before it, whichever set they are in.
    pub(crate) fn cut(
        protocol: Protocol,
        dataset: &Dataset,
        max_history: NonZeroUsize,
        cuts: impl Iterator<Item = Cut>,
    ) -> Self {
        let timed = dataset.has_times();
        let empty = || Sequences::new(max_history, timed);
        let (mut train, mut valid, mut test) = (empty(), empty(), empty());
        for ((id, user), cut) in dataset.users_by_id().zip(cuts) {
            let len = user.events.len();
            train.push(id, user, cut.train, 1);
            if cut.valid.max(1) < cut.test {
                valid.push(id, user, cut.test, cut.valid);
            }
            if cut.test.max(1) < len {
                test.push(id, user, len, cut.test);
            }
        }
        let (train, valid, test) = (TrainSet::new(train), ValidSet(valid), TestSet(test));
        Self { protocol, train, valid, test }
    }

    /// The part of each set that the users for which `keep` holds have, such as those of a domain.
    /// Samples keep their identities.
    #[must_use]
    pub fn of_users(&self, keep: impl Fn(UserId) -> bool) -> Self {
        Self {
            protocol: self.protocol,
            train: self.train.of_users(&keep),
            valid: ValidSet(self.valid.0.of_users(&keep)),
            test: TestSet(self.test.0.of_users(&keep)),
        }
    }

    /// BLAKE3 of protocol and sets, in hexadecimal: binds a run to its split.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut digest = Digest::default();
        digest.text(&self.protocol.to_string());
        for set in [self.train.hash(), self.valid.hash(), self.test.hash()] {
            digest.text(&set);
        }
        digest.finish()
    }
}
