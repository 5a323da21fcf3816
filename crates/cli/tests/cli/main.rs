//! The program as a user starts it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod formats;
mod gguf;
mod help;
mod journey;
mod leaderboard;
mod program;
mod readme;
mod samples;
mod shop;
mod teacher;
mod token_style;
mod usage;
