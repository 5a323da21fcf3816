//! `HSTU`: pointwise attention without a softmax.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::transformer_config::check_share;
use crate::neural::NeuralError;
use crate::neural::error::need;
use crate::neural::layers::{INITIAL_STD, Linear, at_places, lookup};
use crate::neural::loss::LossKind;
use crate::neural::model::{Lesson, SequenceModel, Step};
use crate::neural::objective::Objective;
use crate::neural::padded::{Padded, size};
use crate::neural::parameters::Parameters;
use crate::neural::train_config::TrainConfig;

/// What the norms of the authors' code add to the variance, and the least length of a vector.
const EPS: f64 = 1e-6;

/// Settings of [`Hstu`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HstuConfig {
    /// Items of a history that are read, the latest. Range `1..`.
    pub max_history: usize,
    /// Width `D`. Range `1..`.
    pub hidden_size: usize,
    /// Layers. Range `1..`.
    pub layers: usize,
    /// Attention heads `H`. Range `1..`.
    pub heads: usize,
    /// Width of a head. Range `1..`.
    pub head_size: usize,
    /// Share of activations that is dropped in training. Range `[0, 1)`.
    pub dropout: f64,
    /// What the cosines are divided by. Range `(0, ∞)`.
    pub temperature: f64,
    /// What a target is compared with.
    pub loss: LossKind,
    /// Items that are drawn for the losses other than `softmax`. Range `1..`.
    pub negatives: usize,
    /// The training loop.
    pub train: TrainConfig,
}

impl Default for HstuConfig {
    /// The authors' for Amazon Books: width 64, 4 layers of 4 heads of 16, dropout .5, 50 items, sampled
    /// softmax of 512 negatives over cosines at temperature .05, Adam at 1e-3, 128 sequences a step (here
    /// 1,024 targets).
    fn default() -> Self {
        Self {
            max_history: 50,
            hidden_size: 64,
            layers: 4,
            heads: 4,
            head_size: 16,
            dropout: 0.5,
            temperature: 0.05,
            loss: LossKind::SampledSoftmax,
            negatives: 512,
            train: TrainConfig { epochs: 201, batch_size: 1024, ..TrainConfig::default() },
        }
    }
}

/// The weights of a layer.
#[derive(Debug)]
struct Layer {
    /// `[4 · H · head, D]`: gates `U`, values `V`, queries `Q`, keys `K`.
    uvqk: Tensor,
    /// Bias of the distance of two places, `[2 · max_history − 1]`.
    distance: Tensor,
    out: Linear,
}

/// `HSTU` (Zhai et al., ICML 2024, [arXiv:2402.17152](https://arxiv.org/abs/2402.17152)).
///
/// ```text
/// X⁰          = drop(√D M[x] + P)
/// U, V, Q, K  = split(silu(norm(X) W₁))
/// A V         = silu(Q Kᵀ + rab) / T · V        only places at and before
/// X^l+1       = X + drop(U ⊙ norm(A V)) W₂ + b₂
/// s_j         = cos(X^L_t, M_j) / temperature
/// ```
/// `norm` is layer normalisation without weights, `T` is `max_history`, as in the authors' code.
///
/// Deviations: `rab` has the distance of two places, but not of their times, because a recommender here
/// scores from items alone; the negatives of the sampled softmax are shared by a step.
///
/// A change of an item changes no state before it.
#[derive(Debug)]
pub struct Hstu {
    config: HstuConfig,
    parameters: Parameters,
    items: Tensor,
    positions: Tensor,
    layers: Vec<Layer>,
}

impl Hstu {
    /// A model with fresh weights.
    ///
    /// # Errors
    /// [`NeuralError::Setting`] and [`NeuralError::Torch`].
    pub fn new(
        config: HstuConfig,
        num_items: usize,
        seed: u64,
        device: Device,
        kind: Kind,
    ) -> Result<Self, NeuralError> {
        for (field, count) in [
            ("max_history", config.max_history),
            ("hidden_size", config.hidden_size),
            ("layers", config.layers),
            ("heads", config.heads),
            ("head_size", config.head_size),
            ("negatives", config.negatives),
        ] {
            need(count > 0, field, 0.0, "1 or more")?;
        }
        check_share("dropout", config.dropout)?;
        let temperature = config.temperature;
        need(temperature > 0.0 && temperature.is_finite(), "temperature", temperature, "above 0")?;
        let mut parameters = Parameters::new(seed, device, kind);
        let (hidden, inner) = (config.hidden_size, config.heads * config.head_size);
        let (width, places) = (size(hidden), size(config.max_history));
        let p = &mut parameters;
        let items = p.normal("items", &[size(num_items), width], INITIAL_STD)?;
        let positions = p.normal("positions", &[places, width], (hidden as f64).sqrt().recip())?;
        let mut layers = Vec::with_capacity(config.layers);
        for at in 0..config.layers {
            let name = |part: &str| format!("layers.{at}.{part}");
            layers.push(Layer {
                uvqk: p.normal(&name("uvqk"), &[4 * size(inner), width], INITIAL_STD)?,
                distance: p.normal(&name("distance"), &[2 * places - 1], INITIAL_STD)?,
                out: Linear::xavier(p, &name("out"), inner, hidden)?,
            });
        }
        Ok(Self { config, parameters, items, positions, layers })
    }

