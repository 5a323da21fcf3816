//! `RecBole`'s atomic files, as [`read::recbole`](crate::read::recbole) reads them.

use std::borrow::Cow;
use std::path::Path;

use super::{Seconds, write_whole};
use crate::read::is_told_from_others_by_space;
use crate::{DataError, Dataset};

/// Writes a dataset as a file of interactions and one of items, the items first.
///
/// Items are written in identity order, users in theirs; `timestamp` is the event's time in
/// seconds, or its position in the user's sequence if the dataset has no times. A text that begins
/// with a quote is put in quotes, as pandas does. A title that is a word for a missing value, such
/// as `None`, is only read back with [`OnPlaceholder::Keep`](crate::read::OnPlaceholder::Keep).
///
/// # Errors
/// [`DataError::Unwritable`] for a text that the format cannot hold, before anything is written;
/// [`DataError::Io`].
pub fn write(dataset: &Dataset, interactions: &Path, items: &Path) -> Result<(), DataError> {
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
            let (key, title) = (quoted(&item.key), quoted(&item.title));
            writeln!(out, "{key}\t{title}\t{}", item.categories.join(" "))
        })
    })?;
    write_whole(interactions, |out| {
        writeln!(out, "user_id:token\titem_id:token\ttimestamp:float")?;
        for user in dataset.users() {
            for (position, item) in user.events.iter().enumerate() {
                let item = dataset.item(*item).map_or("", |item| &item.key);
                write!(out, "{}\t{}\t", quoted(&user.key), quoted(item))?;
                match user.time(position) {
                    Some(time) => writeln!(out, "{}", Seconds(time))?,
                    None => writeln!(out, "{position}")?,
                }
            }
        }
        Ok(())
    })
}

/// A text that begins with a quote, as a quoted field; others as they are.
fn quoted(text: &str) -> Cow<'_, str> {
    if text.starts_with('"') {
        Cow::Owned(format!("\"{}\"", text.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(text)
    }
}

fn check(path: &Path, what: &'static str, text: &str, one_word: bool) -> Result<(), DataError> {
    let forbidden = if text.contains(['\t', '\n', '\r']) {
        "a tab or a line end"
    } else if one_word && (text.is_empty() || text.contains(char::is_whitespace)) {
        "white space or nothing"
    } else if one_word && !is_told_from_others_by_space(text) {
        "what would be read as another notation of categories"
    } else {
        return Ok(());
    };
    Err(DataError::Unwritable { path: path.to_owned(), what, text: text.to_owned(), forbidden })
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
            Err(DataError::Unwritable { what: "title", .. })
        ));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn titles_in_quotes_read_back_and_categories_that_would_be_split_are_refused() {
        use crate::read::recbole::{ReadOptions, read};

        let dir = tempfile::tempdir().unwrap();
        let (inter, item) = (dir.path().join("x.inter"), dir.path().join("x.item"));
        let titles = ["\"Alien\" by \"X\"", "7\" tablet", "\"", "\"Alien\""];
        let items = titles.iter().map(|title| Item::new(*title, *title)).collect();
        let users = vec![User::new("\"u\"", [0, 1, 2, 3].map(ItemId).to_vec())];
        let dataset = Dataset::new(items, users).unwrap();
        write(&dataset, &inter, &item).unwrap();
        let back = read(&inter, &item, &ReadOptions::new(1)).unwrap().dataset;
        assert_eq!(back.users()[0].key, "\"u\"");
        let written = |id: &ItemId| back.item(*id).unwrap().title.as_str();
        assert_eq!(back.users()[0].events.iter().map(written).collect::<Vec<_>>(), titles);

        for category in ["a,b", "a|b", "'a'", "[a]", "&", "et("] {
            let item_of = Item::new("a", "x").with_categories(vec![category.to_owned()]);
            let users = vec![User::new("u", vec![ItemId(0)])];
            let dataset = Dataset::new(vec![item_of], users).unwrap();
            let refused = write(&dataset, &inter, &item);
            let named = matches!(refused, Err(DataError::Unwritable { what: "category", .. }));
            assert!(named, "{category}");
        }
    }
}
