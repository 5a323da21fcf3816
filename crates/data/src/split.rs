//! Training, validation and test samples: three sets with three types.

use std::num::NonZeroUsize;

use self::sequences::Sequences;
use crate::digest::Digest;
use crate::{Dataset, UserId};

mod global_time;
mod leave_one_out;
mod protocol;
mod sequences;
mod sets;
mod users;

pub use global_time::global_time;
pub use leave_one_out::leave_one_out;
pub use protocol::{Shares, SplitProtocol};
pub use sets::{HeldOut, TestSet, TrainSet, UserSequence, ValidSet};
pub use users::user_split;

/// The three sets of one split.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Split {
    /// How the dataset was cut.
    pub protocol: SplitProtocol,
    /// What a model learns from.
    pub train: TrainSet,
    /// The samples on which settings are chosen.
    pub valid: ValidSet,
    /// The samples on which results are reported.
    pub test: TestSet,
}

/// Where a user's sequence is cut: `events[..train]` train, `events[valid..test]` are validation
/// targets, `events[test..]` test targets. The first event of a user is not a target.
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
        protocol: SplitProtocol,
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
