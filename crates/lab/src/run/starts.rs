//! Finds the stages of a run that returned the policy that they started from.

use std::collections::BTreeSet;

use sidereal_train::{JsonLog, Record};

use crate::error::LabError;
use crate::recipe::stage::{Stage, Training};
use crate::run::log::LOG;
use crate::run::manifest::Manifest;
use crate::run::part::Folder;

/// Names of the stages of a run that returned their start because no step was better on validation.
/// If the manifest does not have it, it is read from the log of the run.
pub(crate) fn returned_their_start(
    folder: &Folder,
    stages: &[Stage],
) -> Result<BTreeSet<String>, LabError> {
    let manifest = Manifest::read(folder)?;
    let log = folder.path(LOG);
    let mut records: Option<Vec<Record>> = None;
    let mut names = BTreeSet::new();
    for stage in stages {
        // Supervised fine-tuning does not validate its start, and an untrained stage has nothing else.
        if matches!(stage.training, Training::Sft(_) | Training::Untrained(_)) {
            continue;
        }
        let recorded = manifest.stages.get(&stage.name).and_then(|record| record.best_step);
        let best = match (recorded, &mut records) {
            (Some(step), _) => Some(step),
            (None, Some(records)) => best_step(records, &stage.name),
            (None, none) => {
                let read = if log.exists() { JsonLog::read(&log)? } else { Vec::new() };
                best_step(none.insert(read), &stage.name)
            }
        };
        if best == Some(0) {
            names.insert(stage.name.clone());
        }
    }
    Ok(names)
}

/// The step of a stage's best validation, the first of equal ones.
fn best_step(records: &[Record], stage: &str) -> Option<usize> {
    let of_stage = records.iter().filter(|record| record.stage == stage);
    let validated =
        of_stage.filter_map(|record| Some((record.step, *record.values.get("valid_ndcg")?)));
    let best = validated.reduce(|best, next| if next.1 > best.1 { next } else { best });
    best.map(|(step, _)| step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_step_is_the_first_of_equal_ones() {
        let record = |stage: &str, step: usize, ndcg: f64| {
            Record::new(stage, step, 9).with("valid_ndcg", ndcg)
        };
        let records = [
            record("a", 0, 0.2),
            Record::new("a", 1, 9).with("loss", 0.9),
            record("a", 2, 0.2),
            record("b", 0, 0.1),
            record("b", 2, 0.3),
            record("b", 4, 0.3),
        ];
        let found = ["a", "b", "c"].map(|stage| best_step(&records, stage));
        assert_eq!(found, [Some(0), Some(2), None]);
    }
}
