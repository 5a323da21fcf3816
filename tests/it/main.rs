//! The whole pipeline on a tiny shop: every stage real, seconds on a CPU.

mod damaged;
mod pipeline;
mod shop;
