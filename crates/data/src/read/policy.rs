//! What happens to rows with problems: one decision for each kind of problem.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::placeholder::{OnPlaceholder, Placeholders};
use super::problem::{Problem, ProblemKind};
use crate::DataError;

/// Problems of each kind that are listed; the rest are counted.
const MAX_LISTED: usize = 20;

/// What happens to a row that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnBroken {
    /// Reading ends with [`DataError::Row`].
    #[default]
    Error,
    /// The row is left out, counted and listed.
    Skip,
}

/// What happens to a row that can be used, but perhaps should not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnDoubtful {
    /// Reading ends with [`DataError::Row`].
    #[default]
    Error,
    /// The row is left out, counted and listed.
    Skip,
    /// The row is used as it is.
    Keep,
}

/// What happens to a title with HTML in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnMarkup {
    /// Reading ends with [`DataError::Row`].
    #[default]
    Error,
    /// The row is left out, counted and listed.
    Skip,
    /// The title is used as it is.
    Keep,
    /// Tags are removed, entities become their characters, the row is counted and listed.
    Clean,
}

/// One decision for each kind of problem. If a row is left out, the [`Skips`] of the reader say so.
///
/// ```
/// use sidereal_data::read::{OnBroken, OnDoubtful, RowPolicy};
///
/// let policy = RowPolicy { duplicates: OnDoubtful::Keep, ..RowPolicy::strict() };
/// assert_eq!(policy.malformed, OnBroken::Error);
/// assert_eq!(RowPolicy::lenient().malformed, OnBroken::Skip);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowPolicy {
    /// Rows that are too long, that the format does not allow, or with a bad field.
    pub malformed: OnBroken,
    /// Times outside `times`.
    pub bad_times: OnBroken,
    /// Ratings outside 1 to 5.
    pub bad_ratings: OnBroken,
    /// A second row with the same user, item and time; for items, a second row of an item.
    pub duplicates: OnDoubtful,
    /// Items without a title: the field is missing, holds a word for a missing value
    /// ([`placeholders`](Self::placeholders)), or holds the script of a page. [`OnDoubtful::Keep`]
    /// leaves their title empty, and counts the titles that were not empty.
    pub missing_titles: OnDoubtful,
    /// Titles with HTML.
    pub markup: OnMarkup,
    /// Fields that hold a word for a missing value, such as `nan`.
    #[serde(default)]
    pub placeholders: OnPlaceholder,
    /// Times that can be right, milliseconds since 1970 in UTC, ends included.
    pub times: (crate::Timestamp, crate::Timestamp),
    /// Longest line in bytes.
    pub max_line: usize,
}

impl RowPolicy {
    /// Every problem is an error. Times from 1995 to 2099 can be right, so seconds that are taken
    /// for milliseconds, or the other way round, are noticed; a line has at most 16 MiB.
    #[must_use]
    pub const fn strict() -> Self {
        Self {
            malformed: OnBroken::Error,
            bad_times: OnBroken::Error,
            bad_ratings: OnBroken::Error,
            duplicates: OnDoubtful::Error,
            missing_titles: OnDoubtful::Error,
            markup: OnMarkup::Error,
            placeholders: OnPlaceholder::Missing,
            times: (crate::Timestamp(788_918_400_000), crate::Timestamp(4_102_444_799_999)),
            max_line: 16 << 20,
        }
    }

    /// Broken rows, duplicates and items without a title are skipped, titles are cleaned.
    #[must_use]
    pub const fn lenient() -> Self {
        Self {
            malformed: OnBroken::Skip,
            bad_times: OnBroken::Skip,
            bad_ratings: OnBroken::Skip,
            duplicates: OnDoubtful::Skip,
            missing_titles: OnDoubtful::Skip,
            markup: OnMarkup::Clean,
            ..Self::strict()
        }
    }

    /// Whether a problem ends the reading.
    fn is_error(&self, kind: ProblemKind) -> bool {
        match kind {
            ProblemKind::Malformed | ProblemKind::TooLong | ProblemKind::Field => {
                self.malformed == OnBroken::Error
            }
            ProblemKind::Time => self.bad_times == OnBroken::Error,
            ProblemKind::Rating => self.bad_ratings == OnBroken::Error,
            ProblemKind::Duplicate => self.duplicates == OnDoubtful::Error,
            ProblemKind::MissingTitle | ProblemKind::Script => {
                self.missing_titles == OnDoubtful::Error
            }
            ProblemKind::Markup => self.markup == OnMarkup::Error,
        }
    }
}

