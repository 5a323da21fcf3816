//! Files that a test writes, right and wrong.
#![allow(clippy::unwrap_used, reason = "a test's panic is its report")]

mod properties;
mod refused;
mod writer;
