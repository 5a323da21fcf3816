//! The layers that several models share.

use tch::Tensor;

use super::NeuralError;
use super::padded::size;
use super::parameters::Parameters;

/// Standard deviation of fresh weights, as in BERT and in `RecBole`'s transformers.
pub(crate) const INITIAL_STD: f64 = 0.02;

/// What `LayerNorm` adds to the variance, as in `RecBole` and the authors' code of `BSARec`.
pub(crate) const NORM_EPS: f64 = 1e-12;

/// `y = x Wᵀ + b`.
#[derive(Debug)]
pub(crate) struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// Weights `[out, into]` from a normal distribution, a bias of zeros.
    pub(crate) fn new(
        parameters: &mut Parameters,
        name: &str,
        into: usize,
        out: usize,
    ) -> Result<Self, NeuralError> {
        Ok(Self {
            weight: parameters.normal(
                &format!("{name}.weight"),
                &[size(out), size(into)],
                INITIAL_STD,
            )?,
            bias: Some(parameters.constant(&format!("{name}.bias"), &[size(out)], 0.0)?),
        })
    }

    /// Weights as PyTorch draws them, between ∓1/√into, with a bias drawn likewise or none.
    pub(crate) fn uniform(
        parameters: &mut Parameters,
        name: &str,
        into: usize,
        out: usize,
        biased: bool,
    ) -> Result<Self, NeuralError> {
        let bound = (into as f64).sqrt().recip();
        let weight =
            parameters.uniform(&format!("{name}.weight"), &[size(out), size(into)], bound)?;
        let bias = biased
            .then(|| parameters.uniform(&format!("{name}.bias"), &[size(out)], bound))
            .transpose()?;
        Ok(Self { weight, bias })
    }

    /// `[…, into]` → `[…, out]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor, NeuralError> {
        Ok(x.f_linear(&self.weight, self.bias.as_ref())?)
    }
}

/// Layer normalisation with weight and bias.
#[derive(Debug)]
pub(crate) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    /// A norm over the last `width` numbers.
    pub(crate) fn new(
        parameters: &mut Parameters,
        name: &str,
        width: usize,
        eps: f64,
    ) -> Result<Self, NeuralError> {
        Ok(Self {
            weight: parameters.constant(&format!("{name}.weight"), &[size(width)], 1.0)?,
            bias: parameters.constant(&format!("{name}.bias"), &[size(width)], 0.0)?,
            eps,
        })
    }

    /// `[…, D]` → `[…, D]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor, NeuralError> {
        let width = self.weight.size();
        Ok(x.f_layer_norm(width, Some(&self.weight), Some(&self.bias), self.eps, false)?)
    }
}

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
        let (batch, time, hidden) = x.size3()?;
        let heads = size(self.sizes.heads);
        let qkv = self
            .qkv
            .forward(x)? // [B, T, 3D]
            .f_reshape([batch, time, 3, heads, hidden / heads])?
            .f_permute([2, 0, 3, 1, 4])?; // [3, B, H, T, D/H]
        let part = |at| qkv.f_select(0, at); // [B, H, T, D/H]
        let share = if dropout { self.sizes.attention_dropout } else { 0.0 };
        let (added, causal) = match mask {
            Mask::Causal => (None, true),
            Mask::Added(mask) => (Some(mask), false),
        };
        let (query, key, value) = (part(0)?, part(1)?, part(2)?);
        let mixed = Tensor::f_scaled_dot_product_attention(
            &query, &key, &value, added, share, causal, None, false,
        )?; // [B, H, T, D/H]
        let mixed = mixed.f_transpose(1, 2)?.f_reshape([batch, time, hidden])?; // [B, T, D]
        let out = self.out.forward(&mixed)?.f_dropout(self.sizes.dropout, dropout)?;
        self.norm.forward(&out.f_add(x)?)
    }
}

/// Two linear layers with a GELU between them, a residual connection and a norm.
///
/// ```text
/// FFN(x) = LN(x + drop(gelu(x W₁ + b₁) W₂ + b₂))
/// ```
#[derive(Debug)]
pub(crate) struct FeedForward {
    up: Linear,
    down: Linear,
    norm: LayerNorm,
    dropout: f64,
}

impl FeedForward {
    pub(crate) fn new(
        parameters: &mut Parameters,
        name: &str,
        sizes: Sizes,
    ) -> Result<Self, NeuralError> {
        let (hidden, inner) = (sizes.hidden, sizes.inner);
        Ok(Self {
            up: Linear::new(parameters, &format!("{name}.up"), hidden, inner)?,
            down: Linear::new(parameters, &format!("{name}.down"), inner, hidden)?,
            norm: LayerNorm::new(parameters, &format!("{name}.norm"), hidden, NORM_EPS)?,
            dropout: sizes.dropout,
        })
    }

    /// `[…, D]` → `[…, D]`.
    pub(crate) fn forward(&self, x: &Tensor, dropout: bool) -> Result<Tensor, NeuralError> {
        let inner = self.up.forward(x)?.f_gelu("none")?; // […, F]
        let out = self.down.forward(&inner)?.f_dropout(self.dropout, dropout)?; // […, D]
        self.norm.forward(&out.f_add(x)?)
    }
}

/// Transformer layers, each with its norms after the residual connections.
#[derive(Debug)]
pub(crate) struct Transformer {
    layers: Vec<(SelfAttention, FeedForward)>,
}

impl Transformer {
    pub(crate) fn new(
        parameters: &mut Parameters,
        name: &str,
        layers: usize,
        sizes: Sizes,
    ) -> Result<Self, NeuralError> {
        let layer = |at: usize| {
            let attention =
                SelfAttention::new(parameters, &format!("{name}.{at}.attention"), sizes)?;
            let feed = FeedForward::new(parameters, &format!("{name}.{at}.feed_forward"), sizes)?;
            Ok((attention, feed))
        };
        Ok(Self { layers: (0..layers).map(layer).collect::<Result<_, NeuralError>>()? })
    }

    /// `[B, T, D]` → `[B, T, D]`.
    pub(crate) fn forward(
        &self,
        x: &Tensor,
        mask: Mask<'_>,
        dropout: bool,
    ) -> Result<Tensor, NeuralError> {
        let mut x = x.shallow_clone();
        for (attention, feed) in &self.layers {
            x = feed.forward(&attention.forward(&x, mask, dropout)?, dropout)?;
        }
        Ok(x)
    }
}

/// Rows of a table `[N, D]`: `[…]` → `[…, D]`.
pub(crate) fn lookup(table: &Tensor, rows: &Tensor) -> Result<Tensor, NeuralError> {
    Ok(Tensor::f_embedding(table, rows, -1, false, false)?)
}

/// The vectors at some flat places of `[B, T, D]`: `[M]` → `[M, D]`.
pub(crate) fn at_places(x: &Tensor, places: &Tensor) -> Result<Tensor, NeuralError> {
    let width = x.size3()?.2;
    Ok(x.f_reshape([-1, width])?.f_index_select(0, places)?)
}
