//! Says which tasks are about a pool of candidates, and which are answered with titles.

use sidereal_prompts::{Task, Variable};

/// Whether the answer to a task comes from a pool.
pub(crate) const fn is_over_pool(task: Task) -> bool {
    matches!(task, Task::TitleChoice | Task::TitleSlate)
}

/// Whether the answer to a task is a title out of the whole catalogue.
pub(crate) const fn is_over_all_titles(task: Task) -> bool {
    matches!(task, Task::TitleHistoryToTitle | Task::SidHistoryToTitle)
}

/// Whether the answer to a task is in titles.
pub(crate) const fn is_in_titles(task: Task) -> bool {
    is_over_pool(task) || is_over_all_titles(task)
}

/// Whether the prompts of a task show candidates.
pub(crate) fn shows_pool(task: Task) -> bool {
    task.inputs().contains(&Variable::Candidates)
}
