//! Readers of published formats. Files may be plain, gzip or zstd, told by their first bytes.

pub mod amazon;
mod indexed;
mod item;
pub mod items;
pub(crate) mod json_lines;
mod json_map;
pub mod lcrec;
mod lines;
pub mod literal;
pub mod minionerec;
mod policy;
pub mod recbole;
#[cfg(feature = "parquet")]
pub mod recif;
mod source;
mod table;
mod title;

pub use policy::{OnBroken, OnDoubtful, OnMarkup, Problem, ProblemKind, RowPolicy, Skips};
