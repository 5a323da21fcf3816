//! What a number was measured under.

use std::fmt;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

/// Everything that must be equal, or at least known, before two numbers are compared.
///
/// There is no default: whoever reports a number states each field. Displays as one line.
///
/// ```
/// use sidereal_metrics::{Candidates, Level, Protocol, ScoreKind, SeenItems, Split};
/// let protocol = Protocol {
///     split: Split::LeaveOneOutTest,
///     candidates: Candidates::All,
///     seen_items: SeenItems::Kept,
///     level: Level::Item,
///     score: ScoreKind::PerItem,
///     beam_width: None,
///     num_users: 100,
/// };
/// assert_eq!(
///     protocol.to_string(),
///     "leave-one-out test, all items, seen items kept, item level, 100 users"
/// );
/// let published = Protocol { seen_items: SeenItems::Removed, ..protocol.clone() };
/// assert!(!protocol.is_comparable(&published));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// Which interactions were held out and evaluated.
    pub split: Split,
    /// Which items were ranked.
    pub candidates: Candidates,
    /// Whether the user's earlier items were taken out of the ranking.
    pub seen_items: SeenItems,
    /// Whether a hit is the target's Semantic ID or the target itself.
    pub level: Level,
    /// What ordered the items.
    pub score: ScoreKind,
    /// Beams per user, for systems that decode.
    pub beam_width: Option<NonZeroUsize>,
    /// Users that were evaluated: the denominator of every mean.
    pub num_users: usize,
}

/// Which interactions were held out and evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Split {
    /// Each user's last but one interaction.
    LeaveOneOutValid,
    /// Each user's last interaction.
    LeaveOneOutTest,
    /// The middle part of a division by time over all users.
    GlobalTimeValid,
    /// The latest part of a division by time over all users.
    GlobalTimeTest,
    /// A division that came with the data, by name.
    Given(String),
}

/// Which items were ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Candidates {
    /// All items of the catalogue.
    All,
    /// The target and this many sampled negatives.
    Sampled(usize),
    /// A pool of this many items that is part of the prompt.
    Pool(usize),
}

/// Whether the user's earlier items were taken out of the ranking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeenItems {
    /// They compete with the target.
    Kept,
    /// They are removed before ranks are counted.
    Removed,
}

/// What counts as a hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The target's Semantic ID, which other items may share.
    Sid,
    /// The target; where items share a Semantic ID, in expectation.
    Item,
}

/// What ordered the items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ScoreKind {
    /// A score of every item; nothing was decoded.
    PerItem,
    /// Log-softmax over the whole vocabulary, then restricted to legal codes.
    Full,
    /// Log-softmax over the legal codes only.
    Renormalised,
}

impl Protocol {
    /// Whether numbers under both protocols may stand in one column: all fields but the score and
    /// the beam width, which belong to the system, are equal.
    #[must_use]
    pub fn is_comparable(&self, other: &Self) -> bool {
        self.split == other.split
            && self.candidates == other.candidates
            && self.seen_items == other.seen_items
            && self.level == other.level
            && self.num_users == other.num_users
    }

    /// How the system came to its ranking, such as `beam 20, renormalised`.
    #[must_use]
    pub fn decoding(&self) -> String {
        let score = match self.score {
            ScoreKind::PerItem => "score per item",
            ScoreKind::Full => "full",
            ScoreKind::Renormalised => "renormalised",
        };
        self.beam_width.map_or_else(|| score.to_owned(), |width| format!("beam {width}, {score}"))
    }
}

/// The fields that [`Protocol::is_comparable`] compares, as one line.
impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.split {
            Split::LeaveOneOutValid => f.write_str("leave-one-out validation"),
            Split::LeaveOneOutTest => f.write_str("leave-one-out test"),
            Split::GlobalTimeValid => f.write_str("global time validation"),
            Split::GlobalTimeTest => f.write_str("global time test"),
            Split::Given(name) => write!(f, "given split `{name}`"),
        }?;
        match self.candidates {
            Candidates::All => f.write_str(", all items"),
            Candidates::Sampled(n) => write!(f, ", {n} sampled negatives"),
            Candidates::Pool(n) => write!(f, ", pool of {n}"),
        }?;
        f.write_str(match self.seen_items {
            SeenItems::Kept => ", seen items kept",
            SeenItems::Removed => ", seen items removed",
        })?;
        f.write_str(match self.level {
            Level::Sid => ", SID level",
            Level::Item => ", item level",
        })?;
        write!(f, ", {} users", self.num_users)
    }
}
