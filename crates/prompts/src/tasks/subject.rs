//! What a sample is about.

use sidereal_data::{Query, Sample, SampleId, User};
use sidereal_sid::ItemId;

use crate::{Task, Variable};

/// What a sample is about.
pub(super) struct Subject<'s> {
    pub(super) id: SampleId,
    /// The event of a user; `None` for a task about something else.
    pub(super) sample: Option<Sample<'s>>,
    pub(super) target: ItemId,
    pub(super) history: &'s [ItemId],
    pub(super) candidates: Vec<ItemId>,
    /// The query and who asks; `None` for a task about something else.
    pub(super) query: Option<(&'s User, &'s Query)>,
}

/// Whether a task has this variable in its prompt or its completion.
pub(super) fn shows(task: Task, variable: Variable) -> bool {
    task.inputs().contains(&variable) || task.outputs().contains(&variable)
}

/// A text that is not empty.
pub(super) fn present(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}
