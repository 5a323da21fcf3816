//! Categories of items, from which the diversity of a list is measured.

use std::num::NonZeroUsize;

use sidereal_data::{Dataset, ItemId};
use sidereal_metrics::entropy;

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

    /// Entropy of the categories of these items, nats: `-Σ_c p_c · ln p_c` over the share `p_c` of each
    /// category. In `[0, ln n]` for `n` items, 0 for none. Items without a category count as one category.
    #[must_use]
    pub fn entropy(&self, items: impl IntoIterator<Item = ItemId>) -> f64 {
        let labels: Vec<&str> = items.into_iter().map(|item| self.of(item)).collect();
        entropy(&labels, NonZeroUsize::new(labels.len()).unwrap_or(NonZeroUsize::MIN))
    }
}
