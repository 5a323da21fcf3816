//! A set of prompts as it is in its file.

use serde::{Deserialize, Deserializer, Serialize};

use crate::{Format, Task};

/// A set of prompts as it is in its file, unchecked: what [`PromptSet::new`](crate::PromptSet::new)
/// compiles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptSpec {
    /// Name of the set.
    pub name: String,
    /// What the set is for and where its tasks come from.
    pub about: String,
    /// How prompts reach the model.
    pub format: Format,
    /// Whether next-item prompts continue one another, see [`PromptSet`](crate::PromptSet).
    #[serde(default)]
    pub continuation: bool,
    /// The first message of every prompt; there is none if it is empty.
    #[serde(default)]
    pub system: String,
    /// One for each task, in any order.
    #[serde(rename = "template")]
    pub templates: Vec<Template>,
}

/// The texts of a task, in Jinja's notation; [`Task::inputs`] and [`Task::outputs`] name their
/// variables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Which task.
    pub task: Task,
    /// Raised with every change of the texts.
    pub version: u32,
    /// Used instead of the set's system text, unless it is empty.
    #[serde(default)]
    pub system: String,
    /// What the model reads: one text for each paraphrase. Evaluation uses the first.
    pub prompts: Vec<String>,
    /// What the model must write, piece by piece; in a file, one text is one piece to learn.
    #[serde(deserialize_with = "pieces")]
    pub completion: Vec<Piece>,
}

/// A piece of a completion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Piece {
    /// Its template.
    pub text: String,
    /// Whether it is learned; by default it is.
    #[serde(default = "learned")]
    pub loss: bool,
}

impl Piece {
    /// A piece to learn.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), loss: true }
    }
}

const fn learned() -> bool {
    true
}

fn pieces<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Piece>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Completion {
        One(String),
        Many(Vec<Piece>),
    }
    Ok(match Completion::deserialize(deserializer)? {
        Completion::One(text) => vec![Piece::new(text)],
        Completion::Many(pieces) => pieces,
    })
}
