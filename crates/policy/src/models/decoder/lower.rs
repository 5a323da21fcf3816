//! Training of the upper layers over lower ones that stay as they are.

use tch::Tensor;

use super::span::{Reading, Span};
use super::{Decoder, Layer};
use crate::PolicyError;
use crate::cache::TokenBatch;
use crate::config::unsupported;
use crate::score::sequences::LowerStates;
use crate::sizes::{axes, to_usize};

/// The layer that a weight belongs to, by its name in checkpoints.
fn layer_of(name: &str) -> Option<usize> {
    name.strip_prefix("model.layers.")?.split('.').next()?.parse().ok()
}

impl Decoder {
    /// Names of the weights of the `upper` highest layers, and of the norm after them.
    ///
    /// # Errors
    /// [`PolicyError::Unsupported`] for no layers or for more than there are.
    pub fn upper_weights(&self, upper: usize) -> Result<Vec<String>, PolicyError> {
        let all = self.layers.len();
        let Some(lower) = all.checked_sub(upper).filter(|_| upper > 0) else {
            let expected = "1 to the number of the model's layers";
            let found = format!("`upper = {upper}`, of {all} layers");
            return Err(unsupported("trainable.layers", found, expected));
        };
        let in_upper = |name: &&String| {
            layer_of(name).map_or(*name == "model.norm.weight", |layer| layer >= lower)
        };
        Ok(self.weights.keys().filter(in_upper).cloned().collect())
    }

    /// Number of lowest layers that no gradient reaches, nor the embedding below them, and at most all layers but the
    /// last.
    #[must_use]
    pub fn frozen_layers(&self) -> usize {
        let own = self.embedding.own().is_some_and(|own| own.leaf.requires_grad());
        if own || self.embedding.weight().requires_grad() {
            return 0;
        }
        let all = self.weights.iter().chain(&self.adapters);
        let trained = all.filter(|(_, weight)| weight.requires_grad());
        let lowest = trained.filter_map(|(name, _)| layer_of(name)).min();
        lowest.unwrap_or(usize::MAX).min(self.layers.len().saturating_sub(1))
    }

    /// Hidden states `[U, T, D]` after the `layers` lowest layers, without a graph: what a
    /// [`SequencePass`](crate::SequencePass) starts from with [`LowerStates`]. What they are after a row's end is not
    /// defined.
    ///
    /// # Errors
    /// [`PolicyError::Size`] for more layers than there are; those of [`forward`](Self::forward).
    pub fn lower_states(&self, tokens: &TokenBatch, layers: usize) -> Result<Tensor, PolicyError> {
        let _guard = tch::no_grad_guard();
        let lower = self.layers.get(..layers).ok_or_else(|| self.too_many(layers))?;
        let mut spans = self.spans(tokens, Reading { pack: true, ..Reading::default() })?;
        for layer in lower {
            let _ = self.read_layer(layer, &mut spans, 0.0)?;
        }
        let rows = tokens.shape()?[0];
        let in_rows = |span: &Span| -> Result<Tensor, PolicyError> {
            Ok(span.in_rows(&span.x)?.f_expand([rows, -1, -1], false)?)
        };
        let parts: Vec<Tensor> = spans.iter().map(in_rows).collect::<Result<_, PolicyError>>()?;
        Ok(Tensor::f_cat(&parts, 1)?)
    }

    /// The layers above the given states, and the states; all layers without any.
    ///
    /// # Errors
    /// [`PolicyError::Size`] if no layer is above them, or if they are not those of `tokens`.
    pub(super) fn above<'a>(
        &self,
        tokens: &TokenBatch,
        lower: Option<LowerStates<'a>>,
    ) -> Result<(&[Layer], Option<&'a Tensor>), PolicyError> {
        let Some(LowerStates { layers, states }) = lower else { return Ok((&self.layers, None)) };
        let above = self.layers.get(layers..).filter(|above| !above.is_empty());
        let above = above.ok_or_else(|| self.too_many(layers + 1))?;
        let [rows, len, width] = axes("axes of the states of lower layers", states)?;
        let expected = tokens.shape()?;
        for (what, found, expected) in [
            ("rows of the states of lower layers", rows, to_usize(expected[0])?),
            ("positions of the states of lower layers", len, to_usize(expected[1])?),
            ("width of the states of lower layers", width, self.config.hidden_size),
        ] {
            let found = to_usize(found)?;
            if found != expected {
                return Err(PolicyError::Size { what, found, expected });
            }
        }
        Ok((above, Some(states)))
    }

    fn too_many(&self, found: usize) -> PolicyError {
        let expected = self.layers.len();
        PolicyError::Size { what: "layers of a decoder that are needed", found, expected }
    }
}
