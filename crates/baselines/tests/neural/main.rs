//! Neural recommenders: against PyTorch, and by what must hold of each.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test may panic, in its helpers too"
)]

mod laws;
mod learning;
mod parity;
mod small;
