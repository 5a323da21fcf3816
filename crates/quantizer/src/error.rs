//! What can go wrong on the way from a matrix to a catalogue.

use std::path::PathBuf;

use sidereal_sid::{CatalogError, ItemId, NotationError};

/// Why a quantiser, a catalogue or a file could not be made or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each message names its fields")]
pub enum QuantizerError {
    /// A matrix without rows or columns.
    #[error("a matrix needs at least one row and one column, but it is {rows} x {columns}")]
    EmptyMatrix { rows: usize, columns: usize },
    /// A NaN, an infinity, or a row whose squared norm leaves the range of `f32`.
    #[error("row {row}, column {column}: {value} is not finite or too large to square")]
    NotFinite { row: usize, column: usize, value: f32 },
    /// Rows of another width than the codebooks'.
    #[error("the rows have {found} columns, but the codebooks have {expected}")]
    Width { found: usize, expected: usize },
    /// No level, too many levels, or a codebook size out of range.
    #[error("the codebook sizes are not allowed for a Semantic ID")]
    Sizes(#[from] NotationError),
    /// No iteration allowed.
    #[error("max_iterations must be at least 1")]
    MaxIterations,
    /// A negative or non-finite tolerance.
    #[error("tolerance must be finite and not negative, but it is {found}")]
    Tolerance { found: f64 },
    /// No run allowed.
    #[error("restarts must be at least 1")]
    Restarts,
    /// No row to fit centroids to.
    #[error("max_rows_per_code must be at least 1")]
    MaxRowsPerCode,
    /// First centroids of other codebook sizes.
    #[error(
        "the first centroids have the codebook sizes {found:?}, but the settings have {expected:?}"
    )]
    FirstSizes { found: Vec<usize>, expected: Vec<usize> },
    /// An observer asked to stop.
    #[error("the fit was interrupted at level {level}, iteration {iteration}")]
    Interrupted { level: usize, iteration: usize },
    /// A code outside its codebook.
    #[error("row {row}, level {level}: code {code} is outside the codebook of {size}")]
    Code { row: usize, level: usize, code: u16, size: usize },
    /// A negative number in a tensor that should hold counts.
    #[error("a size of a tensor is {found}; expected 0 or more")]
    Negative { found: i64 },
    /// Codes of another number of levels.
    #[error("the codes have {found} levels, but the codebooks have {expected}")]
    Levels { found: usize, expected: usize },
    /// An item outside the catalogue.
    #[error("item {item} is outside the catalogue of {num_items} items")]
    Item { item: ItemId, num_items: usize },
    /// Nothing to count, or nothing to predict.
    #[error("there is no {what} pair of an item and the one after it")]
    NoPairs { what: &'static str },
    /// Two matrices that must have a row for each item differ.
    #[error("there are {found} rows of embeddings, but codes for {expected} items")]
    Rows { found: usize, expected: usize },
    /// More items share a path than an additional code can tell apart.
    #[error(
        "{found} items share the codes {sid}, but a suffix can tell at most {most} apart: use more codes or levels"
    )]
    Crowded { sid: String, found: usize, most: usize },
    /// More items share all levels except the last than the last level has codes.
    #[error(
        "{found} items begin with {prefix}, but the last level has only {size} codes: give it more"
    )]
    Full { prefix: String, found: usize, size: usize },
    /// The resolved Semantic IDs do not make a catalogue.
    #[error("the Semantic IDs do not form a catalogue")]
    Catalog(#[from] CatalogError),
    /// A clusterer that could not be fitted to the residuals of its level.
    #[error("level {level}: the clusterer did not accept its settings or the residuals")]
    Clusterer {
        level: usize,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A cluster that is not a code of its level.
    #[error(
        "level {level}: the clusterer puts row {row} into cluster {found}, but the level has {size} \
         codes: give the level as many codes as the clusterer has clusters"
    )]
    Label { level: usize, row: usize, found: usize, size: usize },
    /// Too few or too many clusters for the rows.
    #[error("level {level}: the clusterer predicts {found} clusters for {expected} rows")]
    Labels { level: usize, found: usize, expected: usize },
    /// A level of linfa's k-means with more codes than rows.
    #[error(
        "level {level}: linfa's k-means cannot choose {size} codes among {rows} rows: give the level \
         fewer codes, or use the method `rq-kmeans`"
    )]
    FewRows { level: usize, size: usize, rows: usize },
    /// Eigenvectors of a cluster's graph that were not found.
    #[error("level {level}: the eigenvectors of the graph of a cluster were not found")]
    Eigenvectors {
        level: usize,
        #[source]
        source: linfa_linalg::LinalgError,
    },
    /// linfa rejected the dataset.
    #[error("linfa did not accept the data")]
    Linfa(#[from] linfa::Error),
    /// A file could not be read or written.
    #[error("cannot access `{}`", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// A spec file that is not a spec.
    #[error("`{}` does not describe codebooks", path.display())]
    Spec {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    /// The spec file and the tensors beside it do not belong together.
    #[error("`{}`: its description says {expected}, but its tensors say {found}", path.display())]
    SpecMismatch { path: PathBuf, expected: String, found: String },
    /// A safetensors header that cannot be read.
    #[error("`{}` is not a safetensors file", path.display())]
    Safetensors {
        path: PathBuf,
        #[source]
        source: safetensors::SafeTensorError,
    },
    /// A file that ends inside its header.
    #[error("`{}` ends after {found} bytes, inside its header", path.display())]
    TruncatedHeader { path: PathBuf, found: usize },
    /// A tensor whose bytes are not all there.
    #[error("`{}`: tensor `{tensor}` needs {expected} bytes of data, but the file has {found}", path.display())]
    TruncatedTensor { path: PathBuf, tensor: String, expected: usize, found: usize },
    /// A tensor that is absent.
    #[error("`{}` has no tensor `{tensor}`", path.display())]
    MissingTensor { path: PathBuf, tensor: String },
    /// A tensor of another shape or element type.
    #[error("`{}`: tensor `{tensor}` is {found}; expected {expected}", path.display())]
    TensorKind { path: PathBuf, tensor: String, found: String, expected: String },
    /// Several tensors, and no name to choose by.
    #[error("`{}` holds several tensors: name one of {found}", path.display())]
    AmbiguousTensor { path: PathBuf, found: String },
    /// A file that is not a `NumPy` array, or ends inside its header.
    #[error("`{}` has no NumPy header", path.display())]
    NpyHeader { path: PathBuf },
    /// A `NumPy` array that is not a float matrix.
    #[error("`{}` is a NumPy array {found}; expected a little-endian float matrix", path.display())]
    NpyKind { path: PathBuf, found: String },
    /// A `NumPy` file of another length than its header says.
    #[error(
        "`{}` has {found} bytes of values; expected {rows} x {columns} values of {size} bytes",
        path.display()
    )]
    NpyLength { path: PathBuf, rows: usize, columns: usize, size: usize, found: usize },
    /// A matrix file of an unknown kind.
    #[error("`{}`: the format is not supported: give a matrix as .npy or .safetensors", path.display())]
    MatrixFormat { path: PathBuf },
    /// A file that is not an index.
    #[error("`{}` is not an index from items to tokens", path.display())]
    Index {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    /// A key of an index that is repeated or is not the number of an item.
    #[error("`{}`: key `{key}` is repeated or outside 0..{num_items}", path.display())]
    IndexKey { path: PathBuf, key: String, num_items: usize },
    /// An entry of an index that is not a Semantic ID.
    #[error("`{}`: item {item} has no Semantic ID", path.display())]
    IndexSid {
        path: PathBuf,
        item: usize,
        #[source]
        source: NotationError,
    },
    /// An entry of an index that is too long for a suffix to explain.
    #[error("`{}`: item {item} has {found} codes, the shortest has {shortest}", path.display())]
    IndexLength { path: PathBuf, item: usize, found: usize, shortest: usize },
    /// A setting out of its range.
    #[error("{setting} must be {needed}, but it is {found}")]
    Setting { setting: &'static str, needed: &'static str, found: String },
    /// Fewer rows than a batch needs.
    #[error("a batch needs {batch_size} rows, but the matrix has {rows}: lower batch_size")]
    Batch { batch_size: usize, rows: usize },
    /// A device that cannot be used.
    #[cfg(feature = "torch")]
    #[error(transparent)]
    Device(#[from] sidereal_device::DeviceError),
    /// An operation of libtorch failed.
    #[cfg(feature = "torch")]
    #[error("libtorch failed")]
    Torch(#[from] tch::TchError),
    /// Collaborative embeddings without a weight, or a weight without them.
    #[error("alignment_weight is {weight}, but collaborative embeddings were {}given",
        if *given { "" } else { "not " })]
    Alignment { weight: f64, given: bool },
    /// A loss that left the range of numbers.
    #[error("the loss is {loss} after {step} steps: lower learning_rate or scale the rows")]
    Diverged { step: usize, loss: f64 },
    /// An observer asked to stop a training.
    #[error("the training was interrupted after {step} steps")]
    Paused { step: usize },
    /// A file that is not a checkpoint.
    #[error("`{}` is not a checkpoint of an RQ-VAE", path.display())]
    Checkpoint {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    /// A checkpoint of another run.
    #[error(
        "`{}` belongs to a run with other {part}: choose another file, or remove this one to begin anew",
        path.display()
    )]
    OtherRun { path: PathBuf, part: &'static str },
    /// A report below its thresholds.
    #[error("the quality is too low: {broken}")]
    Quality { broken: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_is_wrong_where_and_what_was_expected() {
        let error = QuantizerError::Crowded { sid: "<a_1><b_2>".to_owned(), found: 300, most: 256 };
        insta::assert_snapshot!(
            error.to_string(),
            @"300 items share the codes <a_1><b_2>, but a suffix can tell at most 256 apart: use more codes or levels"
        );
    }
}
