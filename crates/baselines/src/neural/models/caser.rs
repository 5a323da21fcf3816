//! `Caser`: convolutions over the latest items.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::transformer_config::check_share;
use crate::neural::NeuralError;
use crate::neural::error::need;
use crate::neural::layers::{Linear, lookup};
use crate::neural::loss::LossKind;
use crate::neural::model::{Lesson, SequenceModel, Step};
use crate::neural::objective::Objective;
use crate::neural::padded::{Padded, size};
use crate::neural::parameters::Parameters;
use crate::neural::train_config::TrainConfig;

/// Settings of [`Caser`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CaserConfig {
    /// Items that are read, `L`. Range `1..`.
    pub max_history: usize,
    /// Width `D`. Range `1..`.
    pub embedding_size: usize,
    /// Horizontal filters of each height. Range `1..`.
    pub horizontal: usize,
    /// Vertical filters. Range `1..`.
    pub vertical: usize,
    /// Share of the filters' outputs that is dropped in training. Range `[0, 1)`.
    pub dropout: f64,
    /// What a target is compared with.
    pub loss: LossKind,
    /// Items that are drawn for the losses other than `softmax`. Range `1..`.
    pub negatives: usize,
    /// The training loop.
    pub train: TrainConfig,
}

impl Default for CaserConfig {
    /// The authors' `train_caser.py`: 5 items, 16 horizontal filters of each height, 4 vertical ones, dropout
    /// .5, and 1e-6 of the squared norm of the weights. As in `RecBole`'s `Caser.yaml`, the width is 64 (the
    /// authors': 50) and the loss a full softmax; its 8 horizontal filters, dropout .4 and a penalty of 1e-4
    /// on the norms are for rows of 50 items.
    fn default() -> Self {
        Self {
            max_history: 5,
            embedding_size: 64,
            horizontal: 16,
            vertical: 4,
            dropout: 0.5,
            loss: LossKind::Softmax,
            negatives: 1,
            train: TrainConfig { weight_decay: 1e-6, ..TrainConfig::default() },
        }
    }
}

/// `Caser` (Tang and Wang, WSDM 2018, [arXiv:1809.07426](https://arxiv.org/abs/1809.07426)).
///
/// ```text
/// E     = M[x]                                   [L, D], zeros before the history
/// c^h_k = relu(E[t..t+h] · F^k + b)              for each height h = 1..L and filter k
/// o     = max_t c^h_k
/// õ_k   = Σ_l F̃^k_l E_l + b                      vertical filters
/// z     = relu(W drop([õ; o]) + b)
/// s_j   = relu(W' z + b') · M_j
/// ```
/// Deviations from the paper: there is no vector of the user, because a recommender here scores from a
/// history alone (so new users are served too); as in `RecBole`, the items have one table for inputs and
/// scores, and the loss is a full softmax in the place of binary cross-entropy with three negatives, with
/// the next item as the only target.
///
/// The model is trained on prefixes, each with the item that follows it, and reads nothing after them.
#[derive(Debug)]
pub struct Caser {
    config: CaserConfig,
    parameters: Parameters,
    items: Tensor,
    /// For each height `h`: `[h · D → filters]`.
    horizontal: Vec<Linear>,
    /// `[L → filters]`.
    vertical: Linear,
    first: Linear,
    second: Linear,
}

impl Caser {
    /// A model with fresh weights: items as in `RecBole`, the rest as PyTorch draws them.
    ///
    /// # Errors
    /// [`NeuralError::Setting`] and [`NeuralError::Torch`].
    pub fn new(
        config: CaserConfig,
        num_items: usize,
        seed: u64,
        device: Device,
        kind: Kind,
    ) -> Result<Self, NeuralError> {
        let (places, width) = (config.max_history, config.embedding_size);
        for (field, count) in [
            ("max_history", places),
            ("embedding_size", width),
            ("horizontal", config.horizontal),
            ("vertical", config.vertical),
            ("negatives", config.negatives),
        ] {
            need(count > 0, field, 0.0, "1 or more")?;
        }
        check_share("dropout", config.dropout)?;
        let mut parameters = Parameters::new(seed, device, kind);
        let p = &mut parameters;
        let items = p.normal("items", &[size(num_items), size(width)], 1.0 / width as f64)?;
        let horizontal = (1..=places)
            .map(|h| Linear::uniform(p, &format!("horizontal.{h}"), h * width, config.horizontal))
            .collect::<Result<_, _>>()?;
        let vertical = Linear::uniform(p, "vertical", places, config.vertical)?;
        let filters = config.vertical * width + config.horizontal * places;
        let first = Linear::uniform(p, "first", filters, width)?;
        let second = Linear::uniform(p, "second", width, width)?;
        Ok(Self { config, parameters, items, horizontal, vertical, first, second })
    }

    /// `[B, D]`.
    fn encode(&self, histories: &[&[u32]], dropout: bool) -> Result<Tensor, NeuralError> {
        let rows = Padded::left(histories, self.config.max_history, self.parameters.device())?;
        let real = rows.real()?.f_to_kind(self.parameters.kind())?.f_unsqueeze(2)?; // [B, L, 1]
        let x = lookup(&self.items, &rows.items)?.f_mul(&real)?; // [B, L, D]
        let mut found = Vec::with_capacity(1 + self.horizontal.len());
        let columns = self.vertical.forward(&x.f_transpose(1, 2)?)?; // [B, D, V]
        found.push(columns.f_transpose(1, 2)?.f_flatten(1, 2)?); // [B, V · D]
        for (height, filters) in (1..).zip(&self.horizontal) {
            let windows = x.f_unfold(1, height, 1)?.f_transpose(2, 3)?; // [B, L − h + 1, h, D]
            let found_here = filters.forward(&windows.f_flatten(2, 3)?)?.f_relu()?; // [B, L − h + 1, K]
            found.push(found_here.f_amax([1].as_slice(), false)?); // [B, K]
        }
        let all = Tensor::f_cat(&found, 1)?.f_dropout(self.config.dropout, dropout)?;
        let z = self.first.forward(&all)?.f_relu()?; // [B, D]
        Ok(self.second.forward(&z)?.f_relu()?)
    }
}

impl SequenceModel for Caser {
    fn num_items(&self) -> usize {
        usize::try_from(self.items.size()[0]).unwrap_or_default()
    }

    fn max_history(&self) -> usize {
        self.config.max_history
    }

    fn lesson(&self) -> Lesson {
        Lesson::Prefixes
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn loss(&self, rows: &[&[u32]], step: &mut Step) -> Result<Tensor, NeuralError> {
        let CaserConfig { loss: kind, negatives, .. } = self.config;
        let dropout = step.dropout;
        let encode = |histories: &[&[u32]]| self.encode(histories, dropout);
        Objective { kind, negatives }.of_last(rows, &self.items, &mut step.rng, encode)
    }

    fn states(&self, histories: &[&[u32]]) -> Result<Tensor, NeuralError> {
        self.encode(histories, false)
    }

    fn scores(&self, states: &Tensor) -> Result<Tensor, NeuralError> {
        Ok(states.f_linear(&self.items, None::<&Tensor>)?) // [B, N]
    }
}
