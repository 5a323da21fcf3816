//! Checks that the behaviours and queries that rewards, tasks and tests need are in the data.

use sidereal_data::Dataset;
use sidereal_prompts::Task;

use crate::error::LabError;
use crate::recipe::evaluate::EvaluateConfig;
use crate::recipe::learned::tasks_of;
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
    let mut asked = evaluate.targets.iter().flat_map(|targets| &targets.tasks);
    if asked.any(|task| *task == Task::LabelConditional) && dataset.behaviours().is_empty() {
        return Err(LabError::Setting {
            field: "evaluate.targets.tasks".to_owned(),
            found: "with `label-conditional`, of data with no behaviours".to_owned(),
            needed: "data with behaviours; `--behaviours` says which columns they are read from",
        });
    }
    let queried = |stage: &&Stage| tasks_of(stage).any(Task::is_about_a_query);
    if let Some(stage) = stages.iter().find(queried)
        && !dataset.has_queries()
    {
        return Err(LabError::Setting {
            field: format!("stage.{}.sft.mixture.tasks", stage.name),
            found: "with `interactive`, of data without queries".to_owned(),
            needed: "data with portraits and queries; `--queries` reads those of RecIF-Bench's table",
        });
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
