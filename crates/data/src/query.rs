//! What users asked for in words.

use serde::{Deserialize, Serialize};
use sidereal_sid::ItemId;

/// A request of a user in words, and the items that the user chose for it: what interactive
/// recommendation learns from (`RecIF-Bench`'s keywords and their items).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// What the user asked for.
    pub words: String,
    /// What the user chose, in the order of the source, each item once.
    pub items: Vec<ItemId>,
}

impl Query {
    /// A request with the items that were chosen for it.
    #[must_use]
    pub fn new(words: impl Into<String>, items: Vec<ItemId>) -> Self {
        Self { words: words.into(), items }
    }
}
