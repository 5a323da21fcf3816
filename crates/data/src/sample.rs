//! One prediction to make, and its identity from reader to metric.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sidereal_sid::ItemId;

use crate::{Timestamp, UserId};

/// Stable identity of a sample: where in the dataset it comes from, never what its text says.
///
/// Written `u17.4` for the event at position 4 (from 0) of user 17, `q17.4` for item 4 (from 0) of the
/// queries of user 17, `i33` for item 33 and `c8` for row 8 (from 0) of conversations.
///
/// ```
/// use sidereal_data::{SampleId, UserId};
/// let id = SampleId::Event { user: UserId(17), position: 4 };
/// assert_eq!(id.to_string(), "u17.4");
/// assert_eq!("u17.4".parse::<SampleId>()?, id);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SampleId {
    /// The prediction of one event of a user from the events before it.
    Event {
        /// Whose event.
        user: UserId,
        /// Position of the target in the user's whole sequence, from 0.
        position: u32,
    },
    /// The prediction of an item that a user chose for a query.
    Query {
        /// Whose query.
        user: UserId,
        /// Place of the item among those of all queries of the user, from 0.
        place: u32,
    },
    /// A task about one item, for no particular user.
    Item(ItemId),
    /// A conversation that has nothing to do with the dataset.
    Chat(u32),
}

/// A text that is not a [`SampleId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a sample identity like `u17.4`, `q17.4`, `i33` or `c8`, found `{text}`")]
#[allow(missing_docs, reason = "the message names its field")]
pub struct SampleIdError {
    pub text: String,
}

impl fmt::Display for SampleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event { user, position } => write!(f, "u{user}.{position}"),
            Self::Query { user, place } => write!(f, "q{user}.{place}"),
            Self::Item(item) => write!(f, "i{item}"),
            Self::Chat(row) => write!(f, "c{row}"),
        }
    }
}

impl FromStr for SampleId {
    type Err = SampleIdError;

    fn from_str(text: &str) -> Result<Self, SampleIdError> {
        let number = |digits: &str| -> Option<u32> {
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| digits.parse().ok()).flatten()
        };
        let parse = || match text.split_at_checked(1)? {
            ("u", rest) => {
                let (user, position) = rest.split_once('.')?;
                Some(Self::Event { user: UserId(number(user)?), position: number(position)? })
            }
            ("q", rest) => {
                let (user, place) = rest.split_once('.')?;
                Some(Self::Query { user: UserId(number(user)?), place: number(place)? })
            }
            ("i", rest) => Some(Self::Item(ItemId(number(rest)?))),
            ("c", rest) => Some(Self::Chat(number(rest)?)),
            _ => None,
        };
        parse().ok_or_else(|| SampleIdError { text: text.to_owned() })
    }
}

impl TryFrom<String> for SampleId {
    type Error = SampleIdError;

    fn try_from(text: String) -> Result<Self, SampleIdError> {
        text.parse()
    }
}

impl From<SampleId> for String {
    fn from(id: SampleId) -> Self {
        id.to_string()
    }
}

/// One prediction to make: the target from the history before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sample<'a> {
    /// Identity.
    pub id: SampleId,
    /// Whose choice it is.
    pub user: UserId,
    /// What a model may see: the last `max_history` items before the target, earliest first.
    pub history: &'a [ItemId],
    /// Every item before the target, earliest first: the items that the removal of seen items
    /// removes.
    pub seen: &'a [ItemId],
    /// The item that the user chose.
    pub target: ItemId,
    /// When; `None` if the source has no times.
    pub time: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_identities_are_refused() {
        for text in [
            "",
            "u",
            "u1",
            "u1.",
            "q1",
            "q1.",
            "u.1",
            "u+1.2",
            "i",
            "i-1",
            "x3",
            "i4294967296",
            "c",
            "ü1",
        ] {
            assert_eq!(text.parse::<SampleId>(), Err(SampleIdError { text: text.to_owned() }));
        }
    }

    #[test]
    fn an_identity_is_a_string_in_json() {
        let asked = SampleId::Query { user: UserId(3), place: 14 };
        assert_eq!(serde_json::to_string(&asked).unwrap(), "\"q3.14\"");
        assert_eq!("q3.14".parse(), Ok(asked));
        let json = serde_json::to_string(&SampleId::Item(ItemId(33))).unwrap();
        assert_eq!(json, "\"i33\"");
        assert_eq!(serde_json::from_str::<SampleId>(&json).unwrap(), SampleId::Item(ItemId(33)));
    }
}
