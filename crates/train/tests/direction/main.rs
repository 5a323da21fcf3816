//! Which way learning goes: what is rewarded or preferred becomes more probable.
//!
//! Turning the sign of a backward pass, of an advantage or of a penalty makes these fail.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod bandit;
mod encoder_decoder;
mod exact;
mod free_answers;
mod heads;
mod invariance;
mod items;
mod old_logp;
mod penalty;
mod preference;
mod shop;
mod step;
mod titles;
