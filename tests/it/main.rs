//! The whole pipeline on a tiny shop: every stage real, seconds on a CPU.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod alignment;
mod bases;
mod behaviours;
mod columns;
mod damaged;
mod domains;
mod folders;
mod generative;
mod items;
mod kills;
mod leaderboard;
mod pipeline;
mod reasoning;
mod recif;
mod semantic_ids;
mod settings;
mod shop;
mod sid_slates;
mod tiger;
mod titles;
mod token_style;
mod users;
mod weights;
mod word_blend;
mod worded;
