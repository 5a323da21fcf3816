//! `FDSA`: attention over items and, beside it, over their attributes.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::attribute_table::AttributeTable;
use super::transformer_config::{TransformerConfig, check_sizes};
use crate::neural::NeuralError;
use crate::neural::attention::Mask;
use crate::neural::error::need;
use crate::neural::layers::{INITIAL_STD, LayerNorm, Linear, NORM_EPS, at_places, lookup};
use crate::neural::loss::LossKind;
use crate::neural::model::{Lesson, SequenceModel, Step};
use crate::neural::objective::Objective;
use crate::neural::padded::{Padded, size};
use crate::neural::parameters::Parameters;
use crate::neural::train_config::TrainConfig;
use crate::neural::transformer::Transformer;
use crate::neural::view::Attributes;

/// Settings of [`Fdsa`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FdsaConfig {
    /// Items of a history that are read, the latest. Range `1..`.
    pub max_history: usize,
    /// Width `D`. Range `1..`, a multiple of `heads`.
    pub hidden_size: usize,
    /// Layers of each of the two transformers. Range `1..`.
    pub layers: usize,
    /// Attention heads. Range `1..`.
    pub heads: usize,
    /// Width of the feed-forward layers. Range `1..`.
    pub inner_size: usize,
    /// Share of activations that is dropped in training. Range `[0, 1)`.
    pub dropout: f64,
    /// Share of attention weights that is dropped in training. Range `[0, 1)`.
    pub attention_dropout: f64,
    /// What a target is compared with.
    pub loss: LossKind,
    /// Items that are drawn for the losses other than `softmax`. Range `1..`.
    pub negatives: usize,
    /// The training loop.
    pub train: TrainConfig,
}

impl Default for FdsaConfig {
    /// `RecBole`'s `FDSA.yaml`: width 64, 2 layers, 2 heads, inner width 256, dropout .5 everywhere, the
    /// mean of an item's attributes, full softmax.
    fn default() -> Self {
        Self {
            max_history: 50,
            hidden_size: 64,
            layers: 2,
            heads: 2,
            inner_size: 256,
            dropout: 0.5,
            attention_dropout: 0.5,
            loss: LossKind::Softmax,
            negatives: 1,
            train: TrainConfig::default(),
        }
    }
}

/// `FDSA` (Zhang et al., IJCAI 2019, "Feature-level Deeper Self-Attention Network for Sequential
/// Recommendation").
///
/// ```text
/// f_t  = mean of the vectors of x_t's attributes
/// O_s  = Trm(drop(LN(M[x] + P)))                 items
/// O_f  = Trm'(drop(LN(f + P)))                   attributes
/// O    = drop(LN([O_s; O_f] W + b))
/// s_j  = O_t · M_j
/// ```
/// As in `RecBole`: both transformers add the same position vectors; categories and brand are one field,
/// so the vanilla attention over fields has nothing to choose; a norm stands after the last layer; the
/// loss is a full softmax (the paper: binary cross-entropy with one negative, [`LossKind::Bce`]).
///
/// A change of an item changes no state before it.
#[derive(Debug)]
pub struct Fdsa {
    config: FdsaConfig,
    parameters: Parameters,
    items: Tensor,
    attributes: AttributeTable,
    positions: Tensor,
    item_norm: LayerNorm,
    attribute_norm: LayerNorm,
    item_layers: Transformer,
    attribute_layers: Transformer,
    join: Linear,
    join_norm: LayerNorm,
}

impl Fdsa {
    /// A model with fresh weights.
    ///
    /// # Errors
    /// [`NeuralError::Attributes`] if there are no attributes or not those of all items;
    /// [`NeuralError::Setting`] and [`NeuralError::Torch`].
    pub fn new(
        config: FdsaConfig,
        num_items: usize,
        attributes: Option<&Attributes>,
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
        need(config.negatives > 0, "negatives", 0.0, "1 or more")?;
        let mut parameters = Parameters::new(seed, device, kind);
        let (hidden, width) = (config.hidden_size, size(config.hidden_size));
        let p = &mut parameters;
        let items = p.normal("items", &[size(num_items), width], INITIAL_STD)?;
        let attributes = AttributeTable::new(p, "fdsa", num_items, attributes, hidden)?;
        let positions = p.normal("positions", &[size(config.max_history), width], INITIAL_STD)?;
        let item_norm = LayerNorm::new(p, "item_norm", hidden, NORM_EPS)?;
        let attribute_norm = LayerNorm::new(p, "attribute_norm", hidden, NORM_EPS)?;
        let item_layers = Transformer::new(p, "item_layers", config.layers, sizes)?;
        let attribute_layers = Transformer::new(p, "attribute_layers", config.layers, sizes)?;
        let join = Linear::new(p, "join", 2 * hidden, hidden)?;
        let join_norm = LayerNorm::new(p, "join.norm", hidden, NORM_EPS)?;
        Ok(Self {
            config,
            parameters,
            items,
            attributes,
            positions,
            item_norm,
            attribute_norm,
            item_layers,
            attribute_layers,
            join,
            join_norm,
        })
    }

    /// What the layers of items and of attributes read, both `[B, T, D]`.
    fn inputs(&self, rows: &Padded, dropout: bool) -> Result<(Tensor, Tensor), NeuralError> {
        let share = self.config.dropout;
        let positions = self.positions.f_narrow(0, 0, rows.width())?; // [T, D]
        let items = lookup(&self.items, &rows.items)?.f_add(&positions)?; // [B, T, D]
        let items = self.item_norm.forward(&items)?.f_dropout(share, dropout)?;
        let known = lookup(&self.attributes.means()?, &rows.items)?.f_add(&positions)?; // [B, T, D]
        let known = self.attribute_norm.forward(&known)?.f_dropout(share, dropout)?;
        Ok((items, known))
    }

    /// From the last layers of both to states, `[M, D]` each → `[M, D]`.
    fn joined(&self, both: &[Tensor; 2], dropout: bool) -> Result<Tensor, NeuralError> {
        let joined = self.join.forward(&Tensor::f_cat(both, 1)?)?;
        Ok(self.join_norm.forward(&joined)?.f_dropout(self.config.dropout, dropout)?)
    }
}

impl SequenceModel for Fdsa {
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
        let FdsaConfig { loss: kind, negatives, .. } = self.config;
        let dropout = step.dropout;
        let encode = |inputs: &Padded, places: &Tensor| {
            let (items, known) = self.inputs(inputs, dropout)?;
            let items = self.item_layers.forward(&items, Mask::Causal, dropout)?; // [B, T, D]
            let known = self.attribute_layers.forward(&known, Mask::Causal, dropout)?;
            self.joined(&[at_places(&items, places)?, at_places(&known, places)?], dropout) // [M, D]
        };
        Objective { kind, negatives }.of_places(rows, &self.items, &mut step.rng, encode)
    }

    fn states(&self, histories: &[&[u32]]) -> Result<Tensor, NeuralError> {
        let rows = Padded::right(histories, self.parameters.device())?;
        let (items, known) = self.inputs(&rows, false)?;
        let items = self.item_layers.at_last(&items, Mask::Causal, &rows, false)?; // [B, D]
        let known = self.attribute_layers.at_last(&known, Mask::Causal, &rows, false)?;
        self.joined(&[items, known], false) // [B, D]
    }

    fn scores(&self, states: &Tensor) -> Result<Tensor, NeuralError> {
        Ok(states.f_linear(&self.items, None::<&Tensor>)?) // [B, N]
    }
}
