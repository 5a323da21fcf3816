//! A sample as text.

use std::fmt;

use serde::{Deserialize, Serialize};
use sidereal_data::SampleId;
use sidereal_sid::ItemId;

use crate::{Prompt, Segment, Task};

/// A sample as text, with its identity and its truth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Rendered {
    /// Which sample; unique together with `task`.
    pub id: SampleId,
    /// The prompt.
    pub task: Task,
    /// The target, or the item that the task is about; `None` for [`Task::Chat`].
    pub target: Option<ItemId>,
    /// What the model reads.
    pub prompt: Prompt,
    /// Which paraphrase the prompt is, from 0.
    pub paraphrase: usize,
    /// What the model must write. It is empty if the data do not have it: without a teacher's text,
    /// or if the pool lacks the target, the sample has a prompt but nothing to learn.
    pub completion: Vec<Segment>,
    /// The candidates in the order in which they are shown; empty if a task has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<ItemId>,
}

impl Rendered {
    /// The completion as one text.
    #[must_use]
    pub fn completion_text(&self) -> String {
        self.completion.iter().map(|segment| segment.text.as_str()).collect()
    }
}

/// The sample and its paraphrase, then line by line what is read and what is written.
impl fmt::Display for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}, paraphrase {}", self.task, self.id, self.paraphrase)?;
        write!(f, "{}", self.prompt)?;
        self.completion.iter().try_for_each(|segment| write!(f, "{segment}"))
    }
}
