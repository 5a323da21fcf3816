//! Architectures, one file each.

pub(crate) mod bert;
pub(crate) mod qwen3;
