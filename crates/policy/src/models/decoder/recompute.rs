//! Reading whole rows in training without keeping the intermediate tensors of layers.

use tch::Tensor;

use super::Decoder;
use super::span::{Reading, Span};
use crate::PolicyError;
use crate::cache::TokenBatch;
use crate::recompute::Segments;
use crate::score::sequences::LowerStates;

/// Hidden states whose backward pass computes each layer again.
#[derive(Debug)]
pub struct RecomputedStates<'a> {
    states: Tensor,
    segments: Segments<'a>,
}

impl RecomputedStates<'_> {
    /// The states `[U, T, D]`, a leaf: the gradient of what is computed from them is stored there.
    pub const fn states(&self) -> &Tensor {
        &self.states
    }

    /// Propagates the gradient at the states back to the weights.
    ///
    /// # Errors
    /// [`PolicyError::Torch`].
    pub fn backward(self) -> Result<(), PolicyError> {
        self.segments.backward()
    }
}

impl Decoder {
    /// As [`forward`](Self::forward), with gradient checkpointing: only the input of each layer is
    /// kept, and the layer is computed again in the backward pass. The backward pass has two steps:
    /// back to [`states`](RecomputedStates::states), then [`backward`](RecomputedStates::backward).
    ///
    /// Gradients equal those of [`forward`](Self::forward); but dropout zeroes other elements.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn forward_recomputed(
        &self,
        tokens: &TokenBatch,
        dropout: f64,
    ) -> Result<RecomputedStates<'_>, PolicyError> {
        self.recomputed_above(tokens, None, dropout)
    }

    /// As [`forward_recomputed`](Self::forward_recomputed), above the states of lower layers if they are given.
    pub(super) fn recomputed_above(
        &self,
        tokens: &TokenBatch,
        lower: Option<LowerStates<'_>>,
        dropout: f64,
    ) -> Result<RecomputedStates<'_>, PolicyError> {
        let (layers, states) = self.above(tokens, lower)?;
        let states = states.map(Tensor::shallow_clone);
        let rows = tokens.shape()?[0];
        let tokens =
            TokenBatch { ids: tokens.ids.shallow_clone(), lens: tokens.lens.shallow_clone() };
        let states_of =
            |spans: Vec<Span>| -> Vec<Tensor> { spans.into_iter().map(|span| span.x).collect() };
        // Everything about the spans except their states.
        let layout: Vec<Span> = {
            let _guard = tch::no_grad_guard();
            self.spans(&tokens, Reading { dropout, ..Reading::default() })?
        };
        let mut segments = Segments::default();
        let mut x = segments.run(&[], move |_| {
            let reading = Reading { dropout, states: states.as_ref(), pack: false };
            Ok(states_of(self.spans(&tokens, reading)?))
        })?;
        for layer in layers {
            let layout: Vec<Span> = layout.iter().map(|span| span.with(&span.x)).collect();
            x = segments.run(&x, move |x| {
                let of_span = |(span, x): (&Span, &Tensor)| span.with(x);
                let mut spans: Vec<Span> = layout.iter().zip(x).map(of_span).collect();
                let _ = self.read_layer(layer, &mut spans, dropout)?;
                Ok(states_of(spans))
            })?;
        }
        let states = segments.run(&x, move |x| Ok(vec![self.join(x, rows)?]))?;
        let states = states.into_iter().next();
        let states = states.ok_or(PolicyError::Empty { what: "the list of spans" })?;
        Ok(RecomputedStates { states, segments })
    }
}
