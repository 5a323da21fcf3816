//! `RecBole`'s atomic files: tab-separated, the header names and types each column.
//!
//! ```text
//! x.inter   user_id:token   item_id:token      timestamp:float
//! x.item    item_id:token   title:token_seq    categories:token_seq   (categories optional)
//! ```
//! Columns stand in any order and others are ignored. `timestamp` counts seconds since 1970 in UTC;
//! a file that gives positions in its place is read the same way. Categories are separated by spaces. Nothing
//! is quoted. Format: <https://recbole.io/docs/user_guide/data/atomic_files.html>.
//!
//! Public files number items by first appearance, so a ranking that breaks ties by number knows
//! what comes next. Identities are therefore shuffled by seed, and so are events of equal time.

use std::collections::HashMap;
use std::path::Path;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::table::{Column, Table};
use crate::{CorpusError, Dataset, Item, ItemId, Timestamp, User};

const USER: Column = Column { name: "user_id", types: &["token"] };
const ITEM: Column = Column { name: "item_id", types: &["token"] };
const TIME: Column = Column { name: "timestamp", types: &["float"] };
const TITLE: Column = Column { name: "title", types: &["token_seq", "token"] };
const CATEGORIES: Column = Column { name: "categories", types: &["token_seq"] };

/// Shortest history from which one event can be predicted from another.
const MIN_HISTORY: usize = 2;

/// What happens to a user with a single interaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShortHistories {
    /// [`CorpusError::ShortHistory`].
    #[default]
    Error,
    /// The user is left out and counted in [`Loaded::skipped_users`].
    Skip,
}

/// In which order a user's events of equal time are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ties {
    /// Random by seed: the order of a public file may be that of its item numbers.
    #[default]
    Shuffle,
    /// As in the file, for sources known to be written in the order of events.
    FileOrder,
}

/// How files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReadOptions {
    /// Seed of item identities and of ties.
    pub seed: u64,
    /// Order of a user's events of equal time.
    #[serde(default)]
    pub ties: Ties,
    /// What happens to a user with a single interaction.
    #[serde(default)]
    pub short_histories: ShortHistories,
}

impl ReadOptions {
    /// Ties shuffled by `seed` as identities are, short histories refused.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, ties: Ties::default(), short_histories: ShortHistories::default() }
    }

    /// With this order of events of equal time.
    #[must_use]
    pub const fn with_ties(mut self, ties: Ties) -> Self {
        self.ties = ties;
        self
    }

    /// With this treatment of users with a single interaction.
    #[must_use]
    pub const fn with_short_histories(mut self, short_histories: ShortHistories) -> Self {
        self.short_histories = short_histories;
        self
    }
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loaded {
    /// Items in shuffled order, users in the order of their first interaction.
    pub dataset: Dataset,
    /// Users left out for a single interaction.
    pub skipped_users: usize,
}

/// Reads a dataset from a file of interactions and one of items.
///
/// Rows stream; memory is that of the dataset. Every item row becomes an item, chosen or not.
///
/// # Errors
/// Each names the file, and the line and column where there is one: [`CorpusError::Io`],
/// [`CorpusError::EmptyFile`], [`CorpusError::NoRows`], [`CorpusError::MissingColumn`],
/// [`CorpusError::RepeatedColumn`], [`CorpusError::ColumnType`], [`CorpusError::LongLine`],
/// [`CorpusError::Ragged`],
/// [`CorpusError::NotUtf8`], [`CorpusError::EmptyField`], [`CorpusError::Number`],
/// [`CorpusError::Time`],
/// [`CorpusError::UnknownItem`], [`CorpusError::RepeatedItem`], [`CorpusError::ShortHistory`] and,
/// where all users are skipped, [`CorpusError::NoHistories`].
///
/// # Examples
/// ```
/// use sidereal_corpus::read::recbole::{ReadOptions, read};
///
/// let dir = tempfile::tempdir()?;
/// let (inter, item) = (dir.path().join("x.inter"), dir.path().join("x.item"));
/// std::fs::write(&item, "title:token_seq\titem_id:token\nan apple\ta\na bean\tb\n")?;
/// std::fs::write(&inter, "user_id:token\titem_id:token\ttimestamp:float\nu\tb\t9\nu\ta\t3\n")?;
///
/// let dataset = read(&inter, &item, &ReadOptions::new(1))?.dataset;
/// let titles = dataset.users()[0].events.iter().map(|i| &dataset.item(*i).unwrap().title);
/// assert!(titles.eq(["an apple", "a bean"])); // by time
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read(
    interactions: &Path,
    items: &Path,
    options: &ReadOptions,
) -> Result<Loaded, CorpusError> {
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let (catalogue, ids) = read_items(items, &mut rng)?;
    let histories = read_interactions(interactions, items, &ids)?;
    let mut users = Vec::with_capacity(histories.len());
    let mut skipped_users = 0;
    for mut history in histories {
        let found = history.events.len();
        if found < MIN_HISTORY {
            if options.short_histories == ShortHistories::Error {
                let (path, line) = (interactions.to_owned(), history.line);
                return Err(CorpusError::ShortHistory { path, line, user: history.key, found });
            }
            skipped_users += 1;
            continue;
        }
        if options.ties == Ties::Shuffle {
            history.events.shuffle(&mut rng);
        }
        history.events.sort_by(|(a, _), (b, _)| a.total_cmp(b)); // stable
        let items = history.events.iter().map(|(_, item)| *item).collect();
        // Rounding to milliseconds keeps the order; every time was checked when it was read.
        let times = history.events.iter().filter_map(|(time, _)| Timestamp::from_seconds(*time));
        let times = times.collect();
        users.push(User::new(history.key, items).with_times(times));
    }
    if users.is_empty() {
        return Err(CorpusError::NoHistories { path: interactions.to_owned() });
    }
    Ok(Loaded { dataset: Dataset::new(catalogue, users)?, skipped_users })
}