    /// The states of all places, `[B, T, D]`.
    fn encode(&self, rows: &Padded, dropout: bool) -> Result<Tensor, NeuralError> {
        let HstuConfig { dropout: share, max_history, hidden_size, .. } = self.config;
        let (time, device) = (rows.width(), self.parameters.device());
        let positions = self.positions.f_narrow(0, 0, time)?; // [T, D]
        let x = lookup(&self.items, &rows.items)?.f_mul_scalar((hidden_size as f64).sqrt())?;
        let mut x = x.f_add(&positions)?.f_dropout(share, dropout)?; // [B, T, D]
        let places = Tensor::f_arange(time, (Kind::Int64, device))?;
        let distance = places.f_unsqueeze(0)?.f_sub(&places.f_unsqueeze(1)?)?; // [T, T]: key − query
        let distance = distance.f_add_scalar(size(max_history) - 1)?;
        let before = (self.parameters.kind(), device);
        let before = Tensor::f_ones([time, time], before)?.f_tril(0)?; // [T, T]
        let before = before.f_div_scalar(max_history as f64)?;
        for layer in &self.layers {
            x = self.layer(layer, &x, &distance, &before, dropout)?;
        }
        Ok(x)
    }

    /// `[B, T, D]` → `[B, T, D]`; `before`: what each pair of places has its weight multiplied by.
    fn layer(
        &self,
        layer: &Layer,
        x: &Tensor,
        distance: &Tensor,
        before: &Tensor,
        dropout: bool,
    ) -> Result<Tensor, NeuralError> {
        let (batch, time, _) = x.size3()?;
        let (heads, head) = (size(self.config.heads), size(self.config.head_size));
        let all = norm(x)?.f_linear(&layer.uvqk, None::<&Tensor>)?.f_silu()?; // [B, T, 4 · H · head]
        let parts = all.f_chunk(4, 2)?;
        let per_head = |part: &Tensor| -> Result<Tensor, NeuralError> {
            Ok(part.f_reshape([batch, time, heads, head])?.f_transpose(1, 2)?) // [B, H, T, head]
        };
        let (value, query, key) =
            (per_head(&parts[1])?, per_head(&parts[2])?, per_head(&parts[3])?);
        let bias = layer.distance.f_take(distance)?; // [T, T]
        let weights = query.f_matmul(&key.f_transpose(2, 3)?)?.f_add(&bias)?.f_silu()?;
        let mixed = weights.f_mul(before)?.f_matmul(&value)?; // [B, H, T, head]
        let mixed = mixed.f_transpose(1, 2)?.f_reshape([batch, time, heads * head])?;
        let gated = parts[0].f_mul(&norm(&mixed)?)?.f_dropout(self.config.dropout, dropout)?;
        Ok(layer.out.forward(&gated)?.f_add(x)?)
    }

    /// The items as vectors of length 1 over the temperature, `[N, D]`.
    fn answers(&self) -> Result<Tensor, NeuralError> {
        Ok(unit(&self.items)?.f_div_scalar(self.config.temperature)?)
    }
}

/// Layer normalisation without weights over the last numbers.
fn norm(x: &Tensor) -> Result<Tensor, NeuralError> {
    let width = x.size().last().copied().unwrap_or(1);
    Ok(x.f_layer_norm([width], None::<&Tensor>, None::<&Tensor>, EPS, false)?)
}

/// Vectors of length 1 along the last numbers.
fn unit(x: &Tensor) -> Result<Tensor, NeuralError> {
    let length = x.f_norm_scalaropt_dim(2.0, [-1].as_slice(), true)?;
    Ok(x.f_div(&length.f_clamp_min(EPS)?)?)
}

impl SequenceModel for Hstu {
    fn num_items(&self) -> usize {
        usize::try_from(self.items.size()[0]).unwrap_or_default()
    }

    fn max_history(&self) -> usize {
        self.config.max_history
    }

    fn lesson(&self) -> Lesson {
        Lesson::Positions
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn loss(&self, rows: &[&[u32]], step: &mut Step) -> Result<Tensor, NeuralError> {
        let HstuConfig { loss: kind, negatives, .. } = self.config;
        let dropout = step.dropout;
        let encode = |inputs: &Padded, places: &Tensor| {
            unit(&at_places(&self.encode(inputs, dropout)?, places)?) // [M, D]
        };
        Objective { kind, negatives }.of_places(rows, &self.answers()?, &mut step.rng, encode)
    }

    fn states(&self, histories: &[&[u32]]) -> Result<Tensor, NeuralError> {
        let rows = Padded::right(histories, self.parameters.device())?;
        unit(&at_places(&self.encode(&rows, false)?, &rows.last()?)?) // [B, D]
    }

    fn scores(&self, states: &Tensor) -> Result<Tensor, NeuralError> {
        Ok(states.f_linear(&self.answers()?, None::<&Tensor>)?) // [B, N]
    }
}
