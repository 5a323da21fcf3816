//! `BSARec`: self-attention beside a filter of frequencies.

use std::f64::consts::TAU;

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::transformer_config::{TransformerConfig, check_sizes};
use crate::neural::NeuralError;
use crate::neural::attention::{Mask, SelfAttention};
use crate::neural::error::need;
use crate::neural::layers::{INITIAL_STD, LayerNorm, NORM_EPS, lookup};
use crate::neural::model::{Lesson, SequenceModel, Step};
use crate::neural::padded::{Padded, size, without_last};
use crate::neural::parameters::Parameters;
use crate::neural::softmax::Scored;
use crate::neural::train_config::TrainConfig;
use crate::neural::transformer::FeedForward;

/// Settings of [`BsaRec`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BsaRecConfig {
    /// Places `T`; a history takes the last of them. Range `1..`.
    pub max_history: usize,
    /// Width `D`. Range `1..`, a multiple of `heads`.
    pub hidden_size: usize,
    /// Layers. Range `1..`.
    pub layers: usize,
    /// Attention heads. Range `1..`.
    pub heads: usize,
    /// Width of the feed-forward layers. Range `1..`.
    pub inner_size: usize,
    /// Share of activations that is dropped in training. Range `[0, 1)`.
    pub dropout: f64,
    /// Share of attention weights that is dropped in training. Range `[0, 1)`.
    pub attention_dropout: f64,
    /// Weight α of the filter; attention has 1 − α. Range `[0, 1]`.
    pub alpha: f64,
    /// Where low frequencies end: the first `c/2 + 1` (rounded down) are low. Range `1..`.
    pub c: usize,
    /// The training loop.
    pub train: TrainConfig,
}

impl Default for BsaRecConfig {
    /// The authors' for Beauty, from their log: width 64, 2 layers, 1 head, dropout .5 everywhere, 50
    /// places, α = .7, c = 5, Adam at 5e-4, 256 prefixes a step, patience 10, seen items removed in the
    /// validation. That log has .1008 / .0611 (HR@10 / NDCG@10, seen items removed).
    fn default() -> Self {
        Self {
            max_history: 50,
            hidden_size: 64,
            layers: 2,
            heads: 1,
            inner_size: 256,
            dropout: 0.5,
            attention_dropout: 0.5,
            alpha: 0.7,
            c: 5,
            train: TrainConfig {
                epochs: 200,
                batch_size: 256,
                lr: 5e-4,
                seen_items: sidereal_metrics::SeenItems::Removed,
                ..TrainConfig::default()
            },
        }
    }
}

/// The weights of a layer.
#[derive(Debug)]
struct Layer {
    /// Square root of the weight of the high frequencies, `[D]`.
    sqrt_beta: Tensor,
    filter_norm: LayerNorm,
    attention: SelfAttention,
    feed: FeedForward,
}

/// `BSARec` (Shin et al., AAAI 2024, [arXiv:2312.10325](https://arxiv.org/abs/2312.10325)): attention alone
/// smooths a history, so a filter beside it gives the high frequencies a weight of their own.
///
/// ```text
/// X⁰     = drop(LN(M[x] + P))                    T places, filled up at the left
/// low(X) = the first c frequencies of X's Fourier transform over the places
/// A_IB X = LN(X + drop(low(X) + β ⊙ (X − low(X))))       β = sqrt_beta², for each of D
/// S      = α A_IB X + (1 − α) Attention(X)
/// X^l+1  = LN(S + drop(FFN(S)))
/// s_j    = X^L_T · M_j                           full softmax over all items
/// ```
/// As in the authors' code, `c` of the settings stands for `c/2 + 1` frequencies; a masked place has
/// −10,000 added to its score, so a place before the history, which may attend to nothing, attends to
/// all; places before the history have their positions, and the filter reads them.
///
/// Deviations from that code: the vector of an empty place is zero (theirs is a random constant), and an
/// empty place is no class of the softmax. The filter is applied as a matrix `[T, T]`, which is the same
/// function. In the last layer only the last place is computed, for only its state is used.
///
/// The filter reads all places, so a state in the middle depends on later items. The model is therefore
/// trained on prefixes, each with the item that follows it: the state that scores never sees its target. As
/// in the authors' code, the prefix before a user's first item, which holds nothing, is one of them.
#[derive(Debug)]
pub struct BsaRec {
    config: BsaRecConfig,
    parameters: Parameters,
    items: Tensor,
    positions: Tensor,
    norm: LayerNorm,
    layers: Vec<Layer>,
    /// `[T, T]`: the low frequencies of a column of places.
    low_pass: Tensor,
}

