//! What can go wrong with a baseline.

use sidereal_data::DataError;
use sidereal_metrics::MetricError;
use sidereal_sid::ItemId;

/// Why a baseline could not be fitted or asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each message names its fields")]
pub enum BaselineError {
    /// A history, a target or a list of seen items holds an item outside the catalogue.
    #[error("item {item} is outside the catalogue of {num_items} items")]
    Item { item: ItemId, num_items: usize },
    /// A training sequence holds an item outside the catalogue.
    #[error("sequence {sequence} holds item {item}, the catalogue has {num_items} items")]
    Sequence { sequence: usize, item: ItemId, num_items: usize },
    /// The slice for the scores has another length than the catalogue.
    #[error("found room for {found} scores, needed {expected}, one an item")]
    NumScores { found: usize, expected: usize },
    /// A setting outside its range.
    #[error("{field} is {value}, needed {needed}")]
    Setting { field: &'static str, value: f64, needed: &'static str },
    /// A NaN or an infinity in the vectors of items.
    #[error("row {row}, column {column} of the item vectors is {value}, needed a finite number")]
    NotFinite { row: usize, column: usize, value: f32 },
    /// A search over no settings.
    #[error("nothing to choose from: {field} is empty")]
    EmptyGrid { field: &'static str },
    /// A term of a prior that cannot be.
    #[error("term `{term}`: {problem}")]
    Term { term: String, problem: String },
    /// Weights of other terms than the prior's.
    #[error("the weights are of the terms {found:?}, the prior has {expected:?}")]
    TermNames { found: Vec<String>, expected: Vec<String> },
    /// A score that has no place in the form of its term.
    #[error("term `{term}` scores item {item} with {score}, needed {needed}")]
    TermScore { term: String, item: ItemId, score: f32, needed: &'static str },
    /// No policy, or not as many as with the cases before.
    #[error("found log-probabilities of {found} policies, needed {expected}")]
    Policies { found: usize, expected: usize },
    /// Log-probabilities of another number of items or cases.
    #[error(
        "policy {policy}: found {found} log-probabilities, needed {expected}, one a case and item"
    )]
    LogProbs { policy: usize, found: usize, expected: usize },
    /// A log-probability that is NaN or `+∞`.
    #[error(
        "policy {policy}: the log-probability of item {item} is {value}, needed a number or −∞"
    )]
    LogProb { policy: usize, item: usize, value: f32 },
    /// The true law of a synthetic shop could not be asked.
    #[error("the shop's law does not cover the history")]
    Law(#[from] DataError),
    /// The cases could not be made into a metric.
    #[error("the cases cannot be measured")]
    Metric(#[from] MetricError),
}
