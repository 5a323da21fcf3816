//! Curricula and sampling rules: how much help a sample gets, and which groups are drawn again.

mod prefix;
mod running_diversity;
mod selection;
mod variance_guided;

pub use prefix::{PrefixCap, PrefixSchedule};
pub use running_diversity::RunningDiversity;
pub use selection::{distinct_first, select_distinct};
pub use variance_guided::VarianceGuidedSampling;
