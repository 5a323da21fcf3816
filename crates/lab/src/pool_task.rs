//! Says which tasks are about a pool of candidates, and which are answered with titles or by a recommendation head.

use sidereal_prompts::{Task, Variable};

/// Whether the answer to a task comes from a pool.
pub(crate) const fn is_over_pool(task: Task) -> bool {
    matches!(task, Task::TitleChoice | Task::TitleSlate | Task::SidSlate)
}

/// Whether the answer to a task is written as titles.
pub(crate) const fn answers_in_titles(task: Task) -> bool {
    matches!(task, Task::TitleChoice | Task::TitleSlate) || is_over_all_titles(task)
}

/// Whether the answer to a task is a title out of the whole catalogue.
pub(crate) const fn is_over_all_titles(task: Task) -> bool {
    matches!(task, Task::TitleHistoryToTitle | Task::SidHistoryToTitle)
}

/// Whether the answer to a task is the item that a recommendation head scores best.
pub(crate) const fn is_by_head(task: Task) -> bool {
    matches!(task, Task::TitleHistoryToItem)
}

/// Whether the answer to a task is one Semantic ID of the catalogue.
pub(crate) const fn answers_with_sid(task: Task) -> bool {
    !is_over_pool(task)
        && !is_over_all_titles(task)
        && !is_by_head(task)
        && !matches!(task, Task::CatalogueSlate)
}

/// Whether the answer to a task is a slate.
pub(crate) fn is_slate(task: Task) -> bool {
    task.outputs().contains(&Variable::Slate)
}

/// Whether the prompts of a task show candidates.
pub(crate) fn shows_pool(task: Task) -> bool {
    task.inputs().contains(&Variable::Candidates)
}
