//! Categories of items, from which the diversity of a list is measured.

use sidereal_data::{Dataset, ItemId};

/// Second-level category of each item, or the finest that it has. It is empty if no item has a
/// category.
///
/// The second category of a list is of the second level only if the source keeps the order.
/// `RecBole`'s Amazon files hold sets, which have no order; their reader counts this and warns
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

    /// The category of an item; empty if it has none.
    #[must_use]
    pub fn of(&self, item: ItemId) -> &str {
        self.0.get(item.index()).map_or("", String::as_str)
    }
}
