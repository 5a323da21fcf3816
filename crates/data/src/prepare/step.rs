//! What a filter removed.

use std::fmt;

use serde::Serialize;

use crate::filter::Dropped;

/// A filter and what it removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Step {
    /// Which filter.
    pub name: &'static str,
    /// What it removed.
    pub dropped: Dropped,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Dropped { interactions, users, items } = self.dropped;
        write!(f, "{}: -{interactions} interactions, -{users} users, -{items} items", self.name)
    }
}
