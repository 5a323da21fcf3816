//! Reviews: who reviewed what, and when.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::Release;
use crate::read::lines::{self, Lines};
use crate::read::literal;
use crate::read::policy::{OnDoubtful, RowPolicy, Skips};
use crate::read::problem::{Problem, ProblemKind};
use crate::{DataError, Interaction, Interactions, Timestamp};

/// Names of the fields of a release.
struct Fields {
    user: &'static str,
    item: &'static str,
    rating: &'static str,
    time: &'static str,
    /// Milliseconds in a unit of time.
    unit: i64,
}

const OLD: Fields = Fields {
    user: "reviewerID",
    item: "asin",
    rating: "overall",
    time: "unixReviewTime",
    unit: 1000,
};
const NEW: Fields =
    Fields { user: "user_id", item: "parent_asin", rating: "rating", time: "timestamp", unit: 1 };

impl Release {
    const fn fields(self) -> &'static Fields {
        match self {
            Self::Y2014 | Self::Y2018 => &OLD,
            Self::Y2023 => &NEW,
        }
    }
}

/// What was read of a file of reviews.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LoadedReviews {
    /// The reviews, in the order of lines.
    pub interactions: Interactions,
    /// Lines left out.
    pub skips: Skips,
}

/// Reads a file of reviews, of which only user, item, rating and time are looked at.
///
/// Lines stream through all cores; memory is that of the [`Interactions`], and, if duplicates are
/// not kept, 24 bytes or more for each review.
///
/// # Errors
/// [`DataError::Io`]; [`DataError::Row`] for the first problem that `policy` calls an error, with
/// file, line and field; [`DataError::AllSkipped`] if no review is left; [`DataError::TooMany`].
///
/// # Examples
/// ```
/// use sidereal_data::read::amazon::{Release, read_reviews};
/// use sidereal_data::read::{ProblemKind, RowPolicy};
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("reviews.json");
/// std::fs::write(
///     &path,
///     r#"{"reviewerID": "A1", "asin": "B7", "overall": 5.0, "unixReviewTime": 1357862400}
///        {"reviewerID": "A1", "asin": "B8", "overall": 5.0, "unixReviewTime": 0}"#,
/// )?;
/// let loaded = read_reviews(&path, Release::Y2014, &RowPolicy::lenient())?;
/// assert_eq!(loaded.interactions.rows()[0].time.to_string(), "2013-01-11T00:00:00Z");
/// assert_eq!(loaded.skips.counts[&ProblemKind::Time], 1); // 1970
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_reviews(
    path: &Path,
    release: Release,
    policy: &RowPolicy,
) -> Result<LoadedReviews, DataError> {
    let mut interactions = Interactions::default();
    let mut skips = Skips::new(path);
    let mut seen = HashSet::new();
    let parse = |lines: Lines<'_>| Block::parse(lines, release, policy);
    lines::read(path, policy.max_line, parse, |first_line, mut block| {
        // Problems and rows in the order of lines: the first error is that of the first line.
        let mut problems = std::mem::take(&mut block.problems).into_iter().peekable();
        interactions.warm(block.keys());
        let mut start = 0;
        for row in block.rows {
            while let Some(problem) = problems.next_if(|problem| problem.line < row.line) {
                let line = problem.line + first_line;
                skips.add(problem.at(line), policy)?;
            }
            let user = block.names.get(start..row.user_end).unwrap_or_default();
            let item = block.names.get(row.user_end..row.item_end).unwrap_or_default();
            start = row.item_end;
            interactions.push(user, item, row.time)?;
            if policy.duplicates != OnDoubtful::Keep {
                let last = interactions.rows().last().copied();
                if last.is_some_and(|last: Interaction| !seen.insert(last)) {
                    interactions.pop();
                    let found = format!("{user} {item}");
                    let needed = "one review of an item by a user at a time";
                    let problem = Problem::new(ProblemKind::Duplicate, "", &found, needed);
                    skips.add(problem.at(first_line + row.line), policy)?;
                }
            }
        }
        for problem in problems {
            let line = problem.line + first_line;
            skips.add(problem.at(line), policy)?;
        }
        Ok(())
    })?;
    skips.left_some(interactions.rows().len())?;
    skips.tell();
    Ok(LoadedReviews { interactions, skips })
}

