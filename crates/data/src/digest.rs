//! The hash function for datasets, splits, prompts and mixtures.

use std::fmt;

use sidereal_sid::ItemId;

use crate::SampleId;

/// BLAKE3 over values that include their length, so that no two sequences of values collide.
///
/// ```
/// use sidereal_data::Digest;
///
/// let hash = |texts: &[&str]| {
///     let mut digest = Digest::default();
///     texts.iter().for_each(|text| digest.text(text));
///     digest.finish()
/// };
/// assert_eq!(hash(&["tea", "pot"]).len(), 64);
/// assert_ne!(hash(&["tea", "pot"]), hash(&["teap", "ot"]));
/// ```
#[derive(Clone, Default)]
pub struct Digest(blake3::Hasher);

impl Digest {
    /// Adds a size.
    pub fn size(&mut self, size: usize) {
        self.0.update(&(size as u64).to_le_bytes());
    }

    /// Adds a number.
    pub fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    /// Adds the identity of a sample.
    pub fn sample(&mut self, id: SampleId) {
        let (kind, whose, place) = match id {
            SampleId::Event { user, position } => (0, user.0, position),
            SampleId::Item(item) => (1, item.0, 0),
            SampleId::Chat(row) => (2, row, 0),
            SampleId::Query { user, place } => (3, user.0, place),
        };
        for number in [kind, whose, place] {
            self.number(number.into());
        }
    }

    /// Adds a text.
    pub fn text(&mut self, text: &str) {
        self.size(text.len());
        self.0.update(text.as_bytes());
    }

    /// Adds a list of items.
    pub fn items(&mut self, items: &[ItemId]) {
        self.size(items.len());
        for item in items {
            self.0.update(&item.0.to_le_bytes());
        }
    }

    /// A number that looks random, from all values that were added.
    #[must_use]
    pub fn draw(&self) -> u64 {
        let mut bytes = [0; 8];
        self.0.finalize_xof().fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// The hash of all values that were added, in hexadecimal.
    #[must_use]
    pub fn finish(&self) -> String {
        self.0.finalize().to_hex().to_string()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Digest").field(&self.finish()).finish()
    }
}
