//! What users wrote of items they chose, for the texts of a teacher.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::path::Path;

use serde_json::Value;
use sidereal_sid::ItemId;

use super::Release;
use super::reviews::{object, shown};
use crate::read::lines::{self, Lines};
use crate::read::policy::{RowPolicy, Skips};
use crate::read::problem::{Problem, ProblemKind};
use crate::{DataError, Dataset, TrainSet, UserId};

/// What was read of the texts of reviews.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReviewTexts {
    /// Of each item the texts that were kept, the most helpful first, `[N]`.
    pub texts: Vec<Vec<String>>,
    /// Lines left out because they could not be read.
    pub skips: Skips,
}

/// Reads what users wrote of items, from a file of [`read_reviews`](super::read_reviews).
///
/// At most `most` texts of an item are kept: those that most readers called helpful, then the longest
/// ones. The fields are `reviewText` and `helpful` (2014) or `vote` (2018), `text` and `helpful_vote`
/// (2023).
///
/// A review tells that its author chose the item. So only reviews of training events are kept: those
/// of users and items of `dataset` where the user chose the item in `train`, and not again after it.
/// Reviews of others are left out.
///
/// # Errors
/// [`DataError::Io`]; for the first line that `policy` calls an error, [`DataError::Row`];
/// [`DataError::AllSkipped`] if no line could be read.
///
/// # Examples
/// ```
/// use std::num::NonZeroUsize;
/// use sidereal_data::read::RowPolicy;
/// use sidereal_data::read::amazon::{Release, read_review_texts};
/// use sidereal_data::{Dataset, Item, ItemId, User, leave_one_out};
///
/// let items = ["B7", "B8", "B9"].map(|key| Item::new(key, "")).to_vec();
/// let user = User::new("A1", [0, 1, 2].map(ItemId).to_vec()); // B7 in training, then held out
/// let dataset = Dataset::new(items, vec![user])?;
/// let split = leave_one_out(&dataset, NonZeroUsize::MAX)?;
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("reviews.json");
/// let line = |item, text| {
///     format!(r#"{{"user_id": "A1", "parent_asin": "{item}", "text": "{text}", "helpful_vote": 1}}"#)
/// };
/// std::fs::write(&path, [line("B7", "Good salt."), line("B9", "Sharp.")].join("\n"))?;
/// let most = NonZeroUsize::new(5).unwrap();
/// let (release, policy) = (Release::Y2023, RowPolicy::strict());
/// let read = read_review_texts(&path, release, &dataset, &split.train, most, &policy)?;
/// assert_eq!(read.texts, [vec!["Good salt.".to_owned()], vec![], vec![]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_review_texts(
    path: &Path,
    release: Release,
    dataset: &Dataset,
    train: &TrainSet,
    most: NonZeroUsize,
    policy: &RowPolicy,
) -> Result<ReviewTexts, DataError> {
    let chosen = chosen_in_training(dataset, train);
    let users: HashMap<&str, UserId> =
        (0..).map(UserId).zip(dataset.users()).map(|(id, user)| (user.key.as_str(), id)).collect();
    let items: HashMap<&str, ItemId> =
        (0..).map(ItemId).zip(dataset.items()).map(|(id, item)| (item.key.as_str(), id)).collect();
    let wanted = |user: &str, item: &str| {
        let pair = (*users.get(user)?, *items.get(item)?);
        chosen.contains(&pair).then_some(pair.1)
    };
    let parse = |lines: Lines<'_>| -> Vec<(u64, Parsed)> {
        let lines = lines.iter(policy.max_line);
        lines
            .map(|(number, line)| {
                let line = line.map_err(Problem::from);
                (number, line.and_then(|line| Opinion::parse(line, release, &wanted)))
            })
            .collect()
    };
    let (mut skips, mut read) = (Skips::new(path), 0);
    let mut kept: BTreeMap<ItemId, Vec<Opinion>> = BTreeMap::new();
    lines::read(path, policy.max_line, parse, |first_line, block| {
        for (line, opinion) in block {
            match opinion {
                Ok(opinion) => {
                    read += 1;
                    let Some((item, opinion)) = opinion else { continue };
                    let best = kept.entry(item).or_default();
                    // Among equal ones the earlier line.
                    let place = best.partition_point(|other| other.rank() >= opinion.rank());
                    best.insert(place, opinion);
                    best.truncate(most.get());
                }
                Err(problem) => skips.add(problem.at(first_line + line), policy)?,
            }
        }
        Ok(())
    })?;
    skips.left_some(read)?;
    skips.tell();
    let mut texts = vec![Vec::new(); dataset.num_items()];
    for (item, opinions) in kept {
        texts[item.index()] = opinions.into_iter().map(|opinion| opinion.text).collect();
    }
    Ok(ReviewTexts { texts, skips })
}

/// Pairs of user and item of training events, without those of a later event of the user.
fn chosen_in_training(dataset: &Dataset, train: &TrainSet) -> BTreeSet<(UserId, ItemId)> {
    let mut chosen = BTreeSet::new();
    for sequence in train.sequences() {
        let all = dataset.user(sequence.user).map_or(&[][..], |user| &user.events);
        let later = all.get(sequence.events.len()..).unwrap_or_default();
        let items = sequence.events.iter().filter(|item| !later.contains(item));
        chosen.extend(items.map(|item| (sequence.user, *item)));
    }
    chosen
}

