//! A range of positions that is read together.

use tch::Tensor;

/// A range of positions that passes through the layers.
pub(super) struct Span {
    /// `[R, S, D]`: one row for a common beginning, else one for each prompt.
    pub(super) x: Tensor,
    /// Cosines and sines of its positions, `[S, hd]`.
    pub(super) rotary: (Tensor, Tensor),
    /// Which of the positions before and in the span each of its positions sees, `[S, P + S]`;
    /// `None` for the first span, where that is the plain causal mask.
    pub(super) mask: Option<Tensor>,
}

impl Span {
    /// The same positions with other states.
    pub(super) fn with(&self, x: &Tensor) -> Self {
        Self {
            x: x.shallow_clone(),
            rotary: (self.rotary.0.shallow_clone(), self.rotary.1.shallow_clone()),
            mask: self.mask.as_ref().map(Tensor::shallow_clone),
        }
    }
}
