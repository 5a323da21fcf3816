//! The layers of encoder and decoder.

use tch::{Kind, Tensor};

use super::config::{T5Config, T5FeedForward};
use super::relative::RelativeBias;
use super::shapes::inputs;
use crate::PolicyError;
use crate::models::linear::Linear;
use crate::tensor::cast;
use crate::weights::{Weights, share, to_i64};

/// The blocks of an encoder or a decoder.
#[derive(Debug)]
pub(super) struct Stack {
    pub(super) blocks: Vec<Block>,
    pub(super) bias: RelativeBias,
    pub(super) norm: Tensor,
    epsilon: f64,
}

/// One block; weights share storage with the named ones.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) own: Attention,
    /// Over the encoder's states; a decoder's blocks have it.
    pub(super) source: Option<Attention>,
    ff_norm: Tensor,
    /// The first matrices of the feed-forward layer: one, or two if it is gated.
    ff_in: Vec<Linear>,
    ff_out: Linear,
    feed_forward: T5FeedForward,
}

/// Attention with the norm before it. Scores are not divided by the root of the head's width.
#[derive(Debug)]
pub(super) struct Attention {
    pub(super) norm: Tensor,
    pub(super) q: Linear,
    k: Linear,
    v: Linear,
    o: Linear,
    head_dim: i64,
}

impl Stack {
    pub(super) fn encoder(config: &T5Config, weights: &Weights) -> Result<Self, PolicyError> {
        Self::new("encoder", config.num_layers, config, weights)
    }

    pub(super) fn decoder(config: &T5Config, weights: &Weights) -> Result<Self, PolicyError> {
        Self::new("decoder", config.num_decoder_layers, config, weights)
    }

    fn new(
        stack: &str,
        layers: usize,
        config: &T5Config,
        weights: &Weights,
    ) -> Result<Self, PolicyError> {
        let weight = |name: &str| share(weights, &format!("{stack}.{name}.weight"));
        let looks_ahead = stack == "encoder";
        let blocks = (0..layers)
            .map(|block| {
                let part =
                    |layer, name: &str| weight(&format!("block.{block}.layer.{layer}.{name}"));
                let linear =
                    |layer, name: &str| Ok::<_, PolicyError>(Linear::plain(part(layer, name)?));
                let attention = |layer, name: &str| {
                    let linear = |part: &str| linear(layer, &format!("{name}.{part}"));
                    Ok::<_, PolicyError>(Attention {
                        norm: part(layer, "layer_norm")?,
                        q: linear("q")?,
                        k: linear("k")?,
                        v: linear("v")?,
                        o: linear("o")?,
                        head_dim: to_i64(config.d_kv),
                    })
                };
                let last = if looks_ahead { 1 } else { 2 };
                let dense = |name: &str| linear(last, &format!("DenseReluDense.{name}"));
                let source = (!looks_ahead).then(|| attention(1, "EncDecAttention"));
                Ok(Block {
                    own: attention(0, "SelfAttention")?,
                    source: source.transpose()?,
                    ff_norm: part(last, "layer_norm")?,
                    ff_in: inputs(config.feed_forward_proj)
                        .iter()
                        .map(|name| dense(name))
                        .collect::<Result<_, _>>()?,
                    ff_out: dense("wo")?,
                    feed_forward: config.feed_forward_proj,
                })
            })
            .collect::<Result<_, PolicyError>>()?;
        let bias = weight("block.0.layer.0.SelfAttention.relative_attention_bias")?;
        Ok(Self {
            blocks,
            bias: RelativeBias::new(config, bias, looks_ahead),
            norm: weight("final_layer_norm")?,
            epsilon: config.layer_norm_epsilon,
        })
    }

    pub(super) fn normalise(
        &self,
        x: &Tensor,
        weight: &Tensor,
        kind: Kind,
    ) -> Result<Tensor, PolicyError> {
        let weight = cast(weight, kind)?;
        Ok(x.f_rms_norm(weight.size(), Some(&weight), Some(self.epsilon))?)
    }

    /// `x` plus the output of the block's feed-forward layer.
    pub(super) fn feed_forward(
        &self,
        block: &Block,
        x: &Tensor,
        kind: Kind,
        dropout: f64,
    ) -> Result<Tensor, PolicyError> {
        let normed = self.normalise(x, &block.ff_norm, kind)?;
        let inner = block
            .ff_in
            .iter()
            .map(|linear| linear.apply(&normed, kind))
            .collect::<Result<Vec<_>, _>>()?;
        let inner = match (block.feed_forward, inner.as_slice()) {
            (T5FeedForward::Relu, [inner]) => inner.f_relu()?,
            (T5FeedForward::GatedGelu, [gate, inner]) => gate.f_gelu("tanh")? * inner,
            _ => return Err(PolicyError::Empty { what: "a feed-forward layer" }),
        };
        let inner = drop_some(inner, dropout);
        Ok(drop_some(block.ff_out.apply(&inner, kind)?, dropout).f_add_(x)?)
    }
}

impl Attention {
    /// Queries `[…, H, hd]` of normalised states `[…, D]`.
    pub(super) fn queries(&self, normed: &Tensor, kind: Kind) -> Result<Tensor, PolicyError> {
        self.split(&self.q, normed, kind)
    }

    /// Keys and values `[…, H, hd]` of states `[…, D]`.
    pub(super) fn keys_values(
        &self,
        states: &Tensor,
        kind: Kind,
    ) -> Result<(Tensor, Tensor), PolicyError> {
        Ok((self.split(&self.k, states, kind)?, self.split(&self.v, states, kind)?))
    }

    /// `x` plus the output of what was attended to, `[…, H·hd]`.
    pub(super) fn add_to(
        &self,
        x: &Tensor,
        attended: &Tensor,
        kind: Kind,
        dropout: f64,
    ) -> Result<Tensor, PolicyError> {
        Ok(drop_some(self.o.apply(attended, kind)?, dropout).f_add_(x)?)
    }

    fn split(&self, linear: &Linear, x: &Tensor, kind: Kind) -> Result<Tensor, PolicyError> {
        let mut shape = x.size();
        shape.pop();
        shape.extend([-1, self.head_dim]);
        Ok(linear.apply(x, kind)?.f_view(shape.as_slice())?)
    }
}

/// What queries `[U, H, S, hd]` attend to, `[U, S, H·hd]`, with `bias` added to the scores and a share of
/// the weights dropped.
pub(super) fn attend(
    q: &Tensor,
    (k, v): (&Tensor, &Tensor),
    bias: &Tensor,
    dropout: f64,
) -> Result<Tensor, PolicyError> {
    let scores = cast(&q.f_matmul(&k.transpose(2, 3))?, Kind::Float)? + bias;
    let weights = cast(&scores.f_softmax(-1, Kind::Float)?, v.kind())?;
    let weights = drop_some(weights, dropout);
    Ok(weights.f_matmul(v)?.transpose(1, 2).flatten(2, 3))
}

/// Zeroes a share of the elements and scales the rest up; does nothing at 0.
pub(super) fn drop_some(x: Tensor, dropout: f64) -> Tensor {
    if dropout > 0.0 { x.dropout(dropout, true) } else { x }
}
