//! Filters: what is left out on purpose. Every filter reports what it removed.

mod k_core;
mod time_window;
mod titles;

pub use k_core::{KCore, k_core};
pub use time_window::time_window;
pub use titles::{TitleLimit, limit_titles};

/// What a filter removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[non_exhaustive]
pub struct Dropped {
    /// Interactions.
    pub interactions: usize,
    /// Users with interactions before and none after.
    pub users: usize,
    /// Items with interactions before and none after.
    pub items: usize,
}

impl crate::Interactions {
    /// Keeps the rows for which `keep` holds and counts the others.
    pub(crate) fn filter(&mut self, keep: impl FnMut(&crate::Interaction) -> bool) -> Dropped {
        let before = (self.len(), self.num_active());
        self.retain(keep);
        let after = self.num_active();
        Dropped {
            interactions: before.0 - self.len(),
            users: before.1.0 - after.0,
            items: before.1.1 - after.1,
        }
    }
}
