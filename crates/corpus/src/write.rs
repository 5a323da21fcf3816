//! Writers, each replacing its files whole or not at all.

mod atomic;
pub mod recbole;

pub use atomic::write_whole;
