//! Checks of the policy against transformers, sentence-transformers and plain computations.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod beam;
mod cache;
mod completions;
mod encoder;
mod errors;
mod generate;
mod naive;
mod parity;
mod score;
mod t5;
mod tiny;
