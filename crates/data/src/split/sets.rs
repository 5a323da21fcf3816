//! Training, validation and test sets: three types, so that none is mistaken for another.

use std::num::NonZeroUsize;

use sidereal_sid::ItemId;

use super::sequences::{Sequences, Targets};
use crate::{Sample, Timestamp, UserId};

/// The training events of one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserSequence<'a> {
    /// Whose events.
    pub user: UserId,
    /// Items, earliest first.
    pub events: &'a [ItemId],
    /// When, next to the events; empty if the source has no times.
    pub times: &'a [Timestamp],
}

/// What a model learns from: no event of it is a validation or test target of its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainSet {
    sequences: Sequences,
}

impl TrainSet {
    pub(super) fn new(sequences: Sequences) -> Self {
        Self { sequences }
    }

    /// The training events of the users for which `keep` holds.
    #[must_use]
    pub fn of_users(&self, keep: impl Fn(UserId) -> bool) -> Self {
        Self::new(self.sequences.of_users(keep))
    }

    /// The training events without the latest event of each user, which is left for a later
    /// training. Users with one event are left out.
    #[must_use]
    pub fn without_latest(&self) -> Self {
        Self::new(self.sequences.without_latest())
    }

    /// The same events, of which only the latest of each user is a target: the samples that a
    /// training on [`without_latest`](Self::without_latest) has not seen.
    #[must_use]
    pub fn latest(&self) -> Self {
        Self::new(self.sequences.latest())
    }

    /// Each user's latest training event after the one before it, earlier item first: pairs that
    /// [`without_latest`](Self::without_latest) does not have, unless a user chose the same two before. Users
    /// of one event are left out.
    pub fn latest_pairs(&self) -> impl Iterator<Item = (ItemId, ItemId)> {
        self.sequences().filter_map(|sequence| match sequence.events {
            [.., before, latest] => Some((*before, *latest)),
            _ => None,
        })
    }

    /// Number of users with training events.
    #[must_use]
    pub fn num_sequences(&self) -> usize {
        self.sequences.len()
    }

    /// Training events of the `index`-th user that has any.
    #[must_use]
    pub fn sequence(&self, index: usize) -> Option<UserSequence<'_>> {
        let user = self.sequences.user(index)?;
        let (events, times) = (self.sequences.events(index), self.sequences.times(index));
        Some(UserSequence { user, events, times })
    }

    /// Every user's training events, by user.
    pub fn sequences(&self) -> impl Iterator<Item = UserSequence<'_>> {
        (0..self.num_sequences()).filter_map(|index| self.sequence(index))
    }

    /// The training events of a user, earliest first: the beginning of all events of the user; none for a
    /// user without training events.
    #[must_use]
    pub fn events_of(&self, user: UserId) -> &[ItemId] {
        self.sequences.events_of(user)
    }

    /// The training events after a sample of its user, earliest first. There are none after the
    /// samples of validation and test, which come after all training events of their users.
    ///
    /// ```
    /// use std::num::NonZeroUsize;
    /// use sidereal_data::{Dataset, HeldOut as _, Item, ItemId, User, leave_one_out};
    ///
    /// let items = ["tea", "kettle", "whisk"].map(|title| Item::new(title, title)).to_vec();
    /// let user = User::new("ann", [0, 1, 2, 0, 1, 2].map(ItemId).to_vec());
    /// let split = leave_one_out(&Dataset::new(items, vec![user])?, NonZeroUsize::MAX)?;
    /// let first = split.train.sample(0).unwrap(); // tea -> kettle, and then whisk, tea
    /// assert_eq!(split.train.after(&first), [ItemId(2), ItemId(0)]);
    /// assert!(split.train.after(&split.test.sample(0).unwrap()).is_empty());
    /// # Ok::<(), sidereal_data::DataError>(())
    /// ```
    #[must_use]
    pub fn after(&self, sample: &Sample<'_>) -> &[ItemId] {
        let events = self.sequences.events_of(sample.user);
        events.get(sample.seen.len() + 1..).unwrap_or_default()
    }

    /// Number of samples: every event with an event before it.
    #[must_use]
    pub fn num_samples(&self) -> usize {
        self.sequences.num_samples()
    }

    /// The `index`-th sample; `None` past the end.
    #[must_use]
    pub fn sample(&self, index: usize) -> Option<Sample<'_>> {
        self.sequences.nth(index)
    }

    /// Every sample, by user, then by position: a sample's history and target begin the history
    /// of the next one of the same user, up to `max_history`.
    pub fn samples(&self) -> impl Iterator<Item = Sample<'_>> {
        self.sequences.samples()
    }

    /// Longest history that a sample shows.
    #[must_use]
    pub const fn max_history(&self) -> NonZeroUsize {
        self.sequences.max_history()
    }

    /// BLAKE3 of users, events and `max_history`, in hexadecimal.
    #[must_use]
    pub fn hash(&self) -> String {
        self.sequences.hash("train", Targets::All)
    }
}

/// A set on which a model is evaluated: one target a user with leave-one-out, all later events of a
/// user with the other protocols. [`TrainSet`] does not implement it.
pub trait HeldOut {
    /// Name of the set in reports.
    const NAME: &'static str;

    /// Number of samples.
    fn num_samples(&self) -> usize;

    /// The `index`-th sample, by user, then by position; `None` past the end.
    fn sample(&self, index: usize) -> Option<Sample<'_>>;

    /// BLAKE3 of the set, in hexadecimal.
    fn hash(&self) -> String;

    /// Every sample, by user, then by position.
    fn samples(&self) -> impl Iterator<Item = Sample<'_>> {
        (0..self.num_samples()).filter_map(|index| self.sample(index))
    }
}

/// The samples on which settings are chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidSet(pub(super) Sequences);

impl HeldOut for ValidSet {
    const NAME: &'static str = "valid";

    fn num_samples(&self) -> usize {
        self.0.num_samples()
    }

    fn sample(&self, index: usize) -> Option<Sample<'_>> {
        self.0.nth(index)
    }

    fn hash(&self) -> String {
        self.0.hash(Self::NAME, Targets::Last)
    }
}

/// The samples on which results are reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestSet(pub(super) Sequences);

impl TestSet {
    /// The samples of the users for which `keep` holds; they keep their identities.
    #[must_use]
    pub fn of_users(&self, keep: impl Fn(UserId) -> bool) -> Self {
        Self(self.0.of_users(keep))
    }
}

impl HeldOut for TestSet {
    const NAME: &'static str = "test";

    fn num_samples(&self) -> usize {
        self.0.num_samples()
    }

    fn sample(&self, index: usize) -> Option<Sample<'_>> {
        self.0.nth(index)
    }

    fn hash(&self) -> String {
        self.0.hash(Self::NAME, Targets::Last)
    }
}