/// What a block of lines holds.
#[derive(Default)]
struct Block {
    /// User and item of every row, one after the other.
    names: String,
    rows: Vec<Row>,
    /// Lines from 0.
    problems: Vec<Problem>,
}

struct Row {
    user_end: usize,
    item_end: usize,
    /// From 0 in its block.
    line: u64,
    time: Timestamp,
}

impl Block {
    /// User and item of every row.
    fn keys(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        let starts = std::iter::once(0).chain(self.rows.iter().map(|row| row.item_end));
        starts.zip(&self.rows).filter_map(|(start, row)| {
            let user = self.names.get(start..row.user_end)?;
            Some((user, self.names.get(row.user_end..row.item_end)?))
        })
    }

    fn parse(lines: Lines<'_>, release: Release, policy: &RowPolicy) -> Self {
        let mut block = Self::default();
        for (number, line) in lines.iter(policy.max_line) {
            let review = match line {
                Ok(line) => Review::parse(line, release),
                Err(too_long) => Err(too_long.into()),
            };
            match review.and_then(|review| Ok((review.time(release, policy)?, review))) {
                Ok((time, review)) => {
                    block.names.push_str(&review.user);
                    let user_end = block.names.len();
                    block.names.push_str(&review.item);
                    let item_end = block.names.len();
                    block.rows.push(Row { user_end, item_end, line: number, time });
                }
                Err(problem) => block.problems.push(problem.at(number)),
            }
        }
        block
    }
}

/// One line, whose texts are borrowed from it if they hold no escapes.
struct Review<'a> {
    user: Cow<'a, str>,
    item: Cow<'a, str>,
    rating: Option<f64>,
    time: i64,
}

/// As 2014 and 2018 spell it.
#[derive(Deserialize)]
struct Old<'a> {
    #[serde(rename = "reviewerID", borrow)]
    user: Cow<'a, str>,
    #[serde(rename = "asin", borrow)]
    item: Cow<'a, str>,
    #[serde(rename = "overall")]
    rating: Option<f64>,
    #[serde(rename = "unixReviewTime")]
    time: i64,
}

/// As 2023 spells it.
#[derive(Deserialize)]
struct New<'a> {
    #[serde(rename = "user_id", borrow)]
    user: Cow<'a, str>,
    #[serde(rename = "parent_asin", borrow)]
    item: Cow<'a, str>,
    rating: Option<f64>,
    #[serde(rename = "timestamp")]
    time: i64,
}

impl<'a> Review<'a> {
    fn parse(line: &'a [u8], release: Release) -> Result<Self, Problem> {
        if !opens_object(line) {
            return Self::parse_slowly(line, release);
        }
        let review = match release {
            Release::Y2014 | Release::Y2018 => serde_json::from_slice(line)
                .map(|Old { user, item, rating, time }| Self { user, item, rating, time }),
            Release::Y2023 => serde_json::from_slice(line)
                .map(|New { user, item, rating, time }| Self { user, item, rating, time }),
        };
        match review {
            Ok(review) if !review.user.is_empty() && !review.item.is_empty() => Ok(review),
            _ => Self::parse_slowly(line, release),
        }
    }

    /// Parses a line that is unusual slowly, to read it after all or to name what is wrong.
    fn parse_slowly(line: &[u8], release: Release) -> Result<Self, Problem> {
        let row = object(line, release)?;
        let fields = release.fields();
        let key = |field: &'static str| match row.get(field) {
            Some(Value::String(key)) if !key.is_empty() => Ok(Cow::Owned(key.clone())),
            other => Err(Problem::new(ProblemKind::Field, field, &shown(other), "a text")),
        };
        let rating = match row.get(fields.rating) {
            None | Some(Value::Null) => None,
            Some(rating) => Some(rating.as_f64().ok_or_else(|| {
                Problem::new(ProblemKind::Rating, fields.rating, &rating.to_string(), "1 to 5")
            })?),
        };
        let time = row.get(fields.time);
        let time = time.and_then(Value::as_i64).ok_or_else(|| {
            Problem::new(ProblemKind::Time, fields.time, &shown(time), "a whole number")
        })?;
        Ok(Self { user: key(fields.user)?, item: key(fields.item)?, rating, time })
    }

    /// The time, if rating and time have possible values.
    fn time(&self, release: Release, policy: &RowPolicy) -> Result<Timestamp, Problem> {
        let fields = release.fields();
        if let Some(rating) = self.rating.filter(|rating| !(1.0..=5.0).contains(rating)) {
            let found = rating.to_string();
            return Err(Problem::new(ProblemKind::Rating, fields.rating, &found, "1 to 5"));
        }
        let (first, last) = policy.times;
        let time = self.time.checked_mul(fields.unit).map(Timestamp);
        time.filter(|time| (first..=last).contains(time)).ok_or_else(|| {
            let needed = "a time that the policy allows";
            Problem::new(ProblemKind::Time, fields.time, &self.time.to_string(), needed)
        })
    }
}

