//! `SASRec`: self-attention over the items of a history.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::transformer_config::{TransformerConfig, check_sizes};
use crate::neural::NeuralError;
use crate::neural::attention::Mask;
use crate::neural::error::need;
use crate::neural::grouped::by_length;
use crate::neural::layers::{INITIAL_STD, LayerNorm, NORM_EPS, at_places, lookup};
use crate::neural::loss::LossKind;
use crate::neural::model::{Lesson, SequenceModel, Step};
use crate::neural::objective::Objective;
use crate::neural::padded::{Padded, size};
use crate::neural::parameters::Parameters;
use crate::neural::train_config::TrainConfig;
use crate::neural::transformer::Transformer;

/// Where the places of a history are counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PlacesFrom {
    /// The first item that is read has place 0, as in `RecBole`.
    #[default]
    First,
    /// The last item has the last place, as in the paper, whose rows are filled up at the left.
    Last,
}

/// Settings of [`SasRec`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SasRecConfig {
    /// Items of a history that are read, the latest. Range `1..`.
    pub max_history: usize,
    /// Width `D`. Range `1..`, a multiple of `heads`.
    pub hidden_size: usize,
    /// Transformer layers. Range `1..`.
    pub layers: usize,
    /// Attention heads. Range `1..`.
    pub heads: usize,
    /// Width of the feed-forward layers. Range `1..`.
    pub inner_size: usize,
    /// Share of activations that is dropped in training. Range `[0, 1)`.
    pub dropout: f64,
    /// Share of attention weights that is dropped in training. Range `[0, 1)`.
    pub attention_dropout: f64,
    /// Where places are counted from.
    pub places: PlacesFrom,
    /// Whether each prefix of a sequence is a row of its own, whose one target is the item that follows, as
    /// in `RecBole` and in the code of `BSARec`. Otherwise a row has a target at every place, as in the paper.
    pub prefixes: bool,
    /// What a target is compared with.
    pub loss: LossKind,
    /// Items that are drawn for the losses other than `softmax`. Range `1..`.
    pub negatives: usize,
    /// The training loop.
    pub train: TrainConfig,
}

impl Default for SasRecConfig {
    /// `RecBole`'s `SASRec.yaml`: width 64, 2 layers, 2 heads, inner width 256, dropout .5 everywhere,
    /// 50 items, places from the first item, full softmax. `RecBole` has `prefixes`. The paper's own loss is `bce` with one negative; `sampled_softmax` with
    /// 256 negatives is that of `eSASRec`'s comparison (.0921 / .0531 on Beauty, seen items removed).
    fn default() -> Self {
        Self {
            max_history: 50,
            hidden_size: 64,
            layers: 2,
            heads: 2,
            inner_size: 256,
            dropout: 0.5,
            attention_dropout: 0.5,
            places: PlacesFrom::First,
            prefixes: false,
            loss: LossKind::Softmax,
            negatives: 1,
            train: TrainConfig::default(),
        }
    }
}

impl SasRecConfig {
    /// The sizes of the transformer.
    pub(crate) const fn transformer(&self) -> TransformerConfig {
        TransformerConfig {
            max_history: self.max_history,
            hidden_size: self.hidden_size,
            layers: self.layers,
            heads: self.heads,
            inner_size: self.inner_size,
            dropout: self.dropout,
            attention_dropout: self.attention_dropout,
        }
    }
}

/// `SASRec` (Kang and `McAuley`, [arXiv:1808.09781](https://arxiv.org/abs/1808.09781)).
///
/// ```text
/// E_t  = M[x_t] + P_t                     t = 0 at the first item that is read, by default
/// F⁰   = drop(LN(E))
/// S^l  = LN(F^l + drop(SA(F^l)))          a place attends to itself and those before
/// F^l+1 = LN(S^l + drop(FFN(S^l)))
/// s_j  = F_t · M_j
/// ```
/// Every place is trained to score the next item highest, in one pass over the sequence, or with
/// [`prefixes`](SasRecConfig::prefixes) the last place of every prefix. The paper's loss is
/// [`LossKind::Bce`] with one negative.
///
/// Deviations from the paper, all as in `RecBole`: norms stand after the residual connections instead
/// of before the layers; GELU in the place of `ReLU`, with an inner width of its own; embeddings are not
/// scaled by √D. By default a place is counted from the first item that is read; the paper and its code
/// fill up at the left ([`PlacesFrom::Last`]). Deviation from `RecBole`: a sequence of more than
/// `max_history` items is cut into pieces that share one item, while `RecBole` gives each prefix its own
/// window.
///
/// A change of an item changes no state before it.
#[derive(Debug)]
pub struct SasRec {
    config: SasRecConfig,
    parameters: Parameters,
    items: Tensor,
    positions: Tensor,
    norm: LayerNorm,
    transformer: Transformer,
}

