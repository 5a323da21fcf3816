//! The order in which training sees its samples, and how sources of samples are mixed.

mod batches;
mod error;
mod mixture;
mod plan;
mod shuffle;

pub use batches::{Batches, Row, Shard};
pub use error::MixError;
pub use mixture::{Amount, Insertion, Mixture, Stage};
pub use shuffle::{Cursor, Shuffle};
