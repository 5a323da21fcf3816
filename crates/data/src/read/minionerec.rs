//! `MiniOneRec`'s layout: CSV files of windows, items and Semantic IDs in JSON.
//!
//! ```text
//! train.csv, valid.csv, test.csv
//!     user_id,…,history_item_id,item_id,…,item_sid
//!     A6948,"[3466, 2697]",3681,<a_223><b_80><c_1>
//! x.item.json, x.index.json     see below
//! ```
//! `history_item_id` is a list as Python prints it, read by [`literal`]. The other columns repeat
//! titles and Semantic IDs of the items; `item_sid`, if it is there, must agree with the index.
//! Source: <https://github.com/AkaliKong/MiniOneRec>, `data/`.
//!
//! Items and their Semantic IDs: `{"0": {"title": …, "description": …, "brand": …}}` and
//! `{"0": ["<a_236>", "<b_231>", "<c_226>"]}`.
//!
//! A row is a window of up to 10 items and the item after them. The windows of a user follow each
//! other in time, through training, validation and test, so the sequences of the users are put
//! together from them. A row that does not continue the rows of its user is a problem. The
//! published split is kept as it is. Without `train.csv`, the first window of a user is all that is
//! known of the time before. Its items come before every held-out target of the user, so they are
//! training events.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::Path;

use serde_json::Value;
use sidereal_sid::{Catalog, ItemId, sid_of_tokens};

use super::indexed::{self, Numbered};
use super::literal;
use super::placeholder::{OnPlaceholder, is_placeholder};
use super::policy::{RowPolicy, Skips};
use super::problem::{Problem, ProblemKind};
use super::source::{self, Limited};
use crate::split::Cut;
use crate::{DataError, Dataset, Split, SplitProtocol, User};

/// The files of one dataset.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    /// `x.item.json`.
    pub items: &'a Path,
    /// `x.index.json`.
    pub index: &'a Path,
    /// `train.csv`, if it is published.
    pub train: Option<&'a Path>,
    /// `valid.csv`.
    pub valid: &'a Path,
    /// `test.csv`.
    pub test: &'a Path,
}

/// What was read.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Loaded {
    /// Items in an order shuffled by seed; users in the order of their first row, without times.
    pub dataset: Dataset,
    /// Semantic IDs of the items.
    pub catalog: Catalog,
    /// The split as published. Without training rows, positions count from the first known event.
    pub split: Split,
    /// Rows left out, by file.
    pub skips: Vec<Skips>,
}

/// Reads a dataset with its Semantic IDs and its published split.
///
/// `seed` shuffles item identities, `max_history` cuts what a sample shows, and if `codebook_sizes`
/// is `None`, they are taken from the largest codes. If there is one size more than the shortest
/// Semantic ID has codes, it is the size of the suffix; otherwise that size is taken from the
/// largest suffix. Memory is that of the dataset.
///
/// # Errors
/// [`DataError::Io`], [`DataError::Json`], [`DataError::Csv`], [`DataError::MissingColumn`];
/// [`DataError::Row`] for the first problem that `policy` calls an error, [`DataError::AllSkipped`]
/// if it skips all entries of a file, or all rows; [`DataError::MissingSid`],
/// [`DataError::ItemSid`], [`DataError::SidPrefix`], [`DataError::Catalog`] and the errors of
/// [`Dataset::new`].
pub fn read(
    files: &Files<'_>,
    seed: u64,
    max_history: NonZeroUsize,
    codebook_sizes: Option<&[usize]>,
    policy: &RowPolicy,
) -> Result<Loaded, DataError> {
    let mut skips = vec![Skips::new(files.items), Skips::new(files.index)];
    let items = indexed::read_items(files.items, policy, &mut skips[0])?;
    let sids = indexed::read_index(files.index, policy, &mut skips[1])?;
    let items = Numbered::shuffled(items, seed);
    let catalog = indexed::catalog(files.index, &items.items, &sids, codebook_sizes, &skips[1])?;
    let mut histories =
        Histories { catalog: &catalog, items: &items, rows: HashMap::new(), users: Vec::new() };
    let sets =
        [(files.train, Set::Train), (Some(files.valid), Set::Valid), (Some(files.test), Set::Test)];
    for (path, set) in sets {
        if let Some(path) = path {
            skips.push(histories.read(path, set, policy)?);
        }
    }
    for skipped in skips.iter().skip(2) {
        skipped.left_some(histories.users.len())?;
    }
    let (users, cuts): (Vec<User>, Vec<Cut>) = histories
        .users
        .into_iter()
        .map(|(user, cut)| {
            let len = user.events.len();
            let test = cut.test.unwrap_or(len);
            let valid = cut.valid.unwrap_or(test);
            (user, Cut { train: valid, valid, test })
        })
        .unzip();
    let dataset = Dataset::new(items.items, users)?;
    let split = Split::cut(SplitProtocol::Published, &dataset, max_history, cuts.into_iter());
    skips.iter().for_each(Skips::tell);
    Ok(Loaded { dataset, catalog, split, skips })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    Train,
    Valid,
    Test,
}

