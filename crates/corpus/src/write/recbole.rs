//! `RecBole`'s atomic files, as [`read::recbole`](crate::read::recbole) reads them.

use std::path::Path;

use super::{Seconds, write_whole};
use crate::{CorpusError, Dataset};

/// Writes a dataset as a file of interactions and one of items, the items first.
///
/// Items are written in identity order, users in theirs; `timestamp` is the event's time in seconds,
/// or its position in the user's sequence where the dataset has no times.
///
/// # Errors
/// [`CorpusError::Unwritable`] for a text that the format cannot hold, before anything is written;
/// [`CorpusError::Io`].
pub fn write(dataset: &Dataset, interactions: &Path, items: &Path) -> Result<(), CorpusError> {
    for item in dataset.items() {
        check(items, "item key", &item.key, false)?;
        check(items, "title", &item.title, false)?;
        for category in &item.categories {
            check(items, "category", category, true)?;
        }
    }
    for user in dataset.users() {
        check(interactions, "user key", &user.key, false)?;
    }
    write_whole(items, |out| {
        writeln!(out, "item_id:token\ttitle:token_seq\tcategories:token_seq")?;
        dataset.items().iter().try_for_each(|item| {
            writeln!(out, "{}\t{}\t{}", item.key, item.title, item.categories.join(" "))
        })
    })?;
    write_whole(interactions, |out| {
        writeln!(out, "user_id:token\titem_id:token\ttimestamp:float")?;
        for user in dataset.users() {
            for (position, item) in user.events.iter().enumerate() {
                let item = dataset.item(*item).map_or("", |item| &item.key);
                write!(out, "{}\t{item}\t", user.key)?;
                match user.time(position) {
                    Some(time) => writeln!(out, "{}", Seconds(time))?,
                    None => writeln!(out, "{position}")?,
                }
            }
        }
        Ok(())
    })
}

fn check(path: &Path, what: &'static str, text: &str, one_word: bool) -> Result<(), CorpusError> {
    let forbidden = if text.contains(['\t', '\n', '\r']) {
        "a tab or a line end"
    } else if one_word && (text.is_empty() || text.contains(char::is_whitespace)) {
        "white space or nothing"
    } else {
        return Ok(());
    };
    Err(CorpusError::Unwritable { path: path.to_owned(), what, text: text.to_owned(), forbidden })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Item, ItemId, User};

    #[test]
    fn a_text_that_would_break_a_row_is_refused_before_writing() {
        let dir = tempfile::tempdir().unwrap();
        let (inter, item) = (dir.path().join("x.inter"), dir.path().join("x.item"));
        let users = vec![User::new("u", vec![ItemId(0)])];
        let dataset = Dataset::new(vec![Item::new("a", "two\nlines")], users).unwrap();
        assert!(matches!(
            write(&dataset, &inter, &item),
            Err(CorpusError::Unwritable { what: "title", .. })
        ));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
