//! Histories that are worked on together, and memory for them.

/// Histories of which a layer's states are computed together.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    /// Positions of each.
    pub(super) lens: &'a [usize],
    /// The step's number of the first position.
    pub(super) first: usize,
}

/// So many values of a kept memory, whatever they are.
pub(super) fn sized(memory: &mut Vec<f32>, len: usize) -> &mut [f32] {
    memory.resize(len, 0.0);
    memory
}
