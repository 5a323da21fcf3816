//! `RecBole`'s atomic files: tab-separated, the header names and types each column.
//!
//! ```text
//! x.inter   user_id:token   item_id:token      timestamp:float
//! x.item    item_id:token   title:token_seq    categories:token_seq   (categories optional)
//! ```
//! Columns may be in any order, and other columns are ignored. `timestamp` counts seconds since
//! 1970 in UTC; a file with positions instead is read in the same way. Format:
//! <https://recbole.io/docs/user_guide/data/atomic_files.html>.
//!
//! `RecBole` reads its files with pandas, and many were written by it. Therefore
//! - a field that begins with `"` is quoted: tabs and line ends in it belong to it, `""` is a
//!   quote, and text after the closing quote is added as it stands. A quote elsewhere is plain
//!   text. If a quoted field would swallow whole rows, or is never closed, pandas takes the rows as
//!   part of the field or gives up; here it is [`DataError::OpenQuote`]. A title is put on one
//!   line.
//! - a title or category that is nothing but `nan`, `None`, `null`, `N/A` or another of pandas'
//!   words for a missing value counts as missing ([`OnPlaceholder`]). [`Loaded::placeholders`] has
//!   their number. In a key such a word is an error.
//! - categories are separated as [`CategorySeparator`] says; by default the separator is recognised
//!   from the file. `RecBole`'s Amazon files hold `str(set)[1:-1]`: `'Locks', 'Sports & Outdoors'`.
//!   A set of Python has no order, so which category is the first or second of such a list means
//!   nothing, and neither does a diversity over second-level categories;
//!   [`Loaded::unordered_categories`] counts the items that this may concern.
//!
//! Public files number items by first appearance, so a ranking that breaks ties by number knows
//! what comes next. Identities are therefore shuffled by seed, and so are events of equal time.

use std::collections::HashMap;
use std::path::Path;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::categories::CategorySeparator;
use super::placeholder::{OnPlaceholder, Placeholders};
use super::table::{Column, Table};
use crate::{DataError, Dataset, ItemId, Ties, Timestamp, User};

mod items;

pub(super) use items::read_items;
use items::{Described, named};

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
    /// [`DataError::ShortHistory`].
    #[default]
    Error,
    /// The user is left out and counted in [`Loaded::skipped_users`].
    Skip,
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
    /// How categories are separated.
    #[serde(default)]
    pub category_separator: CategorySeparator,
    /// What happens to titles, categories and keys that are words for a missing value.
    #[serde(default)]
    pub placeholders: OnPlaceholder,
}

impl ReadOptions {
    /// Ties are shuffled by `seed`, as identities are. Short histories are errors, the separator of
    /// categories is recognised from the file, and words for a missing value count as missing.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            ties: Ties::default(),
            short_histories: ShortHistories::default(),
            category_separator: CategorySeparator::default(),
            placeholders: OnPlaceholder::default(),
        }
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

    /// With this separator of categories.
    #[must_use]
    pub const fn with_category_separator(mut self, separator: CategorySeparator) -> Self {
        self.category_separator = separator;
        self
    }

    /// With this treatment of words for a missing value.
    #[must_use]
    pub const fn with_placeholders(mut self, placeholders: OnPlaceholder) -> Self {
        self.placeholders = placeholders;
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
    /// Titles and categories that were a word for a missing value.
    pub placeholders: Placeholders,
    /// How categories were separated; `None` without a column of them.
    pub category_separator: Option<CategorySeparator>,
    /// Items with two categories or more in an order that may be that of a set, which has none.
    pub unordered_categories: usize,
}

impl Loaded {
    /// What a user of the data should know about how they were read, one sentence each; [`read`]
    /// emits them as `tracing` warnings too.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.skipped_users > 0 {
            notes.push(format!("users left out for a single interaction: {}", self.skipped_users));
        }
        if !self.placeholders.is_empty() {
            notes.push(format!("words taken for no value: {}", self.placeholders));
        }
        if self.unordered_categories > 0 {
            let count = self.unordered_categories;
            notes.push(format!(
                "the categories of {count} items may be a set, in whose order the second is of no level"
            ));
        }
        notes
    }
}

