//! Words that converters write for a missing value.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The words that `pandas.read_csv` takes for a missing value by default, except the empty text:
/// what pandas, `NumPy`, R and spreadsheets write. Only these exact spellings count: the film `Nan`
/// has a title.
const WORDS: [&str; 18] = [
    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>",
    "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
];

/// How to read a field that holds nothing but a word like `nan`, `None`, `null` or `N/A`: one of
/// those that `pandas.read_csv` takes for a missing value by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnPlaceholder {
    /// As a missing value. These fields are counted, word by word.
    #[default]
    Missing,
    /// As a text like any other, for shops that sell a film called `None`.
    Keep,
}

/// How often a word was taken for a missing value, by field.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Placeholders {
    counts: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Placeholders {
    /// The counts of a field's words.
    pub fn of(&self, field: &str) -> impl Iterator<Item = (&str, u64)> {
        let words = self.counts.get(field).into_iter().flatten();
        words.map(|(word, count)| (word.as_str(), *count))
    }

    /// Whether no word was taken for a missing value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// All fields together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.values().flat_map(BTreeMap::values).sum()
    }

    pub(crate) fn add(&mut self, field: &str, word: &str) {
        let words = self.counts.entry(field.to_owned()).or_default();
        *words.entry(word.to_owned()).or_default() += 1;
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (field, words) in other.counts {
            let mine = self.counts.entry(field).or_default();
            for (word, count) in words {
                *mine.entry(word).or_default() += count;
            }
        }
    }
}

/// `title: 2 times `nan`, 1 time `None`; brand: …`.
impl fmt::Display for Placeholders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (field, words)) in self.counts.iter().enumerate() {
            write!(f, "{}{field}: ", if place > 0 { "; " } else { "" })?;
            for (place, (word, count)) in words.iter().enumerate() {
                let comma = if place > 0 { ", " } else { "" };
                let times = if *count == 1 { "time" } else { "times" };
                write!(f, "{comma}{count} {times} `{word}`")?;
            }
        }
        Ok(())
    }
}

/// Whether a text is a word for a missing value.
pub(super) fn is_placeholder(text: &str) -> bool {
    WORDS.contains(&text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_value_words_differ_from_titles_that_contain_them() {
        for word in ["nan", "NaN", " None ", "null", "NULL", "N/A", "n/a", "<NA>", "#N/A"] {
            assert!(is_placeholder(word), "{word}");
        }
        for title in ["", "Nan", "none", "Null", "nan bread", "None of the above", "N", "Na"] {
            assert!(!is_placeholder(title), "{title}");
        }
    }

    #[test]
    fn counts_are_by_field_and_word() {
        let mut found = Placeholders::default();
        for (field, word) in
            [("title", "nan"), ("title", "None"), ("brand", "nan"), ("title", "nan")]
        {
            found.add(field, word);
        }
        assert_eq!(found.total(), 4);
        assert_eq!(found.of("title").collect::<Vec<_>>(), [("None", 1), ("nan", 2)]);
        assert_eq!(found.to_string(), "brand: 1 time `nan`; title: 1 time `None`, 2 times `nan`");
    }
}
