//! Who is trained on, who chooses settings, who is reported: three sets, three types.

use std::fmt;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use sidereal_sid::ItemId;

use crate::dataset::Digest;
use crate::{CorpusError, Dataset, Sample, SampleId, UserId};

/// How a dataset was cut: numbers of different protocols are not comparable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Protocol {
    /// Each user's last event is tested, the second last validates, the rest trains.
    LeaveOneOut,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeaveOneOut => f.write_str("leave-one-out"),
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

impl Split {
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

/// Splits by leave-one-out, all items being candidates.
///
/// ```text
/// events e[0] … e[n-1], n >= 3:  train e[0..n-2]   valid e[n-2] given e[0..n-2]
///                                                  test  e[n-1] given e[0..n-1]
/// n < 3: all events train, nothing is held out
/// ```
/// Histories shown to a model are cut to their last `max_history` items (a sliding window).
///
/// # Errors
/// [`CorpusError::NothingHeldOut`] if no user has 3 events.
///
/// # Examples
/// ```
/// use std::num::NonZeroUsize;
/// use sidereal_corpus::{Dataset, HeldOut, Item, ItemId, User, leave_one_out};
///
/// let items = (0..4).map(|i| Item::new(i.to_string(), "")).collect();
/// let users = vec![User::new("ann", [3, 1, 0, 2].map(ItemId).to_vec())];
/// let split = leave_one_out(&Dataset::new(items, users)?, NonZeroUsize::new(2).unwrap())?;
///
/// assert_eq!(split.train.num_samples(), 1); // 3 -> 1
/// let test = split.test.sample(0).unwrap();
/// assert_eq!((test.history, test.target), (&[ItemId(1), ItemId(0)][..], ItemId(2)));
/// assert_eq!(test.seen.len(), 3);
/// # Ok::<(), sidereal_corpus::CorpusError>(())
/// ```
pub fn leave_one_out(dataset: &Dataset, max_history: NonZeroUsize) -> Result<Split, CorpusError> {
    let empty = || Sequences::new(max_history);
    let (mut train, mut valid, mut test) = (empty(), empty(), empty());
    for (user, record) in dataset.users_by_id() {
        let events = &record.events;
        if events.len() < 3 {
            train.push(user, events);
        } else {
            train.push(user, &events[..events.len() - 2]);
            valid.push(user, &events[..events.len() - 1]);
            test.push(user, events);
        }
    }
    if test.users.is_empty() {
        let longest = dataset.users().iter().map(|user| user.events.len()).max().unwrap_or(0);
        return Err(CorpusError::NothingHeldOut { longest });
    }
    Ok(Split {
        protocol: Protocol::LeaveOneOut,
        train: TrainSet::new(train),
        valid: ValidSet(valid),
        test: TestSet(test),
    })
}

/// The training events of one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserSequence<'a> {
    /// Whose events.
    pub user: UserId,
    /// Items, earliest first.
    pub events: &'a [ItemId],
}

/// What a model learns from: no event of it is a validation or test target of its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainSet {
    sequences: Sequences,
    /// Number of samples before each sequence, `[sequences + 1]`.
    first_sample: Vec<usize>,
}

impl TrainSet {
    fn new(sequences: Sequences) -> Self {
        let mut first_sample = vec![0];
        let mut total = 0;
        for row in 0..sequences.len() {
            total += sequences.events(row).len().saturating_sub(1);
            first_sample.push(total);
        }
        Self { sequences, first_sample }
    }

    /// Number of users with training events.
    #[must_use]
    pub fn num_sequences(&self) -> usize {
        self.sequences.len()
    }

    /// Training events of the `index`-th user that has any.
    #[must_use]
    pub fn sequence(&self, index: usize) -> Option<UserSequence<'_>> {
        let user = *self.sequences.users.get(index)?;
        Some(UserSequence { user, events: self.sequences.events(index) })
    }

    /// Every user's training events, by user.
    pub fn sequences(&self) -> impl Iterator<Item = UserSequence<'_>> {
        (0..self.num_sequences()).filter_map(|index| self.sequence(index))
    }

    /// Number of samples: every event with an event before it.
    #[must_use]
    pub fn num_samples(&self) -> usize {
        self.first_sample.last().copied().unwrap_or(0)
    }

    /// The `index`-th sample; `None` past the end.
    #[must_use]
    pub fn sample(&self, index: usize) -> Option<Sample<'_>> {
        let row = self.first_sample.partition_point(|first| *first <= index).checked_sub(1)?;
        let before = self.first_sample.get(row).copied()?;
        self.sequences.sample(row, index - before + 1)
    }

    /// Every sample, by user, then by position: a sample's history and target begin the history
    /// of the next one of the same user, up to `max_history`.
    pub fn samples(&self) -> impl Iterator<Item = Sample<'_>> {
        (0..self.num_sequences()).flat_map(move |row| {
            (1..self.sequences.events(row).len())
                .filter_map(move |position| self.sequences.sample(row, position))
        })
    }

    /// Longest history that a sample shows.
    #[must_use]
    pub const fn max_history(&self) -> NonZeroUsize {
        self.sequences.max_history
    }

    /// BLAKE3 of users, events and `max_history`, in hexadecimal.
    #[must_use]
    pub fn hash(&self) -> String {
        self.sequences.hash("train")
    }
}

