//! Writers, each replacing its files whole or not at all.

mod atomic;
pub mod recbole;
pub mod samples;
mod seconds;
pub mod sids;

pub use atomic::write_whole;
use seconds::Seconds;
