//! `ReaRec`: `SASRec` that reasons in its own states before it answers.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::transformer_config::{TransformerConfig, check_share, check_sizes};
use crate::neural::NeuralError;
use crate::neural::attention::Mask;
use crate::neural::error::need;
use crate::neural::grouped::by_length;
use crate::neural::layers::{INITIAL_STD, LayerNorm, NORM_EPS, at_places, lookup};
use crate::neural::model::{Lesson, SequenceModel, Step};
use crate::neural::padded::{Padded, size, without_last};
use crate::neural::parameters::Parameters;
use crate::neural::softmax::{Scored, cross_entropy};
use crate::neural::train_config::TrainConfig;
use crate::neural::transformer::Transformer;

/// How the steps of reasoning are trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReasoningMethod {
    /// Ensemble reasoning: the mean of all steps answers, and the steps are driven apart.
    #[default]
    Erl,
    /// Progressive reasoning: the last step answers, and each step is sharper than the one before.
    Prl,
}

/// Settings of [`ReaRec`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReaRecConfig {
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
    /// Share of activations and attention weights that is dropped in training. Range `[0, 1)`.
    pub dropout: f64,
    /// Share of the numbers of the inputs that is dropped in training. Range `[0, 1)`.
    pub input_dropout: f64,
    /// What scores are divided by. Range `(0, ∞)`.
    pub temperature: f64,
    /// Steps of reasoning, `K`. Range `1..`.
    pub steps: usize,
    /// How the steps are trained.
    pub method: ReasoningMethod,
    /// ERL: weight of the divergence of the steps. Range `[0, ∞)`.
    pub divergence: f64,
    /// PRL: how much warmer each earlier step is. Range `[1, ∞)`.
    pub warmer: f64,
    /// PRL: weight of the answers of the earlier steps. Range `[0, ∞)`.
    pub earlier: f64,
    /// PRL: weight of the contrast with reasoning under noise. Range `[0, ∞)`.
    pub contrast: f64,
    /// PRL: standard deviation of the noise. Range `[0, ∞)`.
    pub noise: f64,
    /// PRL: epochs before the contrast begins.
    pub warmup: usize,
    /// The training loop.
    pub train: TrainConfig,
}

impl Default for ReaRecConfig {
    /// The defaults of the authors' code: width 256, 2 layers, 2 heads, inner width 300, dropout .5 (.2 of
    /// the inputs), temperature .07, 2 steps; ERL with divergence .05; PRL five times warmer a step, weights
    /// 1, noise .01 from the third epoch on.
    fn default() -> Self {
        Self {
            max_history: 50,
            hidden_size: 256,
            layers: 2,
            heads: 2,
            inner_size: 300,
            dropout: 0.5,
            input_dropout: 0.2,
            temperature: 0.07,
            steps: 2,
            method: ReasoningMethod::Erl,
            divergence: 0.05,
            warmer: 5.0,
            earlier: 1.0,
            contrast: 1.0,
            noise: 0.01,
            warmup: 3,
            train: TrainConfig::default(),
        }
    }
}

/// `ReaRec` over `SASRec` (Tang et al., [arXiv:2503.22675](https://arxiv.org/abs/2503.22675)).
///
/// ```text
/// r_0 = state of the last item, as in SASRec
/// r_k = Trm([items, x_1 .. x_k])_last       x_k = drop(LN(r_k-1 + R_k)), R: positions of reasoning
///
/// ERL: s_j = mean_k(r_k) · M_j / τ          loss = CE(s) − λ mean_{i≠k} KL(p_k ‖ p_i)
/// PRL: s_j = r_K · M_j / τ                  loss = CE(s) + a mean_{k<K} CE(r_k · M / (τ α^(K−k)))
///                                                + c mean_k CE(r̃_k · r_k' / τ over the rows)
/// ```
/// `p_k` is the softmax of step `k`, and `p_i` is held fixed; r̃ are the steps with noise on their inputs,
/// and the right answer among the rows of the step is the row itself. These are the losses of the
/// authors' code. Deviation from it: the steps with noise share the states (and the dropout) of the items
/// with those without.
///
/// The model is trained on prefixes, each with the item that follows it, and reads nothing after them.
#[derive(Debug)]
pub struct ReaRec {
    config: ReaRecConfig,
    parameters: Parameters,
    items: Tensor,
    positions: Tensor,
    /// `[K, D]`.
    reasoning: Tensor,
    norm: LayerNorm,
    transformer: Transformer,
}

