//! The body: causal layers with their norms after them and weights for distances.
//!
//! ```text
//! a   = LN(x + attention(x))
//! l_t = Σ_{s ≤ t} softmax_s(w[t − s]) x_s                a smooth of the past: weights of distances alone
//! f   = LN(x + l + g ⊙ (x − l))                          g: how much of what is not smooth stays
//! y   = α f + (1 − α) a
//! x′  = LN(y + feed_forward(y))
//! ```
//! The filtered branch `f` is that of `BSARec` (AAAI 2024, its equations 8 to 12) with two changes: its filter takes the low
//! frequencies of a whole sequence by a Fourier transform and thereby looks ahead, ours looks back and is
//! learned; and it squares `g`. With `α = 0` there is no such branch.

use tch::{Kind, Tensor};

use super::config::ItemPolicyConfig;
use super::linear;
use crate::PolicyError;
use crate::models::branches::causal_bias;
use crate::models::linear::Linear;
use crate::weights::{Weights, share, to_i64};

/// Shares that are zeroed in training, and which they are.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ItemDropout {
    /// Of the inputs of the body and of the output of each part of a layer. Range `[0, 1)`.
    pub hidden: f64,
    /// Of attention weights. Range `[0, 1)`.
    pub attention: f64,
    /// What is zeroed depends on this alone: equal seeds, equal choices.
    pub seed: u64,
}

#[derive(Debug)]
pub(super) struct Body {
    norm: Norm,
    layers: Vec<Layer>,
    heads: i64,
}

#[derive(Debug)]
struct Norm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f64,
}

#[derive(Debug)]
struct Layer {
    qkv: Linear,
    out: Linear,
    /// Added to the scores by distance, for each head, `[P, H]`.
    distance: Tensor,
    attention_norm: Norm,
    filter: Option<Filter>,
    up: Linear,
    down: Linear,
    feed_forward_norm: Norm,
}

/// The branch that smooths.
#[derive(Debug)]
struct Filter {
    /// Its share in a layer, `α`.
    share: f64,
    /// `w`, `[P, 1]`.
    distance: Tensor,
    /// `g`, `[D]`.
    high: Tensor,
    norm: Norm,
}

impl Norm {
    fn new(weights: &Weights, name: &str, epsilon: f64) -> Result<Self, PolicyError> {
        let weight = share(weights, &format!("{name}.weight"))?;
        Ok(Self { weight, bias: share(weights, &format!("{name}.bias"))?, epsilon })
    }

    fn apply(&self, x: &Tensor) -> Result<Tensor, PolicyError> {
        let (weight, bias) = (Some(&self.weight), Some(&self.bias));
        Ok(x.f_layer_norm(self.weight.size(), weight, bias, self.epsilon, false)?)
    }
}

impl Body {
    pub(super) fn new(config: &ItemPolicyConfig, weights: &Weights) -> Result<Self, PolicyError> {
        let norm = |name: &str| Norm::new(weights, name, config.layer_norm_eps);
        let layers = (0..config.num_hidden_layers).map(|layer| {
            let name = |part: &str| format!("layers.{layer}.{part}");
            Ok(Layer {
                qkv: linear(weights, &name("attention.qkv"))?,
                out: linear(weights, &name("attention.out"))?,
                distance: share(weights, &name("attention.distance.weight"))?,
                attention_norm: norm(&name("attention_norm"))?,
                filter: match config.filter_share {
                    0.0 => None,
                    share_of => Some(Filter {
                        share: share_of,
                        distance: share(weights, &name("filter.distance.weight"))?,
                        high: share(weights, &name("filter.high"))?,
                        norm: norm(&name("filter_norm"))?,
                    }),
                },
                up: linear(weights, &name("feed_forward.up"))?,
                down: linear(weights, &name("feed_forward.down"))?,
                feed_forward_norm: norm(&name("feed_forward_norm"))?,
            })
        });
        Ok(Self {
            norm: norm("norm")?,
            layers: layers.collect::<Result<_, PolicyError>>()?,
            heads: to_i64(config.num_attention_heads),
        })
    }

