//! Items whose title is too long.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Dropped;
use crate::{Interactions, Item};

/// Longest title.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TitleLimit {
    /// In characters.
    Characters(usize),
    /// In words, separated by white space.
    Words(usize),
}

impl TitleLimit {
    /// Whether a title is not too long.
    #[must_use]
    pub fn admits(self, title: &str) -> bool {
        match self {
            Self::Characters(most) => title.chars().nth(most).is_none(),
            Self::Words(most) => title.split_whitespace().nth(most).is_none(),
        }
    }
}

/// Keeps the interactions with items whose title `limit` admits; an item that is not `described`
/// has no title, which is never too long.
///
/// ```
/// use std::collections::BTreeMap;
/// use sidereal_data::{Interactions, Item, Timestamp};
/// use sidereal_data::filter::{TitleLimit, limit_titles};
///
/// let mut rows = Interactions::default();
/// rows.push("u", "a", Timestamp(0))?;
/// rows.push("u", "b", Timestamp(1))?;
/// let items = [("a", "an apple"), ("b", "a bean from the garden")];
/// let items: BTreeMap<_, _> =
///     items.iter().map(|(key, title)| (key.to_string(), Item::new(*key, *title))).collect();
/// assert_eq!(limit_titles(&mut rows, &items, TitleLimit::Words(4)).items, 1);
/// assert_eq!(rows.len(), 1);
/// # Ok::<(), sidereal_data::DataError>(())
/// ```
pub fn limit_titles(
    interactions: &mut Interactions,
    described: &BTreeMap<String, Item>,
    limit: TitleLimit,
) -> Dropped {
    let admitted: Vec<bool> = interactions
        .items()
        .names()
        .map(|key| described.get(key).is_none_or(|item| limit.admits(&item.title)))
        .collect();
    interactions.filter(|row| admitted[row.item as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_of_the_very_length_is_admitted() {
        assert!(TitleLimit::Words(2).admits(" two  words "));
        assert!(!TitleLimit::Words(2).admits("now three words"));
        assert!(TitleLimit::Characters(3).admits("äöü"));
        assert!(!TitleLimit::Characters(3).admits("abcd"));
        assert!(TitleLimit::Words(0).admits(""));
    }
}
