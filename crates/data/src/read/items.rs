//! Reads a file of items without interactions, to make Semantic IDs from items alone.

use std::io::{BufRead as _, BufReader};
use std::path::Path;

use super::policy::{RowPolicy, Skips};
use super::recbole::{self, ReadOptions};
use super::{indexed, source};
use crate::{DataError, Item};

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loaded {
    /// Items in the order of the file, no key twice.
    pub items: Vec<Item>,
    /// Rows left out.
    pub skips: Skips,
}

/// Reads `x.item.json` of `MiniOneRec` and LC-Rec, an object with an entry for each item, or
/// `RecBole`'s `x.item`, a table with a header.
///
/// A file that begins with `{` is of the first kind. `policy` says what happens to doubtful entries
/// of an object. A row of a table that is not right is an error.
///
/// # Errors
/// Each names the file, and the line or entry if there is one: those of
/// [`minionerec::read`](super::minionerec::read) and of [`recbole::read`] about items;
/// [`DataError::NoRows`] for no items.
///
/// # Examples
/// ```
/// use sidereal_data::read::{RowPolicy, items};
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("x.item.json");
/// std::fs::write(&path, r#"{"0": {"title": "an apple"}, "1": {"title": "a bean"}}"#)?;
/// let items = items::read(&path, &RowPolicy::strict())?.items;
/// assert_eq!((items[1].key.as_str(), items[1].title.as_str()), ("1", "a bean"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read(path: &Path, policy: &RowPolicy) -> Result<Loaded, DataError> {
    let mut skips = Skips::new(path);
    let items = if first_byte(path)? == Some(b'{') {
        indexed::read_items(path, policy, &mut skips)?
    } else {
        let options = ReadOptions::new(0).with_placeholders(policy.placeholders);
        let read = recbole::read_items(path, &options)?;
        skips.placeholders = read.placeholders;
        read.items
    };
    if items.is_empty() {
        return Err(DataError::NoRows { path: path.to_owned() });
    }
    skips.tell();
    Ok(Loaded { items, skips })
}

/// The first byte that is neither white space nor part of a byte-order mark; `None` if there is
/// none.
pub(super) fn first_byte(path: &Path) -> Result<Option<u8>, DataError> {
    let mut input = BufReader::new(source::open(path)?);
    loop {
        let bytes = input.fill_buf().map_err(|source| DataError::io(path, source))?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let white = |byte: u8| byte.is_ascii_whitespace() || [0xEF, 0xBB, 0xBF].contains(&byte);
        if let Some(first) = bytes.iter().find(|byte| !white(**byte)) {
            return Ok(Some(*first));
        }
        let read = bytes.len();
        input.consume(read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("items");
        std::fs::write(&path, text).unwrap();
        (dir, path)
    }

    #[test]
    fn tables_and_objects_give_the_same_items_in_the_order_of_the_file() {
        let (_one, table) = file("item_id:token\ttitle:token_seq\nb\ta bean\na\tan apple\n");
        let (_two, object) =
            file("\n {\"b\": {\"title\": \"a bean\"}, \"a\": {\"title\": \"an apple\"}}");
        let items = [Item::new("b", "a bean"), Item::new("a", "an apple")];
        for path in [table, object] {
            assert_eq!(read(&path, &RowPolicy::strict()).unwrap().items, items);
        }
    }

    #[test]
    fn files_without_items_are_refused_by_name() {
        for text in ["", "  \n", "{}", "item_id:token\ttitle:token_seq\n"] {
            let (_dir, path) = file(text);
            let error = read(&path, &RowPolicy::strict()).unwrap_err().to_string();
            assert!(error.contains(path.to_str().unwrap()), "{error}");
        }
    }
}