impl Default for RowPolicy {
    fn default() -> Self {
        Self::strict()
    }
}

/// The rows of one file that were left out, or changed ([`OnMarkup::Clean`]). Readers also emit their
/// counts as a `tracing` warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Skips {
    /// Which file.
    pub path: PathBuf,
    /// How many of each kind.
    pub counts: BTreeMap<ProblemKind, u64>,
    /// The first 20 of each kind, in the order of lines.
    pub listed: Vec<Problem>,
    /// Words that were taken for a missing value, in rows that were used.
    #[serde(skip_serializing_if = "Placeholders::is_empty")]
    pub placeholders: Placeholders,
}

impl Skips {
    /// No rows yet, of this file.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        let placeholders = Placeholders::default();
        Self { path: path.to_owned(), counts: BTreeMap::new(), listed: Vec::new(), placeholders }
    }

    /// Rows with problems.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Logs a warning of what was left out or changed, if anything was.
    pub fn tell(&self) {
        if self.total() > 0 || !self.placeholders.is_empty() {
            tracing::warn!("{}", Summary(self));
        }
    }

    /// Rejects a file if rows were skipped and nothing is left.
    ///
    /// # Errors
    /// [`DataError::AllSkipped`].
    pub fn left_some(&self, left: usize) -> Result<(), DataError> {
        match self.listed.first() {
            Some(first) if left == 0 => Err(DataError::AllSkipped {
                path: self.path.clone(),
                count: self.total(),
                first: first.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Counts the problem, or returns it as an error.
    ///
    /// # Errors
    /// [`DataError::Row`] for a problem that `policy` calls an error.
    pub fn add(&mut self, problem: Problem, policy: &RowPolicy) -> Result<(), DataError> {
        if policy.is_error(problem.kind) {
            return Err(DataError::Row { path: self.path.clone(), problem });
        }
        let count = self.counts.entry(problem.kind).or_default();
        *count += 1;
        if *count <= MAX_LISTED as u64 {
            self.listed.push(problem);
        }
        Ok(())
    }
}

/// The counts alone, on one line.
struct Summary<'a>(&'a Skips);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Skips { path, counts, placeholders, .. } = self.0;
        write!(f, "{}: rows left out or changed: {}", path.display(), self.0.total())?;
        counts.iter().try_for_each(|(kind, count)| write!(f, ", {kind} {count}"))?;
        if placeholders.is_empty() {
            Ok(())
        } else {
            write!(f, "; taken for no value: {placeholders}")
        }
    }
}

/// One line for each kind, one for words taken for a missing value, then the listed rows.
impl fmt::Display for Skips {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} rows with problems", self.path.display(), self.total())?;
        for (kind, count) in &self.counts {
            write!(f, "\n  {kind}: {count}")?;
        }
        if !self.placeholders.is_empty() {
            write!(f, "\n  taken for no value: {}", self.placeholders)?;
        }
        self.listed.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_counted_and_the_first_of_each_kind_are_listed() {
        let mut skips = Skips::new(Path::new("x.json"));
        for line in 1..=50 {
            let kind = if line % 2 == 0 { ProblemKind::Time } else { ProblemKind::Duplicate };
            let problem = Problem::new(kind, "t", "ü".repeat(200).as_str(), "less").at(line);
            skips.add(problem, &RowPolicy::lenient()).unwrap();
        }
        assert_eq!(skips.total(), 50);
        assert_eq!(skips.listed.len(), 40);
        assert_eq!(skips.listed[0].found.chars().count(), 81);
        assert!(
            skips.to_string().contains("line 1, field `t`: duplicate: expected less, found `ü")
        );
    }

    #[test]
    fn a_summary_is_one_line_of_counts() {
        let mut skips = Skips::new(Path::new("x.json"));
        let problem = Problem::new(ProblemKind::Script, "title", "var x = 1;", "a title").at(3);
        skips.add(problem, &RowPolicy::lenient()).unwrap();
        skips.placeholders.add("brand", "nan");
        let expected = "x.json: rows left out or changed: 1, script 1; taken for no value: brand: \
                        1 time `nan`";
        assert_eq!(Summary(&skips).to_string(), expected);
    }

    #[test]
    fn a_strict_policy_refuses_with_file_line_and_field() {
        let problem = Problem::new(ProblemKind::Time, "timestamp", "0", "a time").at(7);
        let error = Skips::new(Path::new("x.json")).add(problem, &RowPolicy::strict()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`x.json`, line 7, field `timestamp`: bad time: expected a time, found `0`"
        );
    }
}
