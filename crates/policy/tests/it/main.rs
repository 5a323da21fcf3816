//! Checks of the policy against transformers, sentence-transformers and plain computations.

mod beam;
mod cache;
mod encoder;
mod errors;
mod naive;
mod parity;
mod score;
mod tiny;
