//! What was read of a table.

use crate::read::policy::Skips;
use crate::{Dataset, Split};

/// What was read.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Loaded {
    /// Items in an order shuffled by seed, without titles; users in the order of their first row.
    pub dataset: Dataset,
    /// Users of each set as published, if there is a column of sets: all events of the users of
    /// training are training events. For the others, the targets are held out and nothing is
    /// trained.
    pub split: Option<Split>,
    /// Users without an event that counts, who are not in the dataset.
    pub without_events: usize,
    /// Rows left out.
    pub skips: Skips,
}
