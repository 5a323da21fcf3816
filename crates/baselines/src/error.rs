//! What can go wrong with a baseline.

use sidereal_data::DataError;
use sidereal_metrics::MetricError;
use sidereal_sid::ItemId;

/// Why a baseline could not be fitted or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each message names its fields")]
pub enum BaselineError {
    /// A history, a target or a list of seen items holds an item outside the catalogue.
    #[error("item {item} is outside the catalogue of {num_items} items")]
    Item { item: ItemId, num_items: usize },
    /// A training sequence holds an item outside the catalogue.
    #[error("sequence {sequence} holds item {item}, but the catalogue has only {num_items} items")]
    Sequence { sequence: usize, item: ItemId, num_items: usize },
    /// The length of the slice for the scores is not the number of items.
    #[error("there is room for {found} scores; expected {expected}, one for each item")]
    NumScores { found: usize, expected: usize },
    /// A setting outside its range.
    #[error("{field} is {value}; expected {needed}")]
    Setting { field: &'static str, value: f64, needed: &'static str },
    /// A NaN or an infinity in the vectors of items.
    #[error("row {row}, column {column} of the item vectors is {value}, needed a finite number")]
    NotFinite { row: usize, column: usize, value: f32 },
    /// A catalogue that is too large for a dense matrix over its items.
    #[error(
        "{what} holds a matrix of {num_items} by {num_items} items; it is limited to at most {max_items} items: \
         raise `max_items` if the memory allows it, {} GB here",
        4.0e-9 * (*num_items as f64).powi(2)
    )]
    TooManyItems { what: &'static str, num_items: usize, max_items: usize },
    /// A matrix that is not positive definite in the numbers that it is computed with.
    #[error("the matrix has no inverse with {shift} added to its diagonal: add more")]
    NotInvertible { shift: f64 },
    /// A search over no settings.
    #[error("{field} is empty: give the search at least one value")]
    EmptyGrid { field: &'static str },
    /// A term of a prior that is not possible.
    #[error("term `{term}`: {problem}")]
    Term { term: String, problem: String },
    /// Weights for terms that are not those of the prior.
    #[error("the weights are of the terms {found:?}, the prior has {expected:?}")]
    TermNames { found: Vec<String>, expected: Vec<String> },
    /// A score that the form of its term does not allow.
    #[error("term `{term}` scores item {item} with {score}, needed {needed}")]
    TermScore { term: String, item: ItemId, score: f32, needed: &'static str },
    /// A stored model that cannot be put together again.
    #[error("stored {what} cannot be used: {problem}")]
    Stored { what: &'static str, problem: String },
    /// No policy, or another number of policies than in the cases before.
    #[error("found log-probabilities of {found} policies, needed {expected}")]
    Policies { found: usize, expected: usize },
    /// The number of log-probabilities does not fit the items and cases.
    #[error(
        "policy {policy}: found {found} log-probabilities, needed {expected}, one a case and item"
    )]
    LogProbs { policy: usize, found: usize, expected: usize },
    /// A log-probability that is NaN or `+∞`.
    #[error(
        "policy {policy}: the log-probability of item {item} is {value}, needed a number or −∞"
    )]
    LogProb { policy: usize, item: usize, value: f32 },
    /// The true law of a synthetic shop could not be used.
    #[error("the history is impossible under the law of the synthetic shop")]
    Law(#[from] DataError),
    /// A neural recommender failed.
    #[error("the neural recommender cannot score")]
    Neural(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The cases could not be made into a metric.
    #[error("the cases cannot be evaluated")]
    Metric(#[from] MetricError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_is_wrong_where_and_what_was_expected() {
        let error =
            BaselineError::Setting { field: "decay", value: -0.5, needed: "a number in [0, 1]" };
        insta::assert_snapshot!(error.to_string(), @"decay is -0.5; expected a number in [0, 1]");
    }
}
