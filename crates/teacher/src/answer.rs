//! One request to a teacher and its possible results.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sidereal_prompts::Message;

use crate::{RequestStage, Subject};

/// How a teacher draws its tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// Range `0..`; 0 takes the most likely token.
    pub temperature: f32,
    /// Longest answer in tokens, the teacher's own reasoning included.
    pub max_tokens: u32,
}

/// One request.
#[derive(Debug)]
#[non_exhaustive]
pub struct Request<'a> {
    /// What is wanted.
    pub stage: RequestStage,
    /// What it is about, for teachers that work by rule.
    pub subject: &'a Subject<'a>,
    /// What it is about in words, for all others.
    pub messages: &'a [Message],
    /// How to draw words.
    pub sampling: &'a Sampling,
}

/// Tokens that were read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Tokens of the messages.
    pub prompt_tokens: u64,
    /// Tokens of the answer.
    pub completion_tokens: u64,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.prompt_tokens = self.prompt_tokens.saturating_add(other.prompt_tokens);
        self.completion_tokens = self.completion_tokens.saturating_add(other.completion_tokens);
    }
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finish {
    /// The teacher had no more to say.
    Complete,
    /// At the limit of tokens.
    Length,
    /// For another reason, such as a filter of contents.
    Other,
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// What was said.
    pub text: String,
    /// How it ended.
    pub finish: Finish,
    /// The tokens that it took.
    pub usage: Usage,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AskErrorKind {
    /// Too many requests (429).
    Busy,
    /// The server failed (5xx).
    Server,
    /// Nothing came in time (408 too).
    Timeout,
    /// The connection could not be made, or broke before the answer began.
    Connection,
    /// The answer broke off.
    Truncated,
    /// The answer is not what the protocol says.
    Malformed,
    /// This request will never be answered, for example because it is too long (400, 413, 422).
    Refused,
    /// No request will be answered: a wrong key, model or address (401, 403, 404, redirections).
    Denied,
}

impl AskErrorKind {
    /// Whether the same request can be answered later.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        !matches!(self, Self::Refused | Self::Denied)
    }
}

impl fmt::Display for AskErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "too many requests",
            Self::Server => "the server failed",
            Self::Timeout => "no answer in time",
            Self::Connection => "no connection",
            Self::Truncated => "the answer broke off",
            Self::Malformed => "the answer is malformed",
            Self::Refused => "the request was refused",
            Self::Denied => "access was denied",
        })
    }
}

/// A request without an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct AskError {
    /// What went wrong.
    pub kind: AskErrorKind,
    /// What the endpoint said about it, cut short.
    pub message: String,
    /// When to try again, if the endpoint said so.
    pub retry_after: Option<Duration>,
    /// Whether the endpoint may have written an answer that must be paid for: one that broke off or
    /// could not be read.
    pub may_have_cost: bool,
}

impl AskError {
    /// An error of this kind without further advice.
    #[must_use]
    pub fn new(kind: AskErrorKind, message: impl Into<String>) -> Self {
        let lost = [AskErrorKind::Truncated, AskErrorKind::Malformed, AskErrorKind::Timeout];
        let may_have_cost = lost.contains(&kind);
        Self { kind, message: message.into(), retry_after: None, may_have_cost }
    }
}

/// Anything that answers requests: a model at an endpoint, rules, or a person.
pub trait Teacher: Sync {
    /// Name under which its texts and answers are kept. For a model it is the name of the model,
    /// wherever it runs.
    fn name(&self) -> &str;

    /// The answer to one request. Called by several threads at once.
    ///
    /// # Errors
    /// [`AskError`]; the caller decides by its kind whether to ask again.
    fn ask(&self, request: &Request<'_>) -> Result<Answer, AskError>;
}
