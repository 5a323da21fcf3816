//! The order in which training sees its samples, and how sources of samples are mixed.

mod batches;
mod error;
mod mixture;
mod plan;
mod row;
mod shuffle;

pub use batches::{Batches, Shard};
pub use error::MixError;
pub use mixture::{Amount, CurriculumStage, Insertion, Mixture};
pub use row::MixtureRow;
pub use shuffle::{Cursor, Shuffle};