/// Items in shuffled order, and the identity of each key.
fn read_items(
    path: &Path,
    rng: &mut ChaCha8Rng,
) -> Result<(Vec<Item>, HashMap<String, ItemId>), CorpusError> {
    let mut items = items_in_order(path)?;
    items.shuffle(rng);
    let ids = items.iter().map(|item| item.key.clone()).zip((0..).map(ItemId)).collect();
    Ok((items, ids))
}

/// Items as they stand in the file: at least one, no key twice.
pub(super) fn items_in_order(path: &Path) -> Result<Vec<Item>, CorpusError> {
    let mut table = Table::open(path, ITEM)?;
    let (key, title) = (table.require(ITEM)?, table.require(TITLE)?);
    let categories = table.find(CATEGORIES)?;
    let mut items: Vec<Item> = Vec::new();
    let mut lines: HashMap<String, u64> = HashMap::new();
    while table.next_row()? {
        let (key, line) = (table.key(key)?, table.line());
        if let Some(first) = lines.insert(key.to_owned(), line) {
            let (path, item) = (path.to_owned(), key.to_owned());
            return Err(CorpusError::RepeatedItem { path, line, item, first });
        }
        let categories = match categories {
            Some(column) => table.field(column)?.split_whitespace().map(str::to_owned).collect(),
            None => Vec::new(),
        };
        items.push(Item::new(key, table.field(title)?.trim()).with_categories(categories));
    }
    if items.is_empty() {
        return Err(CorpusError::NoRows { path: path.to_owned() });
    }
    if u32::try_from(items.len()).is_err() {
        return Err(CorpusError::TooMany { what: "items", found: items.len() });
    }
    Ok(items)
}

/// A user's interactions in file order.
struct History {
    key: String,
    /// Line of the first one.
    line: u64,
    events: Vec<(f64, ItemId)>,
}

fn read_interactions(
    path: &Path,
    items: &Path,
    ids: &HashMap<String, ItemId>,
) -> Result<Vec<History>, CorpusError> {
    let mut table = Table::open(path, USER)?;
    let columns = (table.require(USER)?, table.require(ITEM)?, table.require(TIME)?);
    let mut rows: HashMap<String, usize> = HashMap::new();
    let mut histories: Vec<History> = Vec::new();
    while table.next_row()? {
        let (user, item, time) =
            (table.key(columns.0)?, table.key(columns.1)?, table.number(columns.2)?);
        let line = table.line();
        if Timestamp::from_seconds(time).is_none() {
            let (path, column) = (path.to_owned(), TIME.name.to_owned());
            return Err(CorpusError::Time { path, line, column, found: time.to_string() });
        }
        let Some(id) = ids.get(item) else {
            let (path, items, item) = (path.to_owned(), items.to_owned(), item.to_owned());
            return Err(CorpusError::UnknownItem { path, line, item, items });
        };
        let row = rows.get(user).copied().unwrap_or_else(|| {
            rows.insert(user.to_owned(), histories.len());
            histories.push(History { key: user.to_owned(), line, events: Vec::new() });
            histories.len() - 1
        });
        histories[row].events.push((time, *id));
    }
    if histories.is_empty() {
        return Err(CorpusError::NoRows { path: table.path().to_owned() });
    }
    Ok(histories)
}

#[cfg(test)]
mod tests;
