//! Histories to learn from, and held-out users for validation.

use rand::seq::SliceRandom as _;
use sidereal_data::{HeldOut, ItemId, SampleId, TrainSet, UserId};

use crate::seed::{Purpose, stream_of};

/// A user's training events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The user.
    pub user: UserId,
    /// Items, earliest first.
    pub items: Vec<ItemId>,
}

/// A held-out event: what followed a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// Identity of the sample.
    pub id: SampleId,
    /// Every item before the target, earliest first. The policy reads the latest ones.
    pub seen: Vec<ItemId>,
    /// The item that the user chose.
    pub target: ItemId,
}

/// The data for training and validation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NextItemData {
    /// Training histories; those of fewer than two items teach nothing.
    pub train: Vec<History>,
    /// Held-out events.
    pub valid: Vec<Followed>,
}

impl NextItemData {
    /// All training histories of a split, and the samples of its validation set.
    #[must_use]
    pub fn of(train: &TrainSet, valid: &impl HeldOut) -> Self {
        let train = train
            .sequences()
            .map(|sequence| History { user: sequence.user, items: sequence.events.to_vec() })
            .collect();
        let valid = valid
            .samples()
            .map(|sample| Followed {
                id: sample.id,
                seen: sample.seen.to_vec(),
                target: sample.target,
            })
            .collect();
        Self { train, valid }
    }

    /// At most `most` held-out events with a history, the same for the same seed.
    pub(super) fn sampled(&self, most: usize, seed: u64) -> Vec<&Followed> {
        let mut valid: Vec<&Followed> =
            self.valid.iter().filter(|followed| !followed.seen.is_empty()).collect();
        valid.shuffle(&mut stream_of(seed, Purpose::ValidUsers, 0));
        valid.truncate(most);
        valid
    }
}