impl ReaRec {
    /// A model with fresh weights.
    ///
    /// # Errors
    /// [`NeuralError::Setting`] and [`NeuralError::Torch`].
    pub fn new(
        config: ReaRecConfig,
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
            attention_dropout: config.dropout,
        })?;
        need(config.steps > 0, "steps", 0.0, "1 or more")?;
        check_share("input_dropout", config.input_dropout)?;
        let temperature = config.temperature;
        need(temperature > 0.0 && temperature.is_finite(), "temperature", temperature, "above 0")?;
        let warmer = config.warmer;
        need(warmer >= 1.0 && warmer.is_finite(), "warmer", warmer, "1 or more")?;
        for (field, value) in [
            ("divergence", config.divergence),
            ("earlier", config.earlier),
            ("contrast", config.contrast),
            ("noise", config.noise),
        ] {
            need(value >= 0.0 && value.is_finite(), field, value, "0 or more")?;
        }
        let mut parameters = Parameters::new(seed, device, kind);
        let (hidden, width) = (config.hidden_size, size(config.hidden_size));
        let p = &mut parameters;
        let items = p.normal("items", &[size(num_items), width], INITIAL_STD)?;
        let positions = p.normal("positions", &[size(config.max_history), width], INITIAL_STD)?;
        let reasoning = p.normal("reasoning", &[size(config.steps), width], INITIAL_STD)?;
        let norm = LayerNorm::new(p, "norm", hidden, NORM_EPS)?;
        let transformer = Transformer::new(p, "layers", config.layers, sizes)?;
        Ok(Self { config, parameters, items, positions, reasoning, norm, transformer })
    }

    /// The norm and dropout of all inputs.
    fn input(&self, x: &Tensor, dropout: bool) -> Result<Tensor, NeuralError> {
        Ok(self.norm.forward(x)?.f_dropout(self.config.input_dropout, dropout)?)
    }

    /// The steps `r_0` to `r_K`, `[B, K + 1, D]`; with `noise` also `r_1` to `r_K` under noise of this
    /// standard deviation, `[B, K, D]`.
    fn reason(
        &self,
        histories: &[&[u32]],
        noise: Option<f64>,
        dropout: bool,
    ) -> Result<(Tensor, Option<Tensor>), NeuralError> {
        let rows = Padded::right(histories, self.parameters.device())?;
        let (kind, device) = (self.parameters.kind(), self.parameters.device());
        let positions = self.positions.f_narrow(0, 0, rows.width())?; // [T, D]
        let x = self.input(&lookup(&self.items, &rows.items)?.f_add(&positions)?, dropout)?;
        let (mut inputs, states) = self.transformer.inputs(&x, Mask::Causal, dropout)?; // [B, T, D]
        let mut last = at_places(&states, &rows.last()?)?.f_unsqueeze(1)?; // [B, 1, D]
        let mut noisy_inputs: Vec<Tensor> = inputs.iter().map(Tensor::shallow_clone).collect();
        let (mut steps, mut perturbed) = (vec![last.shallow_clone()], Vec::new());
        let mut mask = rows.closed(kind)?; // [B, 1, 1, T]
        let open = Tensor::f_zeros([rows.rows(), 1, 1, 1], (kind, device))?;
        for step in 0..size(self.config.steps) {
            mask = Tensor::f_cat(&[&mask, &open], 3)?; // [B, 1, 1, T + step + 1]
            let x = last.f_add(&self.reasoning.f_narrow(0, step, 1)?)?; // [B, 1, D]
            let added = Mask::Added(&mask);
            if let Some(noise) = noise {
                let x = x.f_add(&x.f_randn_like()?.f_mul_scalar(noise)?)?;
                let x = self.input(&x, dropout)?;
                perturbed.push(self.transformer.extend(&mut noisy_inputs, &x, added, dropout)?);
            }
            let x = self.input(&x, dropout)?;
            last = self.transformer.extend(&mut inputs, &x, added, dropout)?;
            steps.push(last.shallow_clone());
        }
        let perturbed = noise.map(|_| Tensor::f_cat(&perturbed, 1)).transpose()?;
        Ok((Tensor::f_cat(&steps, 1)?, perturbed))
    }

    /// The steps' answer: `[B, K + 1, D]` → `[B, D]`.
    fn answer(&self, steps: &Tensor) -> Result<Tensor, NeuralError> {
        Ok(match self.config.method {
            ReasoningMethod::Erl => steps.f_mean_dim([1].as_slice(), false, None)?,
            ReasoningMethod::Prl => steps.f_select(1, -1)?,
        })
    }

    /// The mean loss of answers `[B, D]` at `warmth` times the temperature.
    fn loss_of(
        &self,
        answers: &Tensor,
        warmth: f64,
        targets: &Tensor,
    ) -> Result<Tensor, NeuralError> {
        let states = answers.f_div_scalar(self.config.temperature * warmth)?;
        Scored { states: &states, items: &self.items, bias: None, targets }.softmax()
    }

    /// The mean divergence of pairs of different steps.
    fn divergence(&self, steps: &Tensor) -> Result<Tensor, NeuralError> {
        let count = steps.size3()?.1;
        let log = self.scores(steps)?.f_log_softmax(-1, None)?; // [B, K + 1, N]
        let share = log.f_exp()?;
        let own = share.f_mul(&log)?.f_sum_dim_intlist([2].as_slice(), false, None)?; // [B, K + 1]
        let cross = log.detach().f_matmul(&share.f_transpose(1, 2)?)?; // [B, fixed, moved]
        let all = own.f_unsqueeze(1)?.f_sub(&cross)?; // KL(p_moved ‖ p_fixed)
        let options = (self.parameters.kind(), self.parameters.device());
        let others =
            Tensor::f_ones([count, count], options)?.f_sub(&Tensor::f_eye(count, options)?)?;
        let pairs = (steps.size3()?.0 * count * (count - 1)) as f64;
        Ok(all.f_mul(&others)?.f_sum(None)?.f_div_scalar(pairs)?)
    }

    /// The mean loss of the earlier steps, each at its own temperature.
    fn earlier(&self, steps: &Tensor, targets: &Tensor) -> Result<Tensor, NeuralError> {
        let count = self.config.steps;
        let mut losses = Vec::with_capacity(count);
        let mut warmth = 1.0;
        for step in (0..size(count)).rev() {
            warmth *= self.config.warmer;
            losses.push(self.loss_of(&steps.f_select(1, step)?, warmth, targets)?);
        }
        Ok(Tensor::f_stack(&losses, 0)?.f_mean(None)?)
    }

    /// The mean loss of finding each row's own step among those of all rows.
    fn contrast(&self, steps: &Tensor, noisy: &Tensor) -> Result<Tensor, NeuralError> {
        let options = (Kind::Int64, self.parameters.device());
        let rows = Tensor::f_arange(steps.size3()?.0, options)?;
        let mut losses = Vec::with_capacity(self.config.steps);
        for step in 0..size(self.config.steps) {
            let scores =
                noisy.f_select(1, step)?.f_matmul(&steps.f_select(1, step + 1)?.f_tr()?)?;
            losses.push(cross_entropy(&scores.f_div_scalar(self.config.temperature)?, &rows)?);
        }
        Ok(Tensor::f_stack(&losses, 0)?.f_mean(None)?)
    }
}

