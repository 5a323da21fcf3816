//! Readers of published formats and of plain tables. Files may be plain, gzip or zstd, which is
//! recognised by their first bytes.
//!
//! A reader is a function. The results of the readers turn into [`ReadData`], and a reader of your
//! own returns it.

pub mod amazon;
#[cfg(feature = "parquet")]
mod batches;
mod categories;
mod data;
mod indexed;
mod item;
pub mod items;
pub mod json_lines;
mod json_map;
pub mod lcrec;
mod lines;
pub mod literal;
pub mod minionerec;
mod placeholder;
mod policy;
mod problem;
mod quoting;
pub mod recbole;
#[cfg(feature = "parquet")]
pub mod recif;
mod source;
mod table;
pub mod tabular;
mod time_format;
mod title;

pub use categories::CategorySeparator;
pub(crate) use categories::is_told_from_others_by_space;
pub use data::ReadData;
pub use placeholder::{OnPlaceholder, Placeholders};
pub use policy::{OnBroken, OnDoubtful, OnMarkup, RowPolicy, Skips};
pub use problem::{Problem, ProblemKind};
pub use time_format::{TimeFormat, TimeFormatError};
