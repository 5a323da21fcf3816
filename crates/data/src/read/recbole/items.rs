//! The items of `x.item`.

use std::collections::HashMap;
use std::path::Path;

use super::{CATEGORIES, ITEM, ReadOptions, TITLE};
use crate::read::categories::{self, CategorySeparator, List, is_part, without_placeholders};
use crate::read::placeholder::{OnPlaceholder, Placeholders, is_placeholder};
use crate::read::table::Table;
use crate::read::title::one_line;
use crate::{DataError, Item};

/// A file of items as it was read.
pub(in crate::read) struct Described {
    /// At least one, no key twice.
    pub(in crate::read) items: Vec<Item>,
    pub(in crate::read) placeholders: Placeholders,
    pub(super) category_separator: Option<CategorySeparator>,
    pub(super) unordered_categories: usize,
}

/// Items in the order of the file.
pub(in crate::read) fn read_items(
    path: &Path,
    options: &ReadOptions,
) -> Result<Described, DataError> {
    let mut table = Table::open(path, ITEM)?;
    let (key, title) = (table.require(ITEM)?, table.require(TITLE)?);
    let column = table.find(CATEGORIES)?;
    let missing = options.placeholders == OnPlaceholder::Missing;
    let mut placeholders = Placeholders::default();
    let mut items: Vec<Item> = Vec::new();
    // Categories as they are written, until it is known how the file separates them.
    let mut written: Vec<(u64, String)> = Vec::new();
    let mut lines: HashMap<String, u64> = HashMap::new();
    while table.next_row()? {
        let (key, line) = (named(&table, key, options)?, table.line());
        if let Some(first) = lines.insert(key.to_owned(), line) {
            let (path, item) = (path.to_owned(), key.to_owned());
            return Err(DataError::RepeatedItem { path, line, item, first });
        }
        let mut text = |field: &str, text: &str| {
            let none = missing && is_placeholder(text);
            if none {
                placeholders.add(field, text.trim());
            }
            if none { String::new() } else { text.trim().to_owned() }
        };
        if let Some(column) = column {
            written.push((line, text(CATEGORIES.name, table.list(column)?)));
        }
        let title = text(TITLE.name, table.field(title)?);
        let title = if title.contains(['\n', '\r', '\t']) { one_line(&title) } else { title };
        items.push(Item::new(key, title));
    }
    if items.is_empty() {
        return Err(DataError::NoRows { path: path.to_owned() });
    }
    if u32::try_from(items.len()).is_err() {
        return Err(DataError::TooMany { what: "items", found: items.len() });
    }
    let category_separator = column.map(|_| match options.category_separator {
        CategorySeparator::Auto => {
            let fields = written.iter().map(|(_, field)| field.as_str());
            categories::detect(&fields).unwrap_or(CategorySeparator::Space)
        }
        named => named,
    });
    let guessed = options.category_separator == CategorySeparator::Auto;
    let mut unordered_categories = 0;
    for (item, (line, field)) in items.iter_mut().zip(written) {
        let separator = category_separator.unwrap_or_default();
        let list = categories::split(&field, separator).and_then(|list| checked(list, guessed));
        let List { texts: mut list, unordered } = list.map_err(|expected| {
            DataError::Categories { path: path.to_owned(), line, found: field, expected }
        })?;
        if missing {
            without_placeholders(&mut list, |word| placeholders.add(CATEGORIES.name, word));
        }
        unordered_categories += usize::from(unordered);
        item.categories = list;
    }
    Ok(Described { items, placeholders, category_separator, unordered_categories })
}

/// Categories whose separator is a guess, if none of them shows that the guess is wrong.
fn checked(list: List, guessed: bool) -> Result<List, &'static str> {
    if guessed && list.texts.iter().any(|text| is_part(text)) {
        return Err("categories in a notation that the file tells");
    }
    Ok(list)
}

/// A key, which must not be empty or a word for a missing value.
pub(super) fn named<'t>(
    table: &'t Table,
    column: usize,
    options: &ReadOptions,
) -> Result<&'t str, DataError> {
    let key = table.key(column)?;
    if options.placeholders == OnPlaceholder::Missing && is_placeholder(key) {
        return Err(table.no_value(column));
    }
    Ok(key)
}
