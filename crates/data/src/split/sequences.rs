//! What the three sets of a split are made of: beginnings of users' sequences.

use std::num::NonZeroUsize;

use sidereal_sid::ItemId;

use crate::digest::Digest;
use crate::{Sample, SampleId, Timestamp, User, UserId};

/// Users' events, adjacent, each a beginning of the user's whole sequence, and from which position
/// on they are targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sequences {
    users: Vec<UserId>,
    /// Start of each sequence in `events`, `[users + 1]`.
    starts: Vec<usize>,
    events: Vec<ItemId>,
    /// Of each event; empty if the source has none.
    times: Vec<Timestamp>,
    /// Position of each sequence's first target, at least 1, `[users]`.
    first_target: Vec<usize>,
    /// Number of samples before each sequence, `[users + 1]`.
    first_sample: Vec<usize>,
    max_history: NonZeroUsize,
    /// Whether every event has a time.
    timed: bool,
}

/// Which targets of a sequence are usual for a set; the hash of the set does not cover them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Targets {
    /// Every event with an event before it.
    All,
    /// The last event.
    Last,
}

impl Sequences {
    pub(super) fn new(max_history: NonZeroUsize, timed: bool) -> Self {
        Self {
            users: Vec::new(),
            starts: vec![0],
            events: Vec::new(),
            times: Vec::new(),
            first_target: Vec::new(),
            first_sample: vec![0],
            max_history,
            timed,
        }
    }

    /// Adds the first `len` events of a user, whose targets begin at `first_target` (0 counts as
    /// 1: nothing precedes the first event). A sequence without events is left out.
    pub(super) fn push(&mut self, id: UserId, user: &User, len: usize, first_target: usize) {
        let events = user.events.get(..len).unwrap_or(&user.events);
        if !events.is_empty() {
            let times = if self.timed { &user.times[..] } else { &[] };
            self.push_row(id, events, times.get(..len).unwrap_or(times), first_target.max(1));
        }
    }

    /// The sequences of the users for which `keep` holds.
    pub(super) fn of_users(&self, keep: impl Fn(UserId) -> bool) -> Self {
        let mut kept = Self::new(self.max_history, self.timed);
        for (row, user) in self.users.iter().enumerate().filter(|(_, user)| keep(**user)) {
            kept.push_row(*user, self.events(row), self.times(row), self.first_target[row]);
        }
        kept
    }

    /// The sequences without their latest events; those of one event are left out.
    pub(super) fn without_latest(&self) -> Self {
        let mut kept = Self::new(self.max_history, self.timed);
        for (row, user) in self.users.iter().enumerate() {
            let Some((_, events)) = self.events(row).split_last() else { continue };
            if !events.is_empty() {
                let times = self.times(row);
                let times = times.get(..events.len()).unwrap_or(times);
                kept.push_row(*user, events, times, self.first_target[row]);
            }
        }
        kept
    }

    /// The same sequences, of which the latest event alone is a target, if it was one before.
    pub(super) fn latest(&self) -> Self {
        let mut kept = Self::new(self.max_history, self.timed);
        for (row, user) in self.users.iter().enumerate() {
            let events = self.events(row);
            let first = self.first_target[row].max(events.len().saturating_sub(1));
            kept.push_row(*user, events, self.times(row), first);
        }
        kept
    }

    fn push_row(
        &mut self,
        id: UserId,
        events: &[ItemId],
        times: &[Timestamp],
        first_target: usize,
    ) {
        let before = self.num_samples();
        self.users.push(id);
        self.events.extend_from_slice(events);
        self.times.extend_from_slice(times);
        self.starts.push(self.events.len());
        self.first_target.push(first_target);
        self.first_sample.push(before + events.len().saturating_sub(first_target));
    }

    pub(super) fn len(&self) -> usize {
        self.users.len()
    }

    pub(super) const fn max_history(&self) -> NonZeroUsize {
        self.max_history
    }

    pub(super) fn user(&self, row: usize) -> Option<UserId> {
        self.users.get(row).copied()
    }

    pub(super) fn events(&self, row: usize) -> &[ItemId] {
        &self.events[self.starts[row]..self.starts[row + 1]]
    }

    /// The events of a user; none for a user without a sequence.
    pub(super) fn events_of(&self, user: UserId) -> &[ItemId] {
        self.users.binary_search(&user).map_or(&[], |row| self.events(row))
    }

    pub(super) fn times(&self, row: usize) -> &[Timestamp] {
        self.times.get(self.starts[row]..self.starts[row + 1]).unwrap_or_default()
    }

    pub(super) fn num_samples(&self) -> usize {
        // Without users there are no samples.
        self.first_sample.last().copied().unwrap_or(0)
    }

    /// The `index`-th sample, by row, then by position.
    pub(super) fn nth(&self, index: usize) -> Option<Sample<'_>> {
        let row = self.first_sample.partition_point(|first| *first <= index).checked_sub(1)?;
        let position = self.first_target.get(row)? + (index - self.first_sample.get(row)?);
        self.sample(row, position)
    }

    pub(super) fn samples(&self) -> impl Iterator<Item = Sample<'_>> {
        (0..self.len()).flat_map(move |row| {
            (self.first_target[row]..self.events(row).len())
                .filter_map(move |position| self.sample(row, position))
        })
    }

    fn sample(&self, row: usize, position: usize) -> Option<Sample<'_>> {
        let user = self.user(row)?;
        let events = self.events(row);
        let target = *events.get(position)?;
        let seen = &events[..position];
        let history = &seen[position.saturating_sub(self.max_history.get())..];
        let id = SampleId::Event { user, position: u32::try_from(position).ok()? };
        let time = self.times(row).get(position).copied();
        Some(Sample { id, user, history, seen, target, time })
    }

    /// BLAKE3 of users, events, `max_history` and, if they are not the `usual` ones, targets.
    pub(super) fn hash(&self, name: &str, usual: Targets) -> String {
        let mut digest = Digest::default();
        digest.text(name);
        digest.size(self.max_history.get());
        digest.size(self.len());
        for (row, user) in self.users.iter().enumerate() {
            digest.size(user.index());
            digest.items(self.events(row));
        }
        let is_usual = |(row, first): (usize, &usize)| match usual {
            Targets::All => *first == 1,
            Targets::Last => first + 1 == self.events(row).len(),
        };
        if !self.first_target.iter().enumerate().all(is_usual) {
            digest.text("targets");
            self.first_target.iter().for_each(|first| digest.size(*first));
        }
        digest.finish()
    }
}
