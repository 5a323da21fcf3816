//! The parts of a run, each in a file of its own.

pub(crate) mod foundation;
pub(crate) mod scope;
pub(crate) mod texts;
pub(crate) mod training;
