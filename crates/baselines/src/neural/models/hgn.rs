//! `HGN`: gates choose features and items of the latest history.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::neural::NeuralError;
use crate::neural::error::need;
use crate::neural::layers::{Linear, lookup};
use crate::neural::loss::LossKind;
use crate::neural::model::{Lesson, SequenceModel, Step};
use crate::neural::objective::Objective;
use crate::neural::padded::{Padded, size};
use crate::neural::parameters::Parameters;
use crate::neural::train_config::TrainConfig;

/// Settings of [`Hgn`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HgnConfig {
    /// Items that are read, `L`. Range `1..`.
    pub max_history: usize,
    /// Width `D`. Range `1..`.
    pub embedding_size: usize,
    /// What a target is compared with.
    pub loss: LossKind,
    /// Items that are drawn for the losses other than `softmax`. Range `1..`.
    pub negatives: usize,
    /// The training loop.
    pub train: TrainConfig,
}

impl Default for HgnConfig {
    /// `RecBole`'s `HGN.yaml`: width 64, 50 items, mean pooling, full softmax, no penalty of weights. The
    /// paper reads 5 items and has the loss `bpr`.
    fn default() -> Self {
        Self {
            max_history: 50,
            embedding_size: 64,
            loss: LossKind::Softmax,
            negatives: 1,
            train: TrainConfig::default(),
        }
    }
}

/// `HGN` (Ma et al., KDD 2019, [arXiv:1906.09217](https://arxiv.org/abs/1906.09217)).
///
/// ```text
/// S   = M[x]                                     [L, D]
/// u   = mean of S over the items                 (in the paper: the vector of the user)
/// S_F = S ⊙ σ(S W₁ + u W₂ + b)                   which features
/// g   = σ(S_F w₃ + u W₄)                         which items, [L]
/// p   = Σ_l g_l S_F,l / Σ_l g_l                  mean pooling
/// s_j = (u + p + Σ_l S_l) · Q_j
/// ```
/// Deviations from the paper: the mean of the items read stands for the user, because a recommender here
/// scores from a history alone; as in `RecBole`, the mean is over the sum of the gates and the loss is a
/// full softmax. Deviation from `RecBole`: empty places have no gate.
///
/// The model is trained on prefixes, each with the item that follows it, and reads nothing after them.
#[derive(Debug)]
pub struct Hgn {
    config: HgnConfig,
    parameters: Parameters,
    items: Tensor,
    /// `[N, D]`: the items as answers, `Q`.
    answers: Tensor,
    feature_items: Linear,
    feature_user: Linear,
    /// `[1, D]`.
    instance_items: Tensor,
    /// `[L, D]`.
    instance_user: Tensor,
}

impl Hgn {
    /// A model with fresh weights, drawn as in `RecBole`.
    ///
    /// # Errors
    /// [`NeuralError::Setting`] and [`NeuralError::Torch`].
    pub fn new(
        config: HgnConfig,
        num_items: usize,
        seed: u64,
        device: Device,
        kind: Kind,
    ) -> Result<Self, NeuralError> {
        let (places, hidden) = (config.max_history, config.embedding_size);
        for (field, count) in
            [("max_history", places), ("embedding_size", hidden), ("negatives", config.negatives)]
        {
            need(count > 0, field, 0.0, "1 or more")?;
        }
        let mut parameters = Parameters::new(seed, device, kind);
        let p = &mut parameters;
        let (rows, width, std) = (size(num_items), size(hidden), 1.0 / hidden as f64);
        let items = p.normal("items", &[rows, width], std)?;
        let answers = p.normal("answers", &[rows, width], std)?;
        let feature_items = Linear::xavier(p, "feature.items", hidden, hidden)?;
        let feature_user = Linear::xavier(p, "feature.user", hidden, hidden)?;
        let bound = |out: usize| (6.0 / (hidden + out) as f64).sqrt();
        let instance_items = p.uniform("instance.items", &[1, width], bound(1))?;
        let instance_user = p.uniform("instance.user", &[size(places), width], bound(places))?;
        Ok(Self {
            config,
            parameters,
            items,
            answers,
            feature_items,
            feature_user,
            instance_items,
            instance_user,
        })
    }

    /// `[B, D]`.
    fn encode(&self, histories: &[&[u32]]) -> Result<Tensor, NeuralError> {
        let rows = Padded::left(histories, self.config.max_history, self.parameters.device())?;
        let kind = self.parameters.kind();
        let real = rows.real()?.f_to_kind(kind)?; // [B, L]
        let x = lookup(&self.items, &rows.items)?.f_mul(&real.f_unsqueeze(2)?)?; // [B, L, D]
        let over_places = |x: &Tensor| x.f_sum_dim_intlist([1].as_slice(), false, None);
        let sum = over_places(&x)?; // [B, D]
        let user = sum.f_div(&rows.lengths(kind)?)?; // [B, D]
        let gate = self.feature_user.forward(&user)?.f_unsqueeze(1)?; // [B, 1, D]
        let gate = self.feature_items.forward(&x)?.f_add(&gate)?.f_sigmoid()?; // [B, L, D]
        let chosen = x.f_mul(&gate)?; // [B, L, D]
        let none = None::<&Tensor>;
        let gate = chosen.f_linear(&self.instance_items, none)?.f_squeeze_dim(2)?; // [B, L]
        let gate = gate.f_add(&user.f_linear(&self.instance_user, none)?)?.f_sigmoid()?;
        let gate = gate.f_mul(&real)?; // [B, L]
        let pooled = over_places(&chosen.f_mul(&gate.f_unsqueeze(2)?)?)?; // [B, D]
        let pooled = pooled.f_div(&over_places(&gate)?.f_unsqueeze(1)?)?; // [B, D]
        Ok(user.f_add(&pooled)?.f_add(&sum)?)
    }
}

impl SequenceModel for Hgn {
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
        let HgnConfig { loss: kind, negatives, .. } = self.config;
        let encode = |histories: &[&[u32]]| self.encode(histories);
        Objective { kind, negatives }.of_last(rows, &self.answers, &mut step.rng, encode)
    }

    fn states(&self, histories: &[&[u32]]) -> Result<Tensor, NeuralError> {
        self.encode(histories)
    }

    fn scores(&self, states: &Tensor) -> Result<Tensor, NeuralError> {
        Ok(states.f_linear(&self.answers, None::<&Tensor>)?) // [B, N]
    }
}
