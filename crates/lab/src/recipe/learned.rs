//! The tasks that the mixtures of a recipe's stages learn.

use std::collections::BTreeSet;

use sidereal_prompts::{EnrichmentKind, Task, Variable};

use crate::recipe::stage::{Stage, Training};

/// Tasks of all mixtures, in the order of their names.
pub(crate) fn used_tasks(stages: &[Stage]) -> BTreeSet<Task> {
    stages.iter().flat_map(tasks_in_mixture).collect()
}

/// Kinds of a teacher's texts that a stage learns.
pub(crate) fn used_kinds(stages: &[Stage]) -> BTreeSet<EnrichmentKind> {
    let tasks = used_tasks(stages);
    tasks.iter().flat_map(|task| task.outputs()).copied().filter_map(kind_of).collect()
}

/// The task of a stage, and the tasks of its mixture.
pub(crate) fn tasks_of(stage: &Stage) -> impl Iterator<Item = Task> {
    std::iter::once(stage.task).chain(tasks_in_mixture(stage))
}

/// Whether a stage, or a stage that it starts from, has learned to reason.
pub(crate) fn reasons(stage: &Stage, stages: &[Stage]) -> bool {
    let own = match &stage.training {
        Training::Sft(_) => tasks_in_mixture(stage).any(|task| task == Task::Reasoning),
        Training::Rl { config, .. } => config.reasoning.is_some(),
        Training::NextItem(_) | Training::Preference(_) | Training::Untrained(_) => false,
    };
    let parent = stages.iter().find(|other| Some(&other.name) == stage.from.as_ref());
    own || parent.is_some_and(|parent| reasons(parent, stages))
}

fn tasks_in_mixture(stage: &Stage) -> impl Iterator<Item = Task> {
    let mixture = match &stage.training {
        Training::Sft(config) => config.mixture.as_ref(),
        _ => None,
    };
    mixture.into_iter().flat_map(|mixture| &mixture.tasks).copied()
}

/// The kind of a teacher's text that a completion shows.
const fn kind_of(variable: Variable) -> Option<EnrichmentKind> {
    match variable {
        Variable::Paragraph => Some(EnrichmentKind::ItemParagraph),
        Variable::Narrative => Some(EnrichmentKind::UserNarrative),
        Variable::Preference => Some(EnrichmentKind::Preference),
        Variable::Reasoning => Some(EnrichmentKind::Reasoning),
        _ => None,
    }
}