    /// States `[B, T, D]` of vectors `[B, T, D]`; `T` is at most the longest history.
    pub(super) fn forward(&self, x: &Tensor, dropout: ItemDropout) -> Result<Tensor, PolicyError> {
        let len = x.size()[1];
        let places = Tensor::arange(len, (Kind::Int64, x.device()));
        let distances = (places.unsqueeze(1) - places.unsqueeze(0)).f_clamp_min(0)?; // [T, T]
        let causal = causal_bias(0, len, x.device()).f_to_kind(x.kind())?; // [T, T]
        let mut x = drop_out(self.norm.apply(x)?, dropout.hidden)?;
        for layer in &self.layers {
            let bias = of_pairs(&layer.distance, &distances, &causal)?;
            let attended = layer.attend(&x, &bias, self.heads, dropout.attention)?;
            let attended = layer.out.apply(&attended, x.kind())?;
            let summed = &x + drop_out(attended, dropout.hidden)?;
            let attended = layer.attention_norm.apply(&summed)?;
            x = match &layer.filter {
                None => attended,
                Some(filter) => {
                    let weights = of_pairs(&filter.distance, &distances, &causal)?;
                    let filtered = filter.apply(&x, &weights, dropout.hidden)?;
                    filtered * filter.share + attended * (1.0 - filter.share)
                }
            };
            let wide = layer.up.apply(&x, x.kind())?.f_gelu("none")?;
            let added = layer.down.apply(&wide, x.kind())?;
            x = layer.feed_forward_norm.apply(&(x + drop_out(added, dropout.hidden)?))?;
        }
        Ok(x)
    }
}

impl Filter {
    /// `f` of vectors `[B, T, D]`, given the weights `[1, T, T]` of pairs of places.
    fn apply(&self, x: &Tensor, weights: &Tensor, dropout: f64) -> Result<Tensor, PolicyError> {
        let low = weights.f_softmax(-1, x.kind())?.f_matmul(x)?;
        let kept = &low + (x - &low) * &self.high;
        self.norm.apply(&(x + drop_out(kept, dropout)?))
    }
}

/// Weights of distances `[P, H]` for each pair of places, `[H, T, T]`; none of what is later.
fn of_pairs(weights: &Tensor, distances: &Tensor, causal: &Tensor) -> Result<Tensor, PolicyError> {
    let bias = Tensor::f_embedding(weights, distances, -1, false, false)?;
    Ok(bias.permute([2, 0, 1]) + causal)
}

impl Layer {
    fn attend(
        &self,
        x: &Tensor,
        bias: &Tensor,
        heads: i64,
        dropout: f64,
    ) -> Result<Tensor, PolicyError> {
        let [batch, len, width] = <[i64; 3]>::try_from(x.size()).unwrap_or([0; 3]);
        let qkv = self.qkv.apply(x, x.kind())?.f_view([batch, len, 3, heads, width / heads])?;
        let qkv = qkv.permute([2, 0, 3, 1, 4]); // [3, B, H, T, D/H]
        let (q, k, v) = (qkv.get(0), qkv.get(1), qkv.get(2));
        let scale = ((width / heads) as f64).powf(-0.5);
        let scores = (q * scale).f_matmul(&k.transpose(-1, -2))? + bias; // [B, H, T, T]
        let shares = drop_out(scores.f_softmax(-1, x.kind())?, dropout)?;
        Ok(shares.f_matmul(&v)?.transpose(1, 2).f_reshape([batch, len, width])?)
    }
}

fn drop_out(x: Tensor, share: f64) -> Result<Tensor, PolicyError> {
    Ok(if share > 0.0 { x.f_dropout(share, true)? } else { x })
}
