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
    /// As they are: a completion follows at once and says itself where it ends.
    Plain,
    /// As messages: a chat template opens the assistant's turn, the completion is its content, and
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

/// A line's beginning says who speaks, and that a line goes on.
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

/// A line's beginning says whether it is learned and what it is.
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
    /// Words that the sample decides.
    Words,
    /// The same in every sample: tags and line ends around what matters.
    Frame,
}

/// A piece of a completion; one after the other, without anything between, they are the whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Segment {
    /// What is written.
    pub text: String,
    /// Whether it is learned. Where it is not, the model reads it.
    pub loss: bool,
    /// What it is.
    pub kind: SegmentKind,
}
