//! Curricula and sampling rules: how much help a sample gets, and which groups are drawn again.

mod running_diversity;
mod prefix;
mod selection;
mod variance_guided;

pub use running_diversity::RunningDiversity;
pub use prefix::{PrefixCap, PrefixSchedule};
pub use selection::select_distinct;
pub use variance_guided::VarianceGuidedSampling;
