//! What a user chose.

use std::fmt;

use serde::{Deserialize, Serialize};
use sidereal_sid::ItemId;

use crate::{Labels, Query, Timestamp};

/// Dense identity of a user: its row in the dataset.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UserId(pub u32);

impl UserId {
    /// The identity as an index into user-major arrays.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A user's choices.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct User {
    /// Name in the source, unique.
    pub key: String,
    /// Items chosen, earliest first.
    pub events: Vec<ItemId>,
    /// The time of each event, never falling; empty if the source has no times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub times: Vec<Timestamp>,
    /// The behaviours of each event besides the choice; empty if the source has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Labels>,
    /// Who the user is, in words; empty if the source does not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub portrait: String,
    /// What the user asked for in words; empty if the source has no queries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queries: Vec<Query>,
}

impl User {
    /// A user with this key who chose `events`, earliest first, without times and behaviours.
    #[must_use]
    pub fn new(key: impl Into<String>, events: Vec<ItemId>) -> Self {
        Self { key: key.into(), events, ..Self::default() }
    }

    /// The user with the times of the events, earliest first.
    #[must_use]
    pub fn with_times(mut self, times: Vec<Timestamp>) -> Self {
        self.times = times;
        self
    }

    /// The user with the behaviours of the events, earliest first.
    #[must_use]
    pub fn with_labels(mut self, labels: Vec<Labels>) -> Self {
        self.labels = labels;
        self
    }

    /// The user with a description in words, and with queries.
    #[must_use]
    pub fn with_queries(mut self, portrait: impl Into<String>, queries: Vec<Query>) -> Self {
        (self.portrait, self.queries) = (portrait.into(), queries);
        self
    }

    /// Every item of every query, with the query: the `place`-th of them is what
    /// [`SampleId::Query`](crate::SampleId::Query) names.
    pub fn queried(&self) -> impl Iterator<Item = (&Query, ItemId)> {
        self.queries.iter().flat_map(|query| query.items.iter().map(move |item| (query, *item)))
    }

    /// The behaviours of an event; none if the source has none and past the last event.
    #[must_use]
    pub fn labels_of(&self, position: usize) -> Labels {
        self.labels.get(position).copied().unwrap_or_default()
    }

    /// When an event happened; `None` if the source has no times and past the last event.
    #[must_use]
    pub fn time(&self, position: usize) -> Option<Timestamp> {
        self.times.get(position).copied()
    }
}