impl SequenceModel for ReaRec {
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
        let (histories, targets) = without_last(rows, self.parameters.device())?;
        let config = &self.config;
        let progressive = config.method == ReasoningMethod::Prl;
        let contrasts = progressive && config.contrast > 0.0 && step.epoch >= config.warmup;
        let noise = contrasts.then_some(config.noise);
        let all = by_length(&histories, self.parameters.device(), |histories| {
            let (steps, perturbed) = self.reason(histories, noise, step.dropout)?;
            let all: Vec<Tensor> = [steps].into_iter().chain(perturbed).collect();
            Ok(Tensor::f_cat(&all, 1)?)
        })?; // [B, K + 1, D], with noise [B, 2 K + 1, D]
        let count = size(config.steps);
        let steps = all.f_narrow(1, 0, count + 1)?;
        let perturbed = noise.map(|_| all.f_narrow(1, count + 1, count)).transpose()?;
        let loss = self.loss_of(&self.answer(&steps)?, 1.0, &targets)?;
        if !progressive {
            let apart = self.divergence(&steps)?.f_mul_scalar(config.divergence)?;
            return Ok(loss.f_sub(&apart)?);
        }
        let earlier = self.earlier(&steps, &targets)?.f_mul_scalar(config.earlier)?;
        let loss = loss.f_add(&earlier)?;
        Ok(match perturbed {
            None => loss,
            Some(perturbed) => {
                loss.f_add(&self.contrast(&steps, &perturbed)?.f_mul_scalar(config.contrast)?)?
            }
        })
    }

    fn states(&self, histories: &[&[u32]]) -> Result<Tensor, NeuralError> {
        self.answer(&self.reason(histories, None, false)?.0) // [B, D]
    }

    fn scores(&self, states: &Tensor) -> Result<Tensor, NeuralError> {
        let scores = states.f_linear(&self.items, None::<&Tensor>)?; // [B, N]
        Ok(scores.f_div_scalar(self.config.temperature)?)
    }
}
