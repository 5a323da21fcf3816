//! Multi-head self-attention.

use tch::Tensor;

use super::NeuralError;
use super::layers::{LayerNorm, Linear, NORM_EPS};
use super::padded::size;
use super::parameters::Parameters;

/// What a place may attend to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mask<'m> {
    /// Itself and the places before it.
    Causal,
    /// Numbers that are added to the scores, broadcast to `[B, H, T, T]`.
    Added(&'m Tensor),
}

/// Sizes of a transformer layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// Width `D`.
    pub(crate) hidden: usize,
    /// Attention heads `H`, a divisor of `D`.
    pub(crate) heads: usize,
    /// Width of the feed-forward layer.
    pub(crate) inner: usize,
    /// Share of activations that is dropped.
    pub(crate) dropout: f64,
    /// Share of attention weights that is dropped.
    pub(crate) attention_dropout: f64,
}

/// Multi-head attention with its residual connection and norm.
///
/// ```text
/// Attention(x) = LN(x + drop(concat_h(softmax(Q_h K_hᵀ / √d + mask) V_h) W_O + b_O))
/// ```
#[derive(Debug)]
pub(crate) struct SelfAttention {
    qkv: Linear,
    out: Linear,
    norm: LayerNorm,
    sizes: Sizes,
}

impl SelfAttention {
    pub(crate) fn new(
        parameters: &mut Parameters,
        name: &str,
        sizes: Sizes,
    ) -> Result<Self, NeuralError> {
        let hidden = sizes.hidden;
        Ok(Self {
            qkv: Linear::new(parameters, &format!("{name}.qkv"), hidden, 3 * hidden)?,
            out: Linear::new(parameters, &format!("{name}.out"), hidden, hidden)?,
            norm: LayerNorm::new(parameters, &format!("{name}.norm"), hidden, NORM_EPS)?,
            sizes,
        })
    }

    /// `[B, T, D]` → `[B, T, D]`.
    pub(crate) fn forward(
        &self,
        x: &Tensor,
        mask: Mask<'_>,
        dropout: bool,
    ) -> Result<Tensor, NeuralError> {
        self.finish(x, &self.qkv.forward(x)?, mask, dropout)
    }

    /// Some places attend to all: `[B, Q, D]`, of which `[B, T, D]` are the keys and values → `[B, Q, D]`.
    pub(crate) fn attend(
        &self,
        places: &Tensor,
        all: &Tensor,
        mask: Mask<'_>,
        dropout: bool,
    ) -> Result<Tensor, NeuralError> {
        let hidden = size(self.sizes.hidden);
        let query = self.heads(&self.qkv.part(places, 0, hidden)?)?;
        let rest = self.qkv.part(all, hidden, 2 * hidden)?.f_chunk(2, 2)?;
        let (key, value) = (self.heads(&rest[0])?, self.heads(&rest[1])?);
        self.mix(places, [&query, &key, &value], mask, dropout)
    }

    /// From `[B, T, 3D]` of queries, keys and values on.
    fn finish(
        &self,
        x: &Tensor,
        qkv: &Tensor,
        mask: Mask<'_>,
        dropout: bool,
    ) -> Result<Tensor, NeuralError> {
        let parts = qkv.f_chunk(3, 2)?; // three of [B, T, D]
        let parts = [self.heads(&parts[0])?, self.heads(&parts[1])?, self.heads(&parts[2])?];
        self.mix(x, parts.each_ref(), mask, dropout)
    }

    /// `[B, T, D]` → `[B, H, T, D/H]`.
    fn heads(&self, x: &Tensor) -> Result<Tensor, NeuralError> {
        let (batch, time, hidden) = x.size3()?;
        let heads = size(self.sizes.heads);
        Ok(x.f_reshape([batch, time, heads, hidden / heads])?.f_transpose(1, 2)?)
    }

    /// Attention, output layer, residual connection with `x` and norm.
    fn mix(
        &self,
        x: &Tensor,
        [query, key, value]: [&Tensor; 3],
        mask: Mask<'_>,
        dropout: bool,
    ) -> Result<Tensor, NeuralError> {
        let share = if dropout { self.sizes.attention_dropout } else { 0.0 };
        let (added, causal) = match mask {
            Mask::Causal => (None, true),
            Mask::Added(mask) => (Some(mask), false),
        };
        let mixed = Tensor::f_scaled_dot_product_attention(
            query, key, value, added, share, causal, None, false,
        )?; // [B, H, Q, D/H]
        let mixed = mixed.f_transpose(1, 2)?.f_reshape(x.size())?; // [B, Q, D]
        let out = self.out.forward(&mixed)?.f_dropout(self.sizes.dropout, dropout)?;
        self.norm.forward(&out.f_add(x)?)
    }
}
