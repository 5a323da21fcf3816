//! Finds an item by a text that a person types.

use sidereal_sid::ItemId;

use crate::{DataError, Dataset, Item};

impl Dataset {
    /// The item with this key, else with this title, else with this text in its title; upper and
    /// lower case of titles are alike.
    ///
    /// # Errors
    /// [`DataError::NoSuchItem`], and [`DataError::Ambiguous`] if more than one title fits.
    ///
    /// ```
    /// use sidereal_data::{Dataset, Item, User};
    /// use sidereal_sid::ItemId;
    ///
    /// let items = vec![Item::new("B01", "Red lipstick"), Item::new("B02", "Blue ink")];
    /// let dataset = Dataset::new(items, vec![User::new("ann", vec![ItemId(1)])])?;
    /// assert_eq!(dataset.find("B02")?, ItemId(1));
    /// assert_eq!(dataset.find("lipstick")?, ItemId(0));
    /// assert!(dataset.find("pen").is_err());
    /// # Ok::<(), sidereal_data::DataError>(())
    /// ```
    pub fn find(&self, text: &str) -> Result<ItemId, DataError> {
        let items = || (0u32..).map(ItemId).zip(self.items());
        if let Some((id, _)) = items().find(|(_, item)| item.key == text) {
            return Ok(id);
        }
        let wanted = text.to_lowercase();
        let only = |fits: &dyn Fn(&str) -> bool| -> Result<Option<ItemId>, DataError> {
            let mut found = items().filter(|(_, item)| fits(&item.title.to_lowercase()));
            let Some((id, first)) = found.next() else { return Ok(None) };
            match found.next() {
                None => Ok(Some(id)),
                Some((_, second)) => Err(ambiguous(text, first, second)),
            }
        };
        if let Some(id) = only(&|title| title == wanted)? {
            return Ok(id);
        }
        only(&|title| title.contains(&wanted))?
            .ok_or_else(|| DataError::NoSuchItem { text: text.to_owned() })
    }
}

fn ambiguous(text: &str, first: &Item, second: &Item) -> DataError {
    let name = |item: &Item| format!("{} ({})", item.title, item.key);
    DataError::Ambiguous { text: text.to_owned(), first: name(first), second: name(second) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::User;

    fn shop() -> Dataset {
        let items = [("ink", "Pen"), ("b", "Ink"), ("c", "Red ink"), ("d", "Cup"), ("e", "cup")];
        let items = items.map(|(key, title)| Item::new(key, title)).to_vec();
        Dataset::new(items, vec![User::new("ann", vec![ItemId(0)])]).unwrap()
    }

    #[test]
    fn a_key_matches_first_then_a_title_then_a_part_of_a_title() {
        assert_eq!(shop().find("ink").unwrap(), ItemId(0));
        assert_eq!(shop().find("INK").unwrap(), ItemId(1));
        assert_eq!(shop().find("red").unwrap(), ItemId(2));
    }

    #[test]
    fn two_items_that_fit_are_both_named() {
        for text in ["CUP", "n"] {
            let error = shop().find(text).unwrap_err();
            assert!(matches!(error, DataError::Ambiguous { .. }), "{error}");
        }
        let error = shop().find("CUP").unwrap_err().to_string();
        assert!(error.contains("Cup (d)") && error.contains("cup (e)"), "{error}");
    }

    #[test]
    fn a_text_that_nothing_has_is_named() {
        let error = shop().find("lamp").unwrap_err();
        assert!(matches!(&error, DataError::NoSuchItem { text } if text == "lamp"), "{error}");
    }
}
