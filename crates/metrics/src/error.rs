//! What can be wrong with the input of a metric.

use crate::Metric;

/// Why a metric could not be computed, or a table was rejected.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each message names its fields")]
pub enum MetricError {
    /// A mean over no users.
    #[error("there are no users, but a mean needs at least one")]
    NoUsers,
    /// A user without a relevant item.
    #[error("a user needs at least one relevant item: leave out those who have none")]
    NoTargets,
    /// Ranks that no ranking of the relevant items has.
    #[error(
        "there are {found} ranks of {relevant} relevant items: {}",
        twice.map_or_else(|| "at most one rank for each".to_owned(), |r| format!("rank {r} occurs twice"))
    )]
    RelevantRanks { found: usize, relevant: usize, twice: Option<usize> },
    /// A cut-off beyond what an accumulator keeps.
    #[error("k = {k} is beyond the {kept} ranks that were kept")]
    CutOff { k: usize, kept: usize },
    /// More correct samples than samples.
    #[error("{correct} of {samples} samples cannot be correct")]
    TooManyCorrect { correct: usize, samples: usize },
    /// Fewer samples than `k`.
    #[error("k = {k} needs at least {k} samples, but there are {samples}")]
    TooFewSamples { k: usize, samples: usize },
    /// Two slices that must go together have different lengths.
    #[error("there are {found} {what}; expected {expected}")]
    Length { what: &'static str, found: usize, expected: usize },
    /// A value is not a number, or infinite where it must be finite.
    #[error("{what} {index} is {value}; expected a finite number")]
    NotFinite { what: &'static str, index: usize, value: f64 },
    /// All labels are equal.
    #[error(
        "an AUC needs both classes, but there are {positives} positive and {negatives} negative labels"
    )]
    OneClass { positives: usize, negatives: usize },
    /// An item outside the catalogue.
    #[error("item {item} is outside the catalogue of {num_items} items")]
    Item { item: usize, num_items: usize },
    /// A setting outside its range.
    #[error("{field} is {value}; expected {needed}")]
    Setting { field: &'static str, value: f64, needed: &'static str },
    /// A sample occurs twice in one run.
    #[error("sample {sample} occurs twice in the run")]
    DuplicateSample { sample: String },
    /// Two runs of a paired test do not have the same samples.
    #[error(
        "the two runs must have the same samples, but sample {sample} is only in the {side} run"
    )]
    Unpaired { sample: String, side: &'static str },
    /// A metric that is not a function of the target's rank.
    #[error("{metric} is not computed from the rank of a target")]
    NotRanking { metric: Metric },
    /// A metric that is not a function of drawn answers.
    #[error("{metric} is not computed from drawn answers")]
    NotDraws { metric: Metric },
    /// A metric's name was not understood.
    #[error("`{text}` is not a metric; examples are `HR@10`, `NDCG@10`, `MRR@10`, `AUC`")]
    Name { text: String },
    /// The mean of several metrics was not understood.
    #[error("`{text}` is not an average; it needs {needed}, as in `Avg(HR@1/5/10+NDCG@5/10)`")]
    Average { text: String, needed: &'static str },
    /// A metric occurs twice in one row.
    #[error("{metric} occurs twice in one row")]
    DuplicateMetric { metric: Metric },
    /// A value outside its metric's range.
    #[error("{metric} = {value} is outside [0, {max}]")]
    Range { metric: Metric, value: f64, max: f64 },
    /// The interval does not hold its ends in order.
    #[error("the interval of {metric} runs from {low} to {high}")]
    IntervalOrder { metric: Metric, low: f64, high: f64 },
    /// No ranking with one target per user has these values together.
    #[error(
        "{gain} rises by {gain_step} from k = {from} to {to}, but a hit rate that rises by \
         {hit_step} allows only {low} to {high}"
    )]
    Inconsistent {
        gain: Metric,
        from: usize,
        to: usize,
        gain_step: f64,
        hit_step: f64,
        low: f64,
        high: f64,
    },
    /// Points that do not determine a polynomial.
    #[error(
        "{points} points do not determine a polynomial of degree {degree}; expected finite numbers, and more different places than the degree"
    )]
    Fit { points: usize, degree: usize },
    /// A value that falls as k grows.
    #[error("{metric} = {value} is below the {before} at k = {from}")]
    Falling { metric: Metric, value: f64, from: usize, before: f64 },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_is_wrong_where_and_what_was_expected() {
        let error = MetricError::CutOff { k: 20, kept: 10 };
        insta::assert_snapshot!(error.to_string(), @"k = 20 is beyond the 10 ranks that were kept");
        let error = MetricError::Unpaired { sample: "u7.4".to_owned(), side: "first" };
        insta::assert_snapshot!(
            error.to_string(),
            @"the two runs must have the same samples, but sample u7.4 is only in the first run"
        );
    }
}
