//! A range of positions that is read together.

use std::rc::Rc;

use tch::Tensor;

use super::packed::Packed;
use crate::PolicyError;

/// How tokens are read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reading<'a> {
    /// Share of elements that are zeroed.
    pub(super) dropout: f64,
    /// Hidden states `[U, T, D]` that take the place of the embedding.
    pub(super) states: Option<&'a Tensor>,
    /// Whether padding is left out where that pays.
    pub(super) pack: bool,
}

/// A range of positions that passes through the layers.
pub(super) struct Span {
    /// `[R, S, D]`: one row for a common beginning, else one for each prompt; `[1, N, D]` if packed.
    pub(super) x: Tensor,
    /// Cosines and sines of its positions, `[S, hd]`.
    pub(super) rotary: (Tensor, Tensor),
    /// Which of the positions before and in the span each of its positions sees, `[S, P + S]`;
    /// `None` for the first span, where that is the plain causal mask.
    pub(super) mask: Option<Tensor>,
    /// How the tokens of `x` lie in rows `[R, S]`, where padding was left out.
    pub(super) packed: Option<Rc<Packed>>,
}

impl Span {
    /// The same positions with other states.
    pub(super) fn with(&self, x: &Tensor) -> Self {
        Self {
            x: x.shallow_clone(),
            rotary: (self.rotary.0.shallow_clone(), self.rotary.1.shallow_clone()),
            mask: self.mask.as_ref().map(Tensor::shallow_clone),
            packed: self.packed.clone(),
        }
    }

    /// What is computed from the tokens, `[…, H, hd]`, in rows `[R, S, H, hd]`.
    pub(super) fn in_rows(&self, of_tokens: &Tensor) -> Result<Tensor, PolicyError> {
        self.packed
            .as_ref()
            .map_or(Ok(of_tokens.shallow_clone()), |packed| packed.unpack(of_tokens))
    }

    /// What attention gives in rows `[R, S, E]`, in the form of `x`.
    pub(super) fn of_rows(&self, in_rows: &Tensor) -> Result<Tensor, PolicyError> {
        self.packed.as_ref().map_or(Ok(in_rows.shallow_clone()), |packed| packed.pack(in_rows))
    }

    /// Length of its rows, `S`.
    pub(super) fn len(&self) -> i64 {
        self.packed.as_ref().map_or_else(|| self.x.size()[1], |packed| packed.shape[1])
    }
}
