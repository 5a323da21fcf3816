//! Why a mixture could not be used.

use super::Cursor;

/// Why a mixture, or a place in it, could not be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each message names its fields")]
pub enum MixError {
    /// No source.
    #[error(
        "a mixture needs a source and a stage, but it has {sources} sources and {stages} stages"
    )]
    Empty { sources: usize, stages: usize },
    /// More of something than a row can number.
    #[error("a mixture holds at most 4294967295 {what}, but there are {found}")]
    TooMany { what: &'static str, found: usize },
    /// A stage that does not say for each source how much of it there is.
    #[error("stage {stage} has {found} amounts, but there are {sources} sources")]
    Amounts { stage: usize, sources: usize, found: usize },
    /// An amount outside its range.
    #[error("stage {stage}, source {source_index}: {what} is {found}; expected {expected}")]
    Amount {
        stage: usize,
        source_index: usize,
        what: &'static str,
        found: f64,
        expected: &'static str,
    },
    /// Rows that were asked of a source without rows.
    #[error(
        "stage {stage}, source {source_index}: {rows} rows per epoch are requested, but the source has no rows"
    )]
    NoRows { stage: usize, source_index: usize, rows: usize },
    /// A stage without rows.
    #[error("stage {stage} has no row of any source")]
    EmptyStage { stage: usize },
    /// A stage with no epochs, or a stage without an end that is not the last.
    #[error("stage {stage} of {stages} has {found} epochs; expected {expected}")]
    Epochs { stage: usize, stages: usize, found: String, expected: &'static str },
    /// A shard whose index is not below the number of shards.
    #[error(
        "there is no shard {index} of {count}: shards are numbered from 0 to one less than their number"
    )]
    Shard { index: usize, count: usize },
    /// A cursor that is inside a batch of this mixture, or past the end of its epoch.
    #[error(
        "no batch begins at sample {} of epoch {}: the cursor belongs to another mixture or batch size",
        cursor.position,
        cursor.epoch
    )]
    Cursor { cursor: Cursor },
}
