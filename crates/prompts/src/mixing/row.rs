//! A row of a mixture.

use serde::{Deserialize, Serialize};

/// A row of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MixtureRow {
    /// Which source, from 0.
    pub source: usize,
    /// Which of its rows, from 0.
    pub index: usize,
}
