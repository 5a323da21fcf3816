//! The tasks that the mixtures of a recipe's stages learn.

use std::collections::BTreeSet;

use sidereal_prompts::{EnrichmentKind, PromptError, PromptSet, Task, Variable};

use crate::pool_task::is_by_head;
use crate::recipe::stage::{Stage, Training};

/// Tasks of all mixtures, in the order of their names.
pub(crate) fn used_tasks(stages: &[Stage]) -> BTreeSet<Task> {
    stages.iter().flat_map(tasks_in_mixture).collect()
}

/// Kinds of a teacher's texts that a stage learns in the words of `prompts`.
///
/// # Errors
/// [`PromptError::NoTemplate`] for a task that the set does not have.
pub(crate) fn used_kinds(
    stages: &[Stage],
    prompts: &PromptSet,
) -> Result<BTreeSet<EnrichmentKind>, PromptError> {
    let mut kinds = BTreeSet::new();
    for task in used_tasks(stages).into_iter().filter(|task| *task != Task::Chat) {
        kinds.extend(prompts.outputs(task)?.iter().copied().filter_map(kind_of));
    }
    Ok(kinds)
}

/// Accepts prompts with a template for every alignment task of reinforcement, and with the mark of a recommendation
/// head if a stage has one, so that none is missed after the stages before it were trained.
///
/// # Errors
/// [`PromptError::NoTemplate`]; [`PromptError::ItemMark`].
pub(crate) fn check_alignment(stages: &[Stage], prompts: &PromptSet) -> Result<(), PromptError> {
    for stage in stages {
        if is_by_head(stage.task) {
            prompts.item_mark()?;
        }
        if let Training::Rl { config, .. } = &stage.training {
            config
                .alignment
                .iter()
                .try_for_each(|aligned| prompts.template(aligned.task).map(drop))?;
        }
    }
    Ok(())
}

/// Whether a stage learns a text of a teacher, in the words of any set.
pub(crate) fn learns_of_a_teacher(stages: &[Stage]) -> bool {
    let outputs = used_tasks(stages).into_iter().flat_map(Task::outputs);
    outputs.copied().any(|variable| kind_of(variable).is_some())
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
        Training::NextItem(_)
        | Training::Preference(_)
        | Training::ItemHead(_)
        | Training::Untrained(_) => false,
    };
    let parent = stages.iter().find(|other| Some(&other.name) == stage.from.as_ref());
    own || parent.is_some_and(|parent| reasons(parent, stages))
}

/// Whether a stage, or a stage that it starts from, has a task in its mixture.
pub(crate) fn learns(task: Task, stage: &Stage, stages: &[Stage]) -> bool {
    let parent = stages.iter().find(|other| Some(&other.name) == stage.from.as_ref());
    tasks_in_mixture(stage).any(|learned| learned == task)
        || parent.is_some_and(|parent| learns(task, parent, stages))
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
        Variable::Reasoning | Variable::Rewriting => Some(EnrichmentKind::Reasoning),
        Variable::Monologue => Some(EnrichmentKind::Monologue),
        _ => None,
    }
}