impl SasRec {
    /// A model with fresh weights.
    ///
    /// # Errors
    /// [`NeuralError::Setting`] and [`NeuralError::Torch`].
    pub fn new(
        config: SasRecConfig,
        num_items: usize,
        seed: u64,
        device: Device,
        kind: Kind,
    ) -> Result<Self, NeuralError> {
        let sizes = check_sizes(&config.transformer())?;
        need(config.negatives > 0, "negatives", 0.0, "1 or more")?;
        let mut parameters = Parameters::new(seed, device, kind);
        let width = size(config.hidden_size);
        let p = &mut parameters;
        let items = p.normal("items", &[size(num_items), width], INITIAL_STD)?;
        let positions = p.normal("positions", &[size(config.max_history), width], INITIAL_STD)?;
        let norm = LayerNorm::new(p, "norm", config.hidden_size, NORM_EPS)?;
        let transformer = Transformer::new(p, "layers", config.layers, sizes)?;
        Ok(Self { config, parameters, items, positions, norm, transformer })
    }

    /// The states of all places, `[B, T, D]`.
    pub(crate) fn encode(&self, rows: &Padded, dropout: bool) -> Result<Tensor, NeuralError> {
        self.transformer.forward(&self.inputs(rows, dropout)?, Mask::Causal, dropout) // [B, T, D]
    }

    /// The states after the last items, `[B, D]`.
    fn last(&self, histories: &[&[u32]], dropout: bool) -> Result<Tensor, NeuralError> {
        let rows = Padded::right(histories, self.parameters.device())?;
        self.transformer.at_last(&self.inputs(&rows, dropout)?, Mask::Causal, &rows, dropout)
    }

    /// What the layers read, `[B, T, D]`.
    fn inputs(&self, rows: &Padded, dropout: bool) -> Result<Tensor, NeuralError> {
        let positions = match self.config.places {
            PlacesFrom::First => self.positions.f_narrow(0, 0, rows.width())?, // [T, D]
            PlacesFrom::Last => {
                lookup(&self.positions, &rows.places_from_last(self.config.max_history)?)? // [B, T, D]
            }
        };
        let x = lookup(&self.items, &rows.items)?.f_add(&positions)?; // [B, T, D]
        Ok(self.norm.forward(&x)?.f_dropout(self.config.dropout, dropout)?)
    }
}

impl SequenceModel for SasRec {
    fn num_items(&self) -> usize {
        usize::try_from(self.items.size()[0]).unwrap_or_default()
    }

    fn max_history(&self) -> usize {
        self.config.max_history
    }

    fn lesson(&self) -> Lesson {
        if self.config.prefixes { Lesson::Prefixes } else { Lesson::Positions }
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn loss(&self, rows: &[&[u32]], step: &mut Step) -> Result<Tensor, NeuralError> {
        let SasRecConfig { loss: kind, negatives, .. } = self.config;
        let (dropout, device) = (step.dropout, self.parameters.device());
        let objective = Objective { kind, negatives };
        if self.config.prefixes {
            let encode = |histories: &[&[u32]]| {
                by_length(histories, device, |histories| self.last(histories, dropout))
            };
            return objective.of_last(rows, &self.items, &mut step.rng, encode);
        }
        let encode = |inputs: &Padded, places: &Tensor| {
            at_places(&self.encode(inputs, dropout)?, places) // [M, D]
        };
        objective.of_places(rows, &self.items, &mut step.rng, encode)
    }

    fn states(&self, histories: &[&[u32]]) -> Result<Tensor, NeuralError> {
        self.last(histories, false) // [B, D]
    }

    fn scores(&self, states: &Tensor) -> Result<Tensor, NeuralError> {
        Ok(states.f_linear(&self.items, None::<&Tensor>)?) // [B, N]
    }
}
