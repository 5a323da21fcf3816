//! Where the files of a blend are in the folder of a run, and what cannot be in a blend.

use crate::error::LabError;

/// The file of a blend's rankings within the run's folder.
pub(crate) fn file(blend: &str) -> String {
    format!("blends/{blend}/rankings.json")
}

/// The folder of a blend within the run's folder.
pub(crate) fn folder(blend: &str) -> String {
    format!("blends/{blend}")
}

/// The file of a blend's weights within the run's folder.
pub(crate) fn weights(blend: &str) -> String {
    format!("blends/{blend}/weights.json")
}

/// A policy that does not read items cannot be in a blend.
pub(crate) fn not_of_items(blend: &str, stage: &str) -> LabError {
    LabError::Setting {
        field: format!("blend.{blend}.policies"),
        found: format!("`{stage}`, which reads words"),
        needed: "policies of the kind `item`",
    }
}

/// Policies that write words cannot be averaged.
pub(crate) fn one_of_words(blend: &str, found: usize) -> LabError {
    LabError::Setting {
        field: format!("blend.{blend}.policies"),
        found: format!("{found} stages"),
        needed: "one stage: policies that write words are not averaged, a prior guides the beams of one",
    }
}
