//! Curricula and sampling rules: how much help a sample gets, and which groups are drawn again.

mod entropy_target;
mod prefix;
mod selection;
mod variance_guided;

pub use entropy_target::RunningEntropy;
pub use prefix::{PrefixCap, PrefixSchedule};
pub use selection::{distinct_first, select_distinct};
pub use variance_guided::VarianceGuidedSampling;
