//! Says which tasks are about a pool of candidates.

use sidereal_prompts::{Task, Variable};

/// Whether the answer to a task comes from a pool.
pub(crate) const fn is_over_pool(task: Task) -> bool {
    matches!(task, Task::TitleChoice | Task::TitleSlate | Task::SidSlate)
}

/// Whether the answer to a task is written as titles.
pub(crate) const fn answers_in_titles(task: Task) -> bool {
    matches!(task, Task::TitleChoice | Task::TitleSlate)
}

/// Whether the answer to a task is a slate.
pub(crate) fn is_slate(task: Task) -> bool {
    task.outputs().contains(&Variable::Slate)
}

/// Whether the prompts of a task show candidates.
pub(crate) fn shows_pool(task: Task) -> bool {
    task.inputs().contains(&Variable::Candidates)
}
