//! Readers of published formats.

pub mod recbole;
mod table;
