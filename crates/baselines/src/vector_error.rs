//! What can go wrong with item vectors.

use sidereal_sid::ItemId;

/// Why item vectors could not be computed or joined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each message names its fields")]
pub enum VectorError {
    /// A setting outside its range.
    #[error("{field} is {found}; expected {needed}")]
    Setting { field: &'static str, found: f64, needed: &'static str },
    /// An item outside the catalogue.
    #[error(
        "sequence {sequence}, position {position}: item {item} is outside the catalogue of \
         {num_items} items"
    )]
    Item { sequence: usize, position: usize, item: ItemId, num_items: usize },
    /// More items than identities.
    #[error("{num_items} items are too many: an item id has 32 bits")]
    NumItems { num_items: usize },
    /// Text embeddings and collaborative vectors of different numbers of items.
    #[error(
        "there are {found} rows of collaborative vectors, but text embeddings of {expected} items"
    )]
    Rows { found: usize, expected: usize },
    /// Rows of another width than those that were fitted.
    #[error("rows have {found} columns, but the fitted embeddings have {expected}")]
    Width { found: usize, expected: usize },
    /// A NaN or an infinity.
    #[error(
        "row {row}, column {column} of the {matrix} matrix is {value}; expected a finite number"
    )]
    NotFinite { matrix: &'static str, row: usize, column: usize, value: f32 },
    /// The small dense eigenvalue problem could not be solved.
    #[error("the eigenvalue problem of the projected matrix cannot be solved")]
    Linalg(#[from] linfa_linalg::LinalgError),
    /// Two matrices could not be joined.
    #[error("the matrices cannot be joined")]
    Shape(#[from] ndarray::ShapeError),
}
