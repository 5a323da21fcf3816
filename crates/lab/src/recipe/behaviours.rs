//! Checks that the behaviours that rewards and tests name are in the data.

use sidereal_data::Dataset;

use crate::error::LabError;
use crate::recipe::evaluate::EvaluateConfig;
use crate::recipe::stage::{Stage, Training};

/// Accepts rewards and tests whose behaviours the data have.
pub(crate) fn check(
    evaluate: &EvaluateConfig,
    stages: &[Stage],
    dataset: &Dataset,
) -> Result<(), LabError> {
    for stage in stages {
        let Training::Rl { reward, .. } = &stage.training else { continue };
        for name in reward.behaviours() {
            check_name(format!("stage.{}.reward.behaviour", stage.name), name, dataset)?;
        }
    }
    let labels = evaluate.labels.as_ref();
    labels.map_or(Ok(()), |labels| {
        check_name("evaluate.labels.behaviour".to_owned(), &labels.behaviour, dataset)
    })
}

fn check_name(field: String, name: &str, dataset: &Dataset) -> Result<(), LabError> {
    if dataset.behaviour(name).is_some() {
        return Ok(());
    }
    let known = match dataset.behaviours() {
        [] => "no behaviours".to_owned(),
        known => known.join(", "),
    };
    let found = format!("`{name}`, of data with {known}");
    let needed = "a behaviour of the data; `--behaviours` says which columns they are read from";
    Err(LabError::Setting { field, found, needed })
}
