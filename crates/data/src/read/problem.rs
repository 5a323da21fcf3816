//! A row with a problem.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest piece of a row that a message repeats, in characters.
const MAX_SHOWN: usize = 80;

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ProblemKind {
    /// The row does not have the form of the format.
    Malformed,
    /// Longer than [`RowPolicy::max_line`](crate::read::RowPolicy::max_line).
    TooLong,
    /// A field that is needed is missing, empty or of another type.
    Field,
    /// A time that is not one of [`RowPolicy::times`](crate::read::RowPolicy::times).
    Time,
    /// A rating outside 1 to 5.
    Rating,
    /// The same user, item and time as an earlier row, or an item that already has a row.
    Duplicate,
    /// No title, or none after its markup was removed.
    MissingTitle,
    /// The script or the style sheet of a page in place of a title.
    Script,
    /// HTML tags or entities in a title.
    Markup,
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "malformed",
            Self::TooLong => "too long",
            Self::Field => "bad field",
            Self::Time => "bad time",
            Self::Rating => "bad rating",
            Self::Duplicate => "duplicate",
            Self::MissingTitle => "missing title",
            Self::Script => "script",
            Self::Markup => "markup",
        })
    }
}

/// A row with a problem: where it is, and what was found there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Problem {
    /// What is wrong.
    pub kind: ProblemKind,
    /// Line of the file, from 1; row of a table without lines.
    pub line: u64,
    /// Field; empty if it is the whole row.
    pub field: Cow<'static, str>,
    /// What was found, cut short.
    pub found: String,
    /// What was needed.
    pub expected: &'static str,
}

impl Problem {
    /// A problem of line 0. The reader of the file then sets the line by [`at`](Self::at).
    #[must_use]
    pub fn new(
        kind: ProblemKind,
        field: impl Into<Cow<'static, str>>,
        found: &str,
        expected: &'static str,
    ) -> Self {
        let mut shown: String = found.chars().take(MAX_SHOWN).collect();
        if shown.len() < found.len() {
            shown.push('…');
        }
        Self { kind, line: 0, field: field.into(), found: shown, expected }
    }

    /// The same problem, of this line.
    #[must_use]
    pub fn at(mut self, line: u64) -> Self {
        self.line = line;
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if !self.field.is_empty() {
            write!(f, ", field `{}`", self.field)?;
        }
        write!(f, ": {}: expected {}, found `{}`", self.kind, self.expected, self.found)
    }
}
