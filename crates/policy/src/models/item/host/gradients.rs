//! What the blocks of a step add up.

/// What a block adds to.
#[derive(Debug, Default)]
pub(super) struct Gradients {
    /// By the weights, as [`Layout`](super::layout::Layout) has them.
    pub(super) weights: Vec<f32>,
    /// By the first level's vectors, `[M₀, D]`, and biases.
    pub(super) first_vectors: Vec<f32>,
    pub(super) first_bias: Vec<f32>,
    /// By `w` of the repeats, `[P]`.
    pub(super) by_distance: Vec<f64>,
}
