//! Checks of settings, with errors that name them.

use crate::TrainError;
use crate::optim::OptimConfig;

/// Accepts counts of at least one.
pub(crate) fn check_counts(counts: &[(&str, usize)]) -> Result<(), TrainError> {
    match counts.iter().find(|(_, value)| *value == 0) {
        Some((field, _)) => Err(TrainError::Setting {
            field: (*field).to_owned(),
            found: "0".into(),
            needed: "at least 1",
        }),
        None => Ok(()),
    }
}

/// Accepts shares from 0, those that may be 1 with 1.
pub(crate) fn check_shares(shares: &[(&str, f64, End)]) -> Result<(), TrainError> {
    for (field, value, end) in shares {
        let inside = (0.0..1.0).contains(value) || (*end == End::Included && *value <= 1.0);
        if !inside || value.is_nan() {
            return Err(TrainError::Setting {
                field: (*field).to_owned(),
                found: value.to_string(),
                needed: match end {
                    End::Included => "a share from 0 to 1",
                    End::Excluded => "a share from 0 to below 1",
                },
            });
        }
    }
    Ok(())
}

/// Whether a share may be 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Included,
    Excluded,
}

/// Accepts an optimiser's settings.
pub(crate) fn check_optim(optim: &OptimConfig) -> Result<(), TrainError> {
    check_shares(&[("optim.warmup", optim.warmup, End::Excluded)])?;
    for (field, value) in [("optim.lr", optim.lr), ("optim.clip_norm", optim.clip_norm)] {
        if !(value > 0.0 && value.is_finite()) {
            let (field, found) = (field.to_owned(), value.to_string());
            return Err(TrainError::Setting { field, found, needed: "a positive number" });
        }
    }
    Ok(())
}

/// Puts the table's name before the field's.
pub(crate) fn in_table<T>(table: &str, result: Result<T, TrainError>) -> Result<T, TrainError> {
    result.map_err(|error| match error {
        TrainError::Setting { field, found, needed } => {
            TrainError::Setting { field: format!("{table}.{field}"), found, needed }
        }
        other => other,
    })
}

/// Puts the stage's name before the field's.
pub(crate) fn of_stage<T>(stage: &str, result: Result<T, TrainError>) -> Result<T, TrainError> {
    in_table(&format!("stage.{stage}"), result)
}
