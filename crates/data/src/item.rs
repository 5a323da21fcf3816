//! What is known of an item.

use serde::{Deserialize, Serialize};

/// What is known of an item besides who chose it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Item {
    /// Name in the source, unique.
    pub key: String,
    /// Title; empty if the source has none.
    pub title: String,
    /// Categories, coarse to fine; empty if the source has none.
    pub categories: Vec<String>,
    /// What the seller says of it; empty if the source has nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Maker or shop; empty if the source has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub brand: String,
}

impl Item {
    /// An item with this key and title and no categories.
    #[must_use]
    pub fn new(key: impl Into<String>, title: impl Into<String>) -> Self {
        Self { key: key.into(), title: title.into(), ..Self::default() }
    }

    /// The item with this description.
    #[must_use]
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// The item with this maker or shop.
    #[must_use]
    pub fn with_brand(mut self, brand: impl Into<String>) -> Self {
        self.brand = brand.into();
        self
    }

    /// The item with these categories, coarse to fine.
    #[must_use]
    pub fn with_categories(mut self, categories: Vec<String>) -> Self {
        self.categories = categories;
        self
    }
}
