//! Checks of the policy against transformers, sentence-transformers and plain computations.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod any_policy;
mod beam;
mod cache;
mod chat;
mod code_rows;
mod completions;
mod encoder;
mod entropy;
mod errors;
mod folders;
mod foreign_tensors;
mod foreign_tokenizers;
mod generate;
mod gguf;
mod ground;
mod item;
mod lora;
mod lower;
mod naive;
mod parity;
mod prior;
mod reason;
mod recompute;
mod sample;
mod score;
mod slates;
mod t5;
mod t5_train;
mod tiny;
mod titles;
mod vocabulary;
