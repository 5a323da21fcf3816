//! `GRU4Rec`: a gated recurrent network over the items of a history.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::transformer_config::check_share;
use crate::neural::NeuralError;
use crate::neural::error::need;
use crate::neural::layers::{Linear, at_places, lookup};
use crate::neural::loss::LossKind;
use crate::neural::model::{Lesson, SequenceModel, Step};
use crate::neural::objective::Objective;
use crate::neural::padded::{Padded, size};
use crate::neural::parameters::Parameters;
use crate::neural::train_config::TrainConfig;

/// Settings of [`Gru4Rec`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gru4RecConfig {
    /// Items of a history that are read, the latest. Range `1..`.
    pub max_history: usize,
    /// Width `D` of item vectors. Range `1..`.
    pub embedding_size: usize,
    /// Width `G` of the recurrent state. Range `1..`.
    pub hidden_size: usize,
    /// Recurrent layers. Range `1..`.
    pub layers: usize,
    /// Share of the numbers of the item vectors that is dropped in training. Range `[0, 1)`.
    pub dropout: f64,
    /// What a target is compared with.
    pub loss: LossKind,
    /// Items that are drawn for the losses other than `softmax`. Range `1..`.
    pub negatives: usize,
    /// The training loop.
    pub train: TrainConfig,
}

impl Default for Gru4RecConfig {
    /// `RecBole`'s `GRU4Rec.yaml`: width 64, state 128, one layer, dropout .3, 50 items, full softmax.
    fn default() -> Self {
        Self {
            max_history: 50,
            embedding_size: 64,
            hidden_size: 128,
            layers: 1,
            dropout: 0.3,
            loss: LossKind::Softmax,
            negatives: 1,
            train: TrainConfig::default(),
        }
    }
}

/// `GRU4Rec` (Hidasi et al., [arXiv:1511.06939](https://arxiv.org/abs/1511.06939)), as improved by Tan et
/// al. ([arXiv:1606.08117](https://arxiv.org/abs/1606.08117)) with dropout of the inputs.
///
/// ```text
/// e_t = drop(M[x_t])
/// r_t = σ(W_r e_t + U_r h_t-1)        z_t = σ(W_z e_t + U_z h_t-1)
/// n_t = tanh(W_n e_t + r_t ⊙ U_n h_t-1)
/// h_t = (1 − z_t) ⊙ n_t + z_t ⊙ h_t-1
/// s_j = (W h_t + b) · M_j
/// ```
/// The gates have no biases, as in `RecBole`. Deviations from the paper, as in `RecBole`: item vectors in
/// the place of one-hot inputs, the same for inputs and scores; a row is one user's sequence, not a
/// session-parallel batch; the loss is a full softmax in the place of TOP1 or BPR over the batch.
///
/// A change of an item changes no state before it.
#[derive(Debug)]
pub struct Gru4Rec {
    config: Gru4RecConfig,
    parameters: Parameters,
    items: Tensor,
    /// For each layer the weights of inputs `[3G, D]` and states `[3G, G]`: gates r, z, n.
    gates: Vec<Tensor>,
    dense: Linear,
}

impl Gru4Rec {
    /// A model with fresh weights, drawn as in `RecBole` (Xavier).
    ///
    /// # Errors
    /// [`NeuralError::Setting`] and [`NeuralError::Torch`].
    pub fn new(
        config: Gru4RecConfig,
        num_items: usize,
        seed: u64,
        device: Device,
        kind: Kind,
    ) -> Result<Self, NeuralError> {
        let (width, hidden) = (config.embedding_size, config.hidden_size);
        for (field, count) in [
            ("max_history", config.max_history),
            ("embedding_size", width),
            ("hidden_size", hidden),
            ("layers", config.layers),
            ("negatives", config.negatives),
        ] {
            need(count > 0, field, 0.0, "1 or more")?;
        }
        check_share("dropout", config.dropout)?;
        let mut parameters = Parameters::new(seed, device, kind);
        let p = &mut parameters;
        let std = (2.0 / (num_items + width) as f64).sqrt();
        let items = p.normal("items", &[size(num_items), size(width)], std)?;
        let mut gates = Vec::with_capacity(2 * config.layers);
        for layer in 0..config.layers {
            for (name, into) in
                [("input", if layer == 0 { width } else { hidden }), ("state", hidden)]
            {
                let bound = (6.0 / (into + 3 * hidden) as f64).sqrt();
                let shape = [3 * size(hidden), size(into)];
                gates.push(p.uniform(&format!("layers.{layer}.{name}"), &shape, bound)?);
            }
        }
        let dense = Linear::uniform(p, "dense", hidden, width)?;
        Ok(Self { config, parameters, items, gates, dense })
    }

    /// The states of all places, `[B, T, G]`.
    fn encode(&self, rows: &Padded, dropout: bool) -> Result<Tensor, NeuralError> {
        let x = lookup(&self.items, &rows.items)?.f_dropout(self.config.dropout, dropout)?; // [B, T, D]
        let (layers, hidden) = (size(self.config.layers), size(self.config.hidden_size));
        let options = (self.parameters.kind(), self.parameters.device());
        let start = Tensor::f_zeros([layers, rows.rows(), hidden], options)?;
        Ok(x.f_gru(&start, &self.gates, false, layers, 0.0, dropout, false, true)?.0) // [B, T, G]
    }
}

impl SequenceModel for Gru4Rec {
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
        let Gru4RecConfig { loss: kind, negatives, .. } = self.config;
        let dropout = step.dropout;
        let encode = |inputs: &Padded, places: &Tensor| {
            self.dense.forward(&at_places(&self.encode(inputs, dropout)?, places)?) // [M, D]
        };
        Objective { kind, negatives }.of_places(rows, &self.items, &mut step.rng, encode)
    }

    fn states(&self, histories: &[&[u32]]) -> Result<Tensor, NeuralError> {
        let rows = Padded::right(histories, self.parameters.device())?;
        self.dense.forward(&at_places(&self.encode(&rows, false)?, &rows.last()?)?) // [B, D]
    }

    fn scores(&self, states: &Tensor) -> Result<Tensor, NeuralError> {
        Ok(states.f_linear(&self.items, None::<&Tensor>)?) // [B, N]
    }
}
