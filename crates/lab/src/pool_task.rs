//! Says which tasks are about a pool of candidates.

use sidereal_prompts::{Task, Variable};

/// Whether the answer to a task comes from a pool.
pub(crate) const fn is_over_pool(task: Task) -> bool {
    matches!(task, Task::TitleChoice | Task::TitleSlate)
}

/// Whether the prompts of a task show candidates.
pub(crate) fn shows_pool(task: Task) -> bool {
    task.inputs().contains(&Variable::Candidates)
}
