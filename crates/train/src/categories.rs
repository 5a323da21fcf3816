//! Kinds of items, which measure the diversity of a list.

use sidereal_data::{Dataset, ItemId};

/// Second-level category of each item, or the finest it has; none at all where no item has any.
///
/// The second of a list is of the second level only where the source keeps the order. `RecBole`'s
/// Amazon files hold sets, which have none; their reader counts and warns of it
/// (`unordered_categories`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Categories(Vec<String>);

impl Categories {
    /// The categories of a dataset's items.
    #[must_use]
    pub fn new(dataset: &Dataset) -> Self {
        if dataset.items().iter().all(|item| item.categories.is_empty()) {
            return Self::default();
        }
        let second = |categories: &[String]| {
            categories.get(1).or(categories.first()).cloned().unwrap_or_default()
        };
        Self(dataset.items().iter().map(|item| second(&item.categories)).collect())
    }

    /// Whether no item has a category.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The category of an item; empty where it has none.
    #[must_use]
    pub fn of(&self, item: ItemId) -> &str {
        self.0.get(item.index()).map_or("", String::as_str)
    }
}
