//! What a model reads and writes, before a tokenizer sees it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Role {
    /// Who sets the rules.
    System,
    /// Who asks.
    User,
    /// Who answers: the model.
    Assistant,
}

impl Role {
    /// The name in data and in chat templates.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// A turn of a conversation. A chat template, which belongs to the tokenizer, frames it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

impl Message {
    /// A turn.
    #[must_use]
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into() }
    }
}

/// How the prompts of a set reach the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// As they are. A completion follows at once and contains its own end.
    Plain,
    /// As messages. A chat template opens the assistant's turn, the completion is its content, and
    /// the template closes the turn.
    Chat,
}

/// What a model reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Prompt {
    /// [`Format::Plain`].
    Plain(String),
    /// [`Format::Chat`]; the last one is not the assistant's.
    Chat(Vec<Message>),
}

impl Prompt {
    /// The text of a plain prompt.
    #[must_use]
    pub fn plain(&self) -> Option<&str> {
        match self {
            Self::Plain(text) => Some(text),
            Self::Chat(_) => None,
        }
    }

    /// The messages of a chat prompt.
    #[must_use]
    pub fn messages(&self) -> Option<&[Message]> {
        match self {
            Self::Chat(messages) => Some(messages),
            Self::Plain(_) => None,
        }
    }
}

/// The beginning of a line says who speaks, or that a line goes on.
impl fmt::Display for Prompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(text) => labelled(f, "text", text),
            Self::Chat(messages) => messages
                .iter()
                .try_for_each(|message| labelled(f, message.role.name(), &message.content)),
        }
    }
}

/// The beginning of a line says whether it is learned and what it is.
impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            SegmentKind::Sid => "sid",
            SegmentKind::Words => "words",
            SegmentKind::Frame => "frame",
        };
        labelled(f, &format!("{} {kind}", if self.loss { "learn" } else { "read" }), &self.text)
    }
}

fn labelled(f: &mut fmt::Formatter<'_>, label: &str, text: &str) -> fmt::Result {
    text.split('\n').enumerate().try_for_each(|(number, line)| {
        let label = if number == 0 { label } else { "" };
        writeln!(f, "  {label:>11} | {line}")
    })
}

/// What a piece of a completion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SegmentKind {
    /// The Semantic ID of the sample's target and nothing else: codes, which a trie can constrain.
    Sid,
    /// Words that depend on the sample.
    Words,
    /// The same in every sample: tags and line ends around the content.
    Frame,
}

/// A piece of a completion. The pieces in a row, with nothing between them, are the whole
/// completion.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Segment {
    /// What is written.
    pub text: String,
    /// Whether it is learned. If not, the model only reads it.
    pub loss: bool,
    /// What it is.
    pub kind: SegmentKind,
}
