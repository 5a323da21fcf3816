//! The models, one file each.

mod attribute_table;
pub(crate) mod bert4rec;
pub(crate) mod bsarec;
pub(crate) mod caser;
pub(crate) mod fdsa;
pub(crate) mod gru4rec;
pub(crate) mod hgn;
mod hidden_lessons;
pub(crate) mod hstu;
pub(crate) mod rearec;
pub(crate) mod s3rec;
pub(crate) mod sasrec;
mod transformer_config;