/// A set that a model is judged on, one target a user. [`TrainSet`] is none.
pub trait HeldOut {
    /// Name of the set in reports.
    const NAME: &'static str;

    /// Number of samples.
    fn num_samples(&self) -> usize;

    /// The `index`-th sample, by user; `None` past the end.
    fn sample(&self, index: usize) -> Option<Sample<'_>>;

    /// BLAKE3 of the set, in hexadecimal.
    fn hash(&self) -> String;

    /// Every sample, by user.
    fn samples(&self) -> impl Iterator<Item = Sample<'_>> {
        (0..self.num_samples()).filter_map(|index| self.sample(index))
    }
}

/// What settings are chosen on, one target a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidSet(Sequences);

impl HeldOut for ValidSet {
    const NAME: &'static str = "valid";

    fn num_samples(&self) -> usize {
        self.0.len()
    }

    fn sample(&self, index: usize) -> Option<Sample<'_>> {
        self.0.last_sample(index)
    }

    fn hash(&self) -> String {
        self.0.hash(Self::NAME)
    }
}

/// What is reported, one target a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestSet(Sequences);

impl HeldOut for TestSet {
    const NAME: &'static str = "test";

    fn num_samples(&self) -> usize {
        self.0.len()
    }

    fn sample(&self, index: usize) -> Option<Sample<'_>> {
        self.0.last_sample(index)
    }

    fn hash(&self) -> String {
        self.0.hash(Self::NAME)
    }
}

/// Users' events, adjacent, each a beginning of the user's whole sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sequences {
    users: Vec<UserId>,
    /// Start of each sequence in `events`, `[users + 1]`.
    starts: Vec<usize>,
    events: Vec<ItemId>,
    max_history: NonZeroUsize,
}

impl Sequences {
    fn new(max_history: NonZeroUsize) -> Self {
        Self { users: Vec::new(), starts: vec![0], events: Vec::new(), max_history }
    }

    fn push(&mut self, user: UserId, events: &[ItemId]) {
        if !events.is_empty() {
            self.users.push(user);
            self.events.extend_from_slice(events);
            self.starts.push(self.events.len());
        }
    }

    fn len(&self) -> usize {
        self.users.len()
    }

    fn events(&self, row: usize) -> &[ItemId] {
        &self.events[self.starts[row]..self.starts[row + 1]]
    }

    fn sample(&self, row: usize, position: usize) -> Option<Sample<'_>> {
        let user = *self.users.get(row)?;
        let events = self.events(row);
        let target = *events.get(position)?;
        let seen = &events[..position];
        let history = &seen[position.saturating_sub(self.max_history.get())..];
        let id = SampleId::Event { user, position: u32::try_from(position).ok()? };
        Some(Sample { id, user, history, seen, target })
    }

    fn last_sample(&self, row: usize) -> Option<Sample<'_>> {
        (row < self.len()).then(|| self.sample(row, self.events(row).len() - 1)).flatten()
    }

    fn hash(&self, name: &str) -> String {
        let mut digest = Digest::default();
        digest.text(name);
        digest.size(self.max_history.get());
        digest.size(self.len());
        for (row, user) in self.users.iter().enumerate() {
            digest.size(user.index());
            digest.items(self.events(row));
        }
        digest.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Item, User};

    fn split(lengths: &[u32], max_history: usize) -> Result<Split, CorpusError> {
        let items = (0..9).map(|i| Item::new(i.to_string(), "")).collect();
        let users = lengths
            .iter()
            .enumerate()
            .map(|(u, n)| User::new(u.to_string(), (0..*n).map(ItemId).collect()))
            .collect();
        leave_one_out(&Dataset::new(items, users)?, NonZeroUsize::new(max_history).unwrap())
    }

    #[test]
    fn a_user_with_two_events_only_trains() {
        let split = split(&[2, 3], 5).unwrap();
        assert_eq!(split.train.num_sequences(), 2);
        assert_eq!(split.train.num_samples(), 1);
        assert_eq!(split.valid.num_samples(), 1);
        assert_eq!(split.test.num_samples(), 1);
        assert_eq!(split.test.sample(0).unwrap().user, UserId(1));
        assert_eq!(split.test.sample(1), None);
    }

    #[test]
    fn random_access_agrees_with_iteration() {
        let split = split(&[5, 2, 1, 9, 3], 3).unwrap();
        let all: Vec<_> = split.train.samples().collect();
        assert_eq!(all.len(), split.train.num_samples());
        for (index, sample) in all.iter().enumerate() {
            assert_eq!(split.train.sample(index).as_ref(), Some(sample));
        }
        assert_eq!(split.train.sample(all.len()), None);
    }

    #[test]
    fn nobody_to_hold_out_is_an_error() {
        assert!(matches!(split(&[2, 1], 5), Err(CorpusError::NothingHeldOut { longest: 2 })));
    }

    #[test]
    fn the_hash_depends_on_the_window() {
        assert_ne!(split(&[5], 3).unwrap().hash(), split(&[5], 4).unwrap().hash());
        assert_eq!(split(&[5], 3).unwrap().hash(), split(&[5], 3).unwrap().hash());
    }
}
