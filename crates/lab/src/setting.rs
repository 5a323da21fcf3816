//! Checks of settings, with errors that name them.

use crate::error::LabError;

/// Accepts counts of at least one.
pub(crate) fn check_counts(counts: &[(&str, usize)]) -> Result<(), LabError> {
    match counts.iter().find(|(_, value)| *value == 0) {
        Some((field, _)) => Err(LabError::Setting {
            field: (*field).to_owned(),
            found: "0".into(),
            needed: "at least 1",
        }),
        None => Ok(()),
    }
}

/// Puts the stage's name before the field's.
pub(crate) fn of_stage<T, E: Into<LabError>>(
    stage: &str,
    result: Result<T, E>,
) -> Result<T, LabError> {
    result.map_err(|error| match error.into() {
        LabError::Setting { field, found, needed } => {
            LabError::Setting { field: format!("stage.{stage}.{field}"), found, needed }
        }
        other => other,
    })
}