/// First targets of a user, if there are any.
#[derive(Debug, Clone, Copy, Default)]
struct First {
    valid: Option<usize>,
    test: Option<usize>,
}

struct Histories<'a> {
    catalog: &'a Catalog,
    items: &'a Numbered,
    /// Place of each user in `users`.
    rows: HashMap<String, usize>,
    users: Vec<(User, First)>,
}

impl Histories<'_> {
    fn read(&mut self, path: &Path, set: Set, policy: &RowPolicy) -> Result<Skips, DataError> {
        let mut skips = Skips::new(path);
        let (input, left) = Limited::new(source::open(path)?, policy.max_line);
        let mut table = csv::ReaderBuilder::new().flexible(true).from_reader(input);
        let refused = |source| DataError::Csv { path: path.to_owned(), source };
        let header = table.headers().map_err(refused)?.clone();
        let find = |name: &str| {
            header.iter().position(|column| column.trim_start_matches('\u{feff}') == name)
        };
        let require = |name: &str| {
            find(name).ok_or_else(|| DataError::MissingColumn {
                path: path.to_owned(),
                column: name.to_owned(),
                found: header.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
            })
        };
        let columns = Columns {
            user: require("user_id")?,
            history: require("history_item_id")?,
            item: require("item_id")?,
            sid: find("item_sid"),
        };
        let mut row = csv::ByteRecord::new();
        loop {
            // A quote that is never closed must not swallow the rest of the file.
            left.set(policy.max_line);
            if !table.read_byte_record(&mut row).map_err(refused)? {
                return Ok(skips);
            }
            let line = row.position().map_or(0, csv::Position::line);
            if let Err(problem) = self.add(&row, &columns, set, policy.placeholders) {
                skips.add(problem.at(line), policy)?;
            }
        }
    }

    fn add(
        &mut self,
        row: &csv::ByteRecord,
        columns: &Columns,
        set: Set,
        placeholders: OnPlaceholder,
    ) -> Result<(), Problem> {
        let field = |column: usize, name: &'static str| {
            let bytes = row.get(column).unwrap_or_default();
            match std::str::from_utf8(bytes) {
                Ok(text) if !text.is_empty() => Ok(text),
                _ => Err(Problem::new(
                    ProblemKind::Field,
                    name,
                    &String::from_utf8_lossy(bytes),
                    "a text",
                )),
            }
        };
        let number = |text: &str, name: &'static str| {
            let unknown = || Problem::new(ProblemKind::Field, name, text, "the number of an item");
            self.items.id(text).ok_or_else(unknown)
        };
        let user = field(columns.user, "user_id")?;
        if placeholders == OnPlaceholder::Missing && is_placeholder(user) {
            return Err(Problem::new(ProblemKind::Field, "user_id", user, "who the user is"));
        }
        let target = number(field(columns.item, "item_id")?, "item_id")?;
        let text = field(columns.history, "history_item_id")?;
        let list = literal::parse(text).ok();
        let Some(Value::Array(list)) = list else {
            return Err(Problem::new(ProblemKind::Field, "history_item_id", text, "a list"));
        };
        let history = list
            .iter()
            .map(|item| number(&item.to_string(), "history_item_id"))
            .collect::<Result<Vec<ItemId>, _>>()?;
        if let Some(column) = columns.sid {
            let (found, known) = (field(column, "item_sid")?, self.catalog.sid(target));
            let read = sid_of_tokens(&found.split_inclusive('>').collect::<Vec<_>>()).ok();
            if known.is_none() || known != read.as_ref() {
                return Err(Problem::new(
                    ProblemKind::Field,
                    "item_sid",
                    found,
                    "what the index says",
                ));
            }
        }
        let place = self.rows.get(user).copied().unwrap_or(self.users.len());
        if place == self.users.len() {
            self.rows.insert(user.to_owned(), place);
            self.users.push((User::new(user, history.clone()), First::default()));
        }
        let Some((known, first)) = self.users.get_mut(place) else { return Ok(()) };
        if !known.events.ends_with(&history) {
            let needed = "a history that continues the user's rows";
            return Err(Problem::new(ProblemKind::Field, "history_item_id", text, needed));
        }
        let position = known.events.len();
        known.events.push(target);
        match set {
            Set::Train if first.valid.or(first.test).is_none() => {}
            Set::Valid if first.test.is_none() => drop(first.valid.get_or_insert(position)),
            Set::Test => drop(first.test.get_or_insert(position)),
            Set::Train | Set::Valid => {}
        }
        Ok(())
    }
}

