//! The progress of a run and its results.

use sidereal_data::SampleId;
use sidereal_prompts::{EnrichmentKind, Enrichments};

use crate::{AskError, Rejection, RequestStage, Usage};

/// Counts of a run so far.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct Progress {
    /// Texts to be written.
    pub jobs: usize,
    /// Texts written.
    pub written: usize,
    /// Texts given up.
    pub failed: usize,
    /// Requests sent; each attempt counts as one.
    pub requests: u64,
    /// Answers taken from the cache.
    pub cached: u64,
    /// Attempts that failed and were repeated or given up.
    pub errors: u64,
    /// Answers that failed a check, also those from the cache.
    pub rejected: u64,
    /// Tokens of this run's answers, and an estimate of those of answers that broke off.
    pub usage: Usage,
    /// What they cost.
    pub cost: f64,
}

/// A text that was given up.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Failed {
    /// What it should be about.
    pub id: SampleId,
    /// The kind of text.
    pub kind: EnrichmentKind,
    /// Where it failed; `None` if there was nothing to ask about.
    pub stage: Option<RequestStage>,
    /// Why.
    pub reason: Reason,
}

/// Why a text was given up.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The last answer failed a check, as did those before it.
    #[error("rejected: {0}")]
    Rejected(Rejection),
    /// The last attempt failed.
    #[error("not answered: {0}")]
    Unanswered(AskError),
    /// Nothing is left of the history without the held-out item.
    #[error("its history holds nothing but the item to be predicted")]
    NothingShown,
}

/// Why a run ended before its last job.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Stopped {
    /// The next request might cost more than is left.
    #[error("the spending limit is reached")]
    SpendingLimit,
    /// The teacher does not answer any request.
    #[error(transparent)]
    Denied(AskError),
    /// As many jobs in a row as there are requests at once, and three at least, got no answer.
    #[error("no answers: {0}")]
    Unreachable(AskError),
}

/// What a run made.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Enriched {
    /// The texts; they do not depend on the order of the answers.
    pub enrichments: Enrichments,
    /// Texts given up, in the order of jobs.
    pub failed: Vec<Failed>,
    /// Final counts.
    pub progress: Progress,
    /// Why jobs were left, if any were: run again to go on.
    pub stopped: Option<Stopped>,
}
