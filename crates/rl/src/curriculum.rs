//! Curricula: what is practised, and how much help it gets, as training goes on.

mod prefix;

pub use prefix::{PrefixCap, PrefixSchedule};
