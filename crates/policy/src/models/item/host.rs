//! Next-item learning in the memory of the host, for f32 weights on the CPU: by hand, without padding and
//! without a graph.
//!
//! The histories of a step are cut into blocks, and the blocks are dealt to a few groups, both by the lengths of
//! the histories alone. Each group walks its blocks one after the other, forward and back, in memory that fits a
//! core's cache and is kept from step to step, and adds to gradients of its own. Groups run in parallel, and
//! their gradients are added in their order: the bits of a result do not depend on the number of threads.
//!
//! The equations stand at the head of each file, from a step's [`learn`] down to single functions.

mod attention;
mod block;
mod dropout;
mod filter;
mod first_level;
pub(super) mod functions;
mod gelu;
mod gradients;
mod items;
mod layer;
mod layout;
pub(super) mod learn;
mod level;
mod linear;
mod memory;
mod norm;
mod products;
mod raw;
mod repeats;
pub(super) mod reweigh;
mod rows;
pub(super) mod scores;
mod split;
pub(super) mod sums;
pub(super) mod wide;

#[cfg(test)]
mod tests;

pub(super) use self::memory::{Memory, copy, is_plain};