/// Whether a line can be an object: serde takes an array for the fields in their order, too.
pub(super) fn opens_object(line: &[u8]) -> bool {
    line.trim_ascii_start().starts_with(b"{")
}

/// A line as an object: JSON, of 2014 also a literal of Python.
pub(super) fn object(line: &[u8], release: Release) -> Result<Value, Problem> {
    let text = std::str::from_utf8(line).map_err(|_| {
        Problem::new(ProblemKind::Malformed, "", &String::from_utf8_lossy(line), "UTF-8")
    })?;
    let value = serde_json::from_str(text).ok();
    let value = match release {
        Release::Y2014 => value.or_else(|| literal::parse(text).ok()),
        Release::Y2018 | Release::Y2023 => value,
    };
    value
        .filter(Value::is_object)
        .ok_or_else(|| Problem::new(ProblemKind::Malformed, "", text.trim(), "one object a line"))
}

/// A value as messages show it.
pub(super) fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), Value::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: &str, release: Release) -> Problem {
        let review = Review::parse(line.as_bytes(), release);
        let policy = RowPolicy::strict();
        let checked = review.and_then(|review| review.time(release, &policy).map(|_| review));
        checked.map(|review| review.user.into_owned()).unwrap_err()
    }

    #[test]
    fn a_json_array_is_not_a_review() {
        let line = r#"["u", "a", 5.0, 1300000000]"#;
        assert_eq!(problem(line, Release::Y2018).kind, ProblemKind::Malformed);
        assert_eq!(problem(line, Release::Y2014).kind, ProblemKind::Malformed);
    }

    #[test]
    fn a_time_in_the_wrong_unit_is_seen() {
        let old = r#"{"reviewerID": "u", "asin": "a", "unixReviewTime": 1300000000000}"#;
        let new = r#"{"user_id": "u", "parent_asin": "a", "timestamp": 1300000000}"#;
        for (line, release, field) in
            [(old, Release::Y2018, "unixReviewTime"), (new, Release::Y2023, "timestamp")]
        {
            let problem = problem(line, release);
            assert_eq!((problem.kind, problem.field.as_ref()), (ProblemKind::Time, field));
        }
    }

    #[test]
    fn unusual_lines_are_read_like_usual_ones() {
        let lines = [
            (r#"{"asin": "a", "reviewerID": "u", "unixReviewTime": 1300000000}"#, Release::Y2014),
            (
                r#"{"reviewerID": "\u0075", "asin": "a", "unixReviewTime": 1300000000, "overall": null}"#,
                Release::Y2018,
            ),
            (
                "{'reviewerID': 'u', 'asin': \"a\", 'helpful': [0, 1], 'unixReviewTime': 1300000000}",
                Release::Y2014,
            ),
            (
                r#"{"user_id": "u", "parent_asin": "a", "asin": "b", "timestamp": 1300000000000}"#,
                Release::Y2023,
            ),
        ];
        for (line, release) in lines {
            let review = Review::parse(line.as_bytes(), release).unwrap();
            assert_eq!((review.user.as_ref(), review.item.as_ref()), ("u", "a"), "{line}");
            let time = review.time(release, &RowPolicy::strict()).unwrap();
            assert_eq!(time, Timestamp(1_300_000_000_000));
        }
    }
}
