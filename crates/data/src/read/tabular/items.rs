//! The items of a table.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

use serde_json::Value;

use super::columns::ItemColumns;
use super::rows::{self, Cell, Holds, Row, Wanted};
use crate::read::CategorySeparator;
use crate::read::categories::{self, without_placeholders};
use crate::read::item::describe;
use crate::read::placeholder::OnPlaceholder;
use crate::read::policy::{OnDoubtful, RowPolicy, Skips};
use crate::read::problem::{Problem, ProblemKind};
use crate::{DataError, Item};

/// A table of items as it was read.
pub(super) struct Described {
    pub(super) items: BTreeMap<String, Item>,
    pub(super) skips: Skips,
    /// What was found out about how categories are separated.
    pub(super) note: Option<String>,
}

/// Reads what is known of items.
pub(super) fn read(
    path: &Path,
    columns: &ItemColumns,
    policy: &RowPolicy,
) -> Result<Described, DataError> {
    let mut wanted = vec![Wanted { name: &columns.key, holds: Holds::Key }];
    let texts = [&columns.title, &columns.brand, &columns.categories, &columns.description];
    let named = texts.into_iter().filter_map(Option::as_deref);
    wanted.extend(named.map(|name| Wanted { name, holds: Holds::Texts }));
    // If no column holds titles, no title is missing.
    let mut for_titles = policy.clone();
    if columns.title.is_none() {
        for_titles.missing_titles = OnDoubtful::Keep;
    }
    let (described, joined, skips) = (BTreeMap::new(), BTreeMap::new(), Skips::new(path));
    let mut table = Items { columns, policy, for_titles, described, joined, skips };
    rows::read(path, &wanted, policy, |line, row| table.add(line, row))?;
    let note = table.split_categories()?;
    let Items { described: items, skips, .. } = table;
    skips.left_some(items.len())?;
    if items.is_empty() {
        return Err(DataError::NoRows { path: path.to_owned() });
    }
    Ok(Described { items, skips, note })
}

struct Items<'a> {
    columns: &'a ItemColumns,
    policy: &'a RowPolicy,
    for_titles: RowPolicy,
    described: BTreeMap<String, Item>,
    /// Items whose categories are one text, and the line of each.
    joined: BTreeMap<String, u64>,
    skips: Skips,
}

impl Items<'_> {
    fn add(&mut self, line: u64, row: Row) -> Result<(), DataError> {
        let read = row.and_then(|cells| {
            let mut cells = cells.into_iter();
            let mut next = || cells.next().unwrap_or(Cell::Value(Value::Null));
            let key = next().key(&self.columns.key, self.policy)?;
            let mut texts = |column: &Option<String>| column.as_ref().map(|_| next().into_value());
            let (title, brand) = (texts(&self.columns.title), texts(&self.columns.brand));
            let categories = texts(&self.columns.categories).map(list);
            let description = texts(&self.columns.description);
            let is_joined = matches!(categories, Some(Value::String(_)));
            let policy = &self.for_titles;
            let item = describe(key, title, description, brand, categories, policy)?;
            Ok((item, is_joined))
        });
        let (described, is_joined) = match read {
            Ok(read) => read,
            Err(problem) => return self.skips.add(problem.at(line), self.policy),
        };
        let key = described.item.key.clone();
        if self.policy.duplicates != OnDoubtful::Keep && self.described.contains_key(&key) {
            let problem = Problem::new(ProblemKind::Duplicate, "", &key, "one row an item");
            return self.skips.add(problem.at(line), self.policy);
        }
        let item = described.told(line, &mut self.skips, self.policy)?;
        // If duplicates are kept, the later row counts.
        self.joined.remove(&key);
        if is_joined {
            self.joined.insert(key.clone(), line);
        }
        match self.described.entry(key) {
            Entry::Occupied(mut known) => drop(known.insert(item)),
            Entry::Vacant(place) => drop(place.insert(item)),
        }
        Ok(())
    }

    /// Divides the categories that are one text, after all of them are known.
    fn split_categories(&mut self) -> Result<Option<String>, DataError> {
        let texts = |key: &String| {
            let categories = self.described.get(key).map_or(&[][..], |item| &item.categories);
            categories.first().map(String::as_str)
        };
        let separator = match self.columns.separator.as_deref() {
            Some(_) => None,
            None => categories::detect(&self.joined.keys().filter_map(texts)),
        };
        if self.columns.separator.is_none() && separator.is_none() {
            return Ok(None);
        }
        for (key, line) in std::mem::take(&mut self.joined) {
            let Some(item) = self.described.get_mut(&key) else { continue };
            let Some(text) = item.categories.first() else { continue };
            let list = match (self.columns.separator.as_deref(), separator) {
                (Some(between), _) if !between.is_empty() => {
                    let names = text.split(between).map(str::trim);
                    Ok(names.filter(|name| !name.is_empty()).map(str::to_owned).collect())
                }
                (_, Some(separator)) => categories::split(text, separator).map(|list| list.texts),
                _ => continue,
            };
            let mut list: Vec<String> = match list {
                Ok(list) => list,
                Err(needed) => {
                    let column = self.columns.categories.clone().unwrap_or_default();
                    let problem = Problem::new(ProblemKind::Field, column, text, needed);
                    self.skips.add(problem.at(line), self.policy)?;
                    Vec::new()
                }
            };
            if self.policy.placeholders == OnPlaceholder::Missing {
                let found = &mut self.skips.placeholders;
                without_placeholders(&mut list, |word| found.add("categories", word));
            }
            item.categories = list;
        }
        Ok(separator.map(|separator| {
            let by = match separator {
                CategorySeparator::Comma => "commas",
                CategorySeparator::Bar => "bars",
                CategorySeparator::Path => "` > `",
                CategorySeparator::Quoted => "the quotes of Python's lists",
                CategorySeparator::Auto | CategorySeparator::Space => "spaces",
            };
            format!("the categories of an item are taken to be separated by {by}")
        }))
    }
}

/// The list that a text holds in JSON; else the value.
fn list(value: Value) -> Value {
    match value {
        Value::String(text) if text.trim_start().starts_with('[') => {
            let list = serde_json::from_str(&text).ok().filter(Value::is_array);
            list.unwrap_or(Value::String(text))
        }
        other => other,
    }
}