/// Reads a dataset from a file of interactions and one of items.
///
/// Rows stream; memory is that of the dataset. Every item row becomes an item, chosen or not.
///
/// # Errors
/// Each names the file, and the line and column if there is one: [`DataError::Io`],
/// [`DataError::EmptyFile`], [`DataError::NoRows`], [`DataError::MissingColumn`],
/// [`DataError::RepeatedColumn`], [`DataError::ColumnType`], [`DataError::LongLine`],
/// [`DataError::Ragged`], [`DataError::OpenQuote`], [`DataError::Categories`],
/// [`DataError::NotUtf8`], [`DataError::EmptyField`], [`DataError::Number`], [`DataError::Time`],
/// [`DataError::UnknownItem`], [`DataError::RepeatedItem`], [`DataError::ShortHistory`] and, if all
/// users are skipped, [`DataError::NoHistories`].
///
/// # Examples
/// ```
/// use sidereal_data::read::recbole::{ReadOptions, read};
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
pub fn read(interactions: &Path, items: &Path, options: &ReadOptions) -> Result<Loaded, DataError> {
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let described = read_items(items, options)?;
    let Described { placeholders, category_separator, unordered_categories, .. } = described;
    let mut catalogue = described.items;
    catalogue.shuffle(&mut rng);
    let keys = catalogue.iter().map(|item| item.key.clone());
    let ids: HashMap<String, ItemId> = keys.zip((0..).map(ItemId)).collect();
    let histories = read_interactions(interactions, items, &ids, options)?;
    let mut users = Vec::with_capacity(histories.len());
    let mut skipped_users = 0;
    for mut history in histories {
        let found = history.events.len();
        if found < MIN_HISTORY {
            if options.short_histories == ShortHistories::Error {
                let (path, line) = (interactions.to_owned(), history.line);
                return Err(DataError::ShortHistory { path, line, user: history.key, found });
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
        return Err(DataError::NoHistories { path: interactions.to_owned() });
    }
    let loaded = Loaded {
        dataset: Dataset::new(catalogue, users)?,
        skipped_users,
        placeholders,
        category_separator,
        unordered_categories,
    };
    for note in loaded.notes() {
        tracing::warn!("{}: {note}", items.display());
    }
    Ok(loaded)
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
    options: &ReadOptions,
) -> Result<Vec<History>, DataError> {
    let mut table = Table::open(path, USER)?;
    let columns = (table.require(USER)?, table.require(ITEM)?, table.require(TIME)?);
    let mut rows: HashMap<String, usize> = HashMap::new();
    let mut histories: Vec<History> = Vec::new();
    while table.next_row()? {
        let user = named(&table, columns.0, options)?;
        let (item, time) = (named(&table, columns.1, options)?, table.number(columns.2)?);
        let line = table.line();
        if Timestamp::from_seconds(time).is_none() {
            let (path, column) = (path.to_owned(), TIME.name.to_owned());
            return Err(DataError::Time { path, line, column, found: time.to_string() });
        }
        let Some(id) = ids.get(item) else {
            let (path, items, item) = (path.to_owned(), items.to_owned(), item.to_owned());
            return Err(DataError::UnknownItem { path, line, item, items });
        };
        let row = rows.get(user).copied().unwrap_or_else(|| {
            rows.insert(user.to_owned(), histories.len());
            histories.push(History { key: user.to_owned(), line, events: Vec::new() });
            histories.len() - 1
        });
        histories[row].events.push((time, *id));
    }
    if histories.is_empty() {
        return Err(DataError::NoRows { path: table.path().to_owned() });
    }
    Ok(histories)
}

#[cfg(test)]
mod tests;
