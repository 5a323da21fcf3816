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
    #[error("sequence {sequence} holds item {item}, but the catalogue has only {num_items} items")]
    Sequence { sequence: usize, item: ItemId, num_items: usize },
    /// The slice for the scores has another length than the catalogue.
    #[error("there is room for {found} scores; expected {expected}, one for each item")]
    NumScores { found: usize, expected: usize },
    /// A setting outside its range.
    #[error("{field} is {value}; expected {needed}")]
    Setting { field: &'static str, value: f64, needed: &'static str },
    /// A search over no settings.
    #[error("{field} is empty: give the search at least one value")]
    EmptyGrid { field: &'static str },
    /// The true law of a synthetic shop could not be asked.
    #[error("the history is impossible under the law of the synthetic shop")]
    Law(#[from] DataError),
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
