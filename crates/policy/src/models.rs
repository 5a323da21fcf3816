//! Architectures, one file each, and what they share.

pub(crate) mod any;
pub(crate) mod bert;
pub(crate) mod branches;
pub(crate) mod decoder;
pub(crate) mod foreign;
pub(crate) mod head;
pub(crate) mod item;
pub(crate) mod kind;
pub(crate) mod language_model;
pub(crate) mod linear;
pub(crate) mod rotary;
pub(crate) mod t5;
pub(crate) mod token_rows;