struct Columns {
    user: usize,
    history: usize,
    item: usize,
    sid: Option<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HeldOut as _;

    const HEADER: &str =
        "user_id,history_item_title,item_title,history_item_id,item_id,history_item_sid,item_sid\n";

    fn load(valid: &str, test: &str, policy: &RowPolicy) -> Result<Loaded, DataError> {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let entry =
            |i: u32| format!("\"{i}\": {{\"title\": \"t{i}\", \"description\": \"['x', 'y']\"}}");
        let items: Vec<_> = (0..6).map(entry).collect();
        let sids: Vec<_> = (0..6).map(|i| format!("\"{i}\": [\"<a_{i}>\", \"<b_0>\"]")).collect();
        let files = Files {
            items: &write("x.item.json", &format!("{{{}}}", items.join(","))),
            index: &write("x.index.json", &format!("{{{}}}", sids.join(","))),
            train: None,
            valid: &write("valid.csv", &format!("{HEADER}{valid}")),
            test: &write("test.csv", &format!("{HEADER}{test}")),
        };
        read(&files, 3, NonZeroUsize::MAX, None, policy)
    }

    fn row(user: &str, history: &str, item: u32) -> String {
        format!(
            "{user},\"['a, b']\",\"t, \"\"{item}\"\"\",\"{history}\",{item},\"['<a_0>']\",<a_{item}><b_0>\n"
        )
    }

    #[test]
    fn windows_of_a_user_become_one_sequence() {
        let valid = row("u", "[0, 1]", 2) + &row("v", "[5]", 4);
        let test = row("u", "[1, 2]", 3) + &row("u", "[2, 3]", 4);
        let loaded = load(&valid, &test, &RowPolicy::strict()).unwrap();
        let key = |item: &ItemId| loaded.dataset.item(*item).unwrap().key.clone();
        let keys: Vec<_> = loaded.dataset.users()[0].events.iter().map(key).collect();
        assert_eq!(keys, ["0", "1", "2", "3", "4"]);
        assert_eq!((loaded.split.valid.num_samples(), loaded.split.test.num_samples()), (2, 2));
        assert_eq!(loaded.split.train.num_samples(), 1); // 0 -> 1 of u
        assert_eq!(loaded.dataset.items()[0].description, "x y");
        for (id, item) in (0..).map(ItemId).zip(loaded.dataset.items()) {
            assert_eq!(
                loaded.catalog.sid(id).unwrap().to_string(),
                format!("<a_{}><b_0>", item.key)
            );
        }
        assert_eq!(loaded.catalog.spec().codebook_sizes(), [6, 1]);
    }

    #[test]
    fn problems_are_named_with_file_line_and_field() {
        let cases = [
            (row("u", "[0, 9]", 1), "line 2, field `history_item_id`"),
            (row("u", "[0", 1), "line 2, field `history_item_id`"),
            (row("u", "[0]", 1) + &row("u", "[0]", 2), "line 3, field `history_item_id`"),
            (row("u", "[0]", 1).replace("<a_1>", "<a_2>"), "line 2, field `item_sid`"),
            (row("", "[0]", 1), "line 2, field `user_id`"),
            (row("nan", "[0]", 1), "line 2, field `user_id`"),
            ("u\n".to_owned(), "line 2, field `item_id`"),
        ];
        for (rows, needed) in cases {
            let error = load(&rows, "", &RowPolicy::strict()).unwrap_err().to_string();
            assert!(error.contains("valid.csv") && error.contains(needed), "{error}");
            let test = row("w", "[0]", 1);
            let loaded = load(&rows, &test, &RowPolicy::lenient()).unwrap();
            assert_eq!(loaded.skips.iter().map(Skips::total).sum::<u64>(), 1);
        }
    }

    #[test]
    fn an_open_quote_does_not_take_the_file_along() {
        let policy = RowPolicy { max_line: 100_000, ..RowPolicy::lenient() };
        let rows = format!("u,\"{}", "x".repeat(1_000_000));
        assert!(matches!(load(&rows, "", &policy), Err(DataError::Csv { .. })));
    }
}