impl BsaRec {
    /// A model with fresh weights.
    ///
    /// # Errors
    /// [`NeuralError::Setting`] and [`NeuralError::Torch`].
    pub fn new(
        config: BsaRecConfig,
        num_items: usize,
        seed: u64,
        device: Device,
        kind: Kind,
    ) -> Result<Self, NeuralError> {
        let sizes = check_sizes(&TransformerConfig {
            max_history: config.max_history,
            hidden_size: config.hidden_size,
            layers: config.layers,
            heads: config.heads,
            inner_size: config.inner_size,
            dropout: config.dropout,
            attention_dropout: config.attention_dropout,
        })?;
        let share = (0.0..=1.0).contains(&config.alpha);
        need(share, "alpha", config.alpha, "a number in [0, 1]")?;
        need(config.c > 0, "c", 0.0, "1 or more")?;
        let mut parameters = Parameters::new(seed, device, kind);
        let (hidden, width) = (config.hidden_size, size(config.hidden_size));
        let p = &mut parameters;
        let items = p.normal("items", &[size(num_items), width], INITIAL_STD)?;
        let positions = p.normal("positions", &[size(config.max_history), width], INITIAL_STD)?;
        let norm = LayerNorm::new(p, "norm", hidden, NORM_EPS)?;
        let mut layers = Vec::with_capacity(config.layers);
        for at in 0..config.layers {
            let name = |part: &str| format!("layers.{at}.{part}");
            layers.push(Layer {
                sqrt_beta: p.normal(&name("filter.sqrt_beta"), &[width], 1.0)?,
                filter_norm: LayerNorm::new(p, &name("filter.norm"), hidden, NORM_EPS)?,
                attention: SelfAttention::new(p, &name("attention"), sizes)?,
                feed: FeedForward::new(p, &name("feed_forward"), sizes)?,
            });
        }
        let low_pass = low_pass(config.max_history, config.c / 2 + 1);
        let places = size(config.max_history);
        let low_pass = Tensor::f_from_slice(&low_pass)?
            .f_reshape([places, places])?
            .f_to_kind(kind)?
            .f_to_device(device)?;
        Ok(Self { config, parameters, items, positions, norm, layers, low_pass })
    }

    /// The state of the last place, `[B, D]`.
    fn encode(&self, histories: &[&[u32]], dropout: bool) -> Result<Tensor, NeuralError> {
        let rows = Padded::left(histories, self.config.max_history, self.parameters.device())?;
        let real = rows.real()?; // [B, T]
        let kind = self.parameters.kind();
        let x = lookup(&self.items, &rows.items)?; // [B, T, D]
        let x = x.f_mul(&real.f_to_kind(kind)?.f_unsqueeze(2)?)?.f_add(&self.positions)?;
        let mut x = self.norm.forward(&x)?.f_dropout(self.config.dropout, dropout)?;
        let width = rows.width();
        let before = Tensor::f_ones([width, width], (Kind::Bool, real.device()))?.f_tril(0)?;
        let open = real.f_unsqueeze(1)?.f_unsqueeze(1)?.f_logical_and(&before)?; // [B, 1, T, T]
        let mask = open.f_logical_not()?.f_to_kind(kind)?.f_mul_scalar(-10_000.0)?;
        let last = width - 1;
        for (at, layer) in self.layers.iter().enumerate() {
            x = if at + 1 < self.layers.len() {
                let attended = layer.attention.forward(&x, Mask::Added(&mask), dropout)?;
                self.block(layer, &x, &self.low_pass.f_matmul(&x)?, &attended, dropout)? // [B, T, D]
            } else {
                let (place, row) = (x.f_narrow(1, last, 1)?, mask.f_narrow(2, last, 1)?);
                let low = self.low_pass.f_narrow(0, last, 1)?.f_matmul(&x)?; // [B, 1, D]
                let attended = layer.attention.attend(&place, &x, Mask::Added(&row), dropout)?;
                self.block(layer, &place, &low, &attended, dropout)? // [B, 1, D]
            };
        }
        Ok(x.f_select(1, -1)?) // [B, D]
    }

