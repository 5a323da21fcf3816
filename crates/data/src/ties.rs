//! Events of equal time.

use serde::{Deserialize, Serialize};

/// In which order a user's events of equal time are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ties {
    /// Random by seed: the order of a public file may be that of its item numbers.
    #[default]
    Shuffle,
    /// As in the file, for sources known to be written in the order of events.
    FileOrder,
}
