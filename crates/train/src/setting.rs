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

/// Accepts shares from 0, up to 1 or below 1.
pub(crate) fn check_shares(shares: &[(&str, f64, End)]) -> Result<(), TrainError> {
    for (field, value, end) in shares {
        let inside = match end {
            End::Included => (0.0..=1.0).contains(value),
            End::Excluded => (0.0..1.0).contains(value),
        };
        if !inside {
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
    let (first, second) = optim.betas;
    check_shares(&[
        ("optim.final_lr", optim.final_lr, End::Included),
        ("optim.betas", first, End::Excluded),
        ("optim.betas", second, End::Excluded),
    ])?;
    let number = |field: &str, found: f64, needed| {
        let (field, found) = (field.to_owned(), found.to_string());
        Err(TrainError::Setting { field, found, needed })
    };
    if !(optim.eps > 0.0 && optim.eps.is_finite()) {
        return number("optim.eps", optim.eps, "a positive number");
    }
    if !(optim.weight_decay >= 0.0 && optim.weight_decay.is_finite()) {
        return number("optim.weight_decay", optim.weight_decay, "a number that is at least 0");
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