/// What a line says of an item that is wanted.
type Parsed = Result<Option<(ItemId, Opinion)>, Problem>;

/// A text, and how many readers called it helpful.
struct Opinion {
    votes: i64,
    text: String,
}

impl Opinion {
    /// More is better.
    fn rank(&self) -> (i64, usize) {
        (self.votes, self.text.len())
    }

    /// What a line says of an item; `None` for users and items that are not wanted, and for a review
    /// without a text.
    fn parse(
        line: &[u8],
        release: Release,
        wanted: &impl Fn(&str, &str) -> Option<ItemId>,
    ) -> Parsed {
        let mut row = object(line, release)?;
        let (user, item) = match release {
            Release::Y2014 | Release::Y2018 => ("reviewerID", "asin"),
            Release::Y2023 => ("user_id", "parent_asin"),
        };
        let key = |field: &'static str| match row.get(field) {
            Some(Value::String(key)) => Ok(key.as_str()),
            other => Err(Problem::new(ProblemKind::Field, field, &shown(other), "a text")),
        };
        let Some(item) = wanted(key(user)?, key(item)?) else { return Ok(None) };
        let number = |value: &Value| match value {
            Value::String(text) => text.replace(',', "").parse().ok(), // `1,204`
            value => value.as_i64(),
        };
        let (field, votes) = match release {
            // How many of how many.
            Release::Y2014 => ("reviewText", row.get("helpful").and_then(|pair| pair.get(0))),
            Release::Y2018 => ("reviewText", row.get("vote")),
            Release::Y2023 => ("text", row.get("helpful_vote")),
        };
        let votes = votes.and_then(number).unwrap_or(0);
        let text = match row.get_mut(field).map(Value::take) {
            Some(Value::String(text)) => text.split_whitespace().collect::<Vec<_>>().join(" "),
            _ => String::new(),
        };
        Ok((!text.is_empty()).then_some((item, Self { votes, text })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Item, User, leave_one_out};

    /// Two users over items a, b, c; the last two events of each are held out.
    fn read(lines: &[&str], release: Release, most: usize) -> Result<ReviewTexts, DataError> {
        let items = ["a", "b", "c"].map(|key| Item::new(key, "")).to_vec();
        let user = |key: &str, events: &[u32]| {
            User::new(key, events.iter().copied().map(ItemId).collect())
        };
        // v comes back to b after training.
        let users = vec![user("u", &[0, 1, 2, 0]), user("v", &[0, 1, 1, 2])];
        let dataset = Dataset::new(items, users).unwrap();
        let split = leave_one_out(&dataset, NonZeroUsize::MAX).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("reviews.json");
        std::fs::write(&path, lines.join("\n")).unwrap();
        let most = NonZeroUsize::new(most).unwrap();
        read_review_texts(&path, release, &dataset, &split.train, most, &RowPolicy::lenient())
    }

    #[test]
    fn only_reviews_of_training_events_are_kept() {
        let line = |user: &str, item: &str| {
            format!(
                r#"{{"user_id": "{user}", "parent_asin": "{item}", "text": "{user} on {item}"}}"#
            )
        };
        let all: Vec<_> = ["u", "v", "w"]
            .iter()
            .flat_map(|user| ["a", "b", "c", "d"].map(|item| line(user, item)))
            .collect();
        let lines: Vec<&str> = all.iter().map(String::as_str).collect();
        let texts = read(&lines, Release::Y2023, 9).unwrap().texts;
        // u chose a again in the test, and c for validation; v chose b again for validation.
        assert_eq!(texts, [vec!["v on a"], vec!["u on b"], vec![]]);
    }

    #[test]
    fn the_most_helpful_ones_come_first_in_every_release() {
        let old = |votes: i32, text: &str| {
            format!(
                "{{'reviewerID': 'v', 'asin': 'a', 'helpful': [{votes}, 9], 'reviewText': '{text}'}}"
            )
        };
        let middle = |votes: &str, text: &str| {
            format!(
                r#"{{"reviewerID": "v", "asin": "a", "vote": "{votes}", "reviewText": "{text}"}}"#
            )
        };
        let lines = [old(0, "long and true"), old(3, "x"), old(0, "y"), old(0, "short")];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let texts = read(&lines, Release::Y2014, 3).unwrap().texts;
        assert_eq!(texts[0], ["x", "long and true", "short"]);
        let lines = [middle("2", "two"), middle("1,204", "many"), middle("", " \\n ")];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        assert_eq!(read(&lines, Release::Y2018, 3).unwrap().texts[0], ["many", "two"]);
    }

    #[test]
    fn lines_that_cannot_be_read_are_listed() {
        let good = r#"{"user_id": "v", "parent_asin": "a", "text": "good"}"#;
        let read = read(&[good, "{", r#"{"user_id": 3}"#], Release::Y2023, 3).unwrap();
        assert_eq!(read.texts[0], ["good"]);
        let lines: Vec<_> = read.skips.listed.iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [2, 3]);
    }
}
