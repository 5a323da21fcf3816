//! The models, one file each.

pub(crate) mod sasrec;
mod transformer_config;