    /// Filter, weighting and feed-forward layer: `[B, Q, D]` → `[B, Q, D]`.
    fn block(
        &self,
        layer: &Layer,
        x: &Tensor,
        low: &Tensor,
        attended: &Tensor,
        dropout: bool,
    ) -> Result<Tensor, NeuralError> {
        let high = x.f_sub(low)?.f_mul(&layer.sqrt_beta.f_square()?)?;
        let filtered = low.f_add(&high)?.f_dropout(self.config.dropout, dropout)?;
        let filtered = layer.filter_norm.forward(&filtered.f_add(x)?)?;
        let alpha = self.config.alpha;
        let mixed = filtered.f_mul_scalar(alpha)?.f_add(&attended.f_mul_scalar(1.0 - alpha)?)?;
        layer.feed.forward(&mixed, dropout)
    }
}

/// The matrix `[T, T]` that keeps the first `kept` frequencies of `T` places.
///
/// ```text
/// L[t, s] = 1/T Σ_{k < kept} w_k cos(2π k (t − s) / T)     w_k = 1 for k = 0 and k = T/2, else 2
/// ```
fn low_pass(places: usize, kept: usize) -> Vec<f64> {
    let frequencies = places / 2 + 1;
    let entry = |t: usize, s: usize| -> f64 {
        let wave = |k: usize| {
            let weight = if k == 0 || 2 * k == places { 1.0 } else { 2.0 };
            // k (t − s) modulo T keeps the angle small.
            let turns = (k * (t + places - s)) % places;
            weight * (TAU * turns as f64 / places as f64).cos()
        };
        (0..kept.min(frequencies)).map(wave).sum::<f64>() / places as f64
    };
    (0..places).flat_map(|t| (0..places).map(move |s| entry(t, s))).collect()
}

impl SequenceModel for BsaRec {
    fn num_items(&self) -> usize {
        usize::try_from(self.items.size()[0]).unwrap_or_default()
    }

    fn max_history(&self) -> usize {
        self.config.max_history
    }

    fn lesson(&self) -> Lesson {
        Lesson::AllPrefixes
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn loss(&self, rows: &[&[u32]], step: &mut Step) -> Result<Tensor, NeuralError> {
        let (histories, targets) = without_last(rows, self.parameters.device())?;
        let states = self.encode(&histories, step.dropout)?; // [B, D]
        Scored { states: &states, items: &self.items, bias: None, targets: &targets }.softmax()
    }

    fn states(&self, histories: &[&[u32]]) -> Result<Tensor, NeuralError> {
        self.encode(histories, false)
    }

    fn scores(&self, states: &Tensor) -> Result<Tensor, NeuralError> {
        Ok(states.f_linear(&self.items, None::<&Tensor>)?) // [B, N]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_is_that_of_the_fourier_transform() {
        for (places, kept) in [(7, 3), (8, 2), (8, 5), (1, 1)] {
            let wide = size(places);
            let matrix = Tensor::from_slice(&low_pass(places, kept)).reshape([wide, wide]);
            let x = Tensor::from_slice(
                &(0..places).map(|t| ((t * t) as f64).sin()).collect::<Vec<_>>(),
            );
            let spectrum = x.fft_rfft(None, 0, "ortho");
            let mask =
                Tensor::arange(spectrum.size()[0], (Kind::Int64, Device::Cpu)).lt(size(kept));
            let low = (spectrum * mask).fft_irfft(wide, 0, "ortho");
            let difference = (matrix.mv(&x) - low).abs().max().double_value(&[]);
            assert!(difference < 1e-12, "{places} places, {kept} kept: {difference}");
        }
    }
}
