//! `S3-Rec`: `SASRec` after four lessons about items, attributes and segments.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Reduction, Tensor};

use super::attribute_table::AttributeTable;
use super::hidden_lessons::HiddenLessons;
use super::transformer_config::{TransformerConfig, check_share, check_sizes};
use crate::neural::NeuralError;
use crate::neural::attention::Mask;
use crate::neural::error::need;
use crate::neural::layers::{INITIAL_STD, LayerNorm, Linear, NORM_EPS, at_places, lookup};
use crate::neural::loss::LossKind;
use crate::neural::model::{Lesson, Pretraining, SequenceModel, Step};
use crate::neural::objective::Objective;
use crate::neural::padded::{Padded, size};
use crate::neural::parameters::Parameters;
use crate::neural::train_config::TrainConfig;
use crate::neural::transformer::Transformer;
use crate::neural::view::Attributes;

/// Settings of [`S3Rec`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct S3RecConfig {
    /// Items of a history that are read, the latest. Range `2..`.
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
    /// Share of the items that pretraining hides. Range `(0, 1)`.
    pub hidden_share: f64,
    /// Weight of the attributes of items that are shown (AAP). Range `[0, ∞)`.
    pub shown_attributes: f64,
    /// Weight of hidden items (MIP). Range `[0, ∞)`.
    pub hidden_items: f64,
    /// Weight of the attributes of hidden items (MAP). Range `[0, ∞)`.
    pub hidden_attributes: f64,
    /// Weight of hidden segments (SP). Range `[0, ∞)`.
    pub segments: f64,
    /// Passes of the pretraining over the sequences; 0 for none.
    pub pretraining_epochs: usize,
    /// Sequences of a step of the pretraining. Range `1..`.
    pub pretraining_batch: usize,
    /// What a target is compared with in the training proper.
    pub loss: LossKind,
    /// Items that are drawn for the losses other than `softmax`. Range `1..`.
    pub negatives: usize,
    /// The training loop.
    pub train: TrainConfig,
}

impl Default for S3RecConfig {
    /// `RecBole`'s `S3Rec.yaml`, which has the authors' weights (AAP .2, MIP 1, MAP 1, SP .5), a fifth hidden,
    /// and the sizes of its `SASRec`; full softmax. `RecBole` pretrains for 500 epochs; the authors choose the
    /// length on the validation users; 100 are a compromise of this library.
    fn default() -> Self {
        Self {
            max_history: 50,
            hidden_size: 64,
            layers: 2,
            heads: 2,
            inner_size: 256,
            dropout: 0.5,
            attention_dropout: 0.5,
            hidden_share: 0.2,
            shown_attributes: 0.2,
            hidden_items: 1.0,
            hidden_attributes: 1.0,
            segments: 0.5,
            pretraining_epochs: 100,
            pretraining_batch: 256,
            loss: LossKind::Softmax,
            negatives: 1,
            train: TrainConfig::default(),
        }
    }
}

/// `S3-Rec` (Zhou et al., CIKM 2020, [arXiv:2008.07873](https://arxiv.org/abs/2008.07873)).
///
/// ```text
/// AAP = −Σ_a [y log σ(F_tᵀ W₁ e_a) + (1 − y) log(1 − σ(…))]   shown places, y: item has a
/// MIP = −log σ( F_tᵀ W₂ (M_right − M_drawn) )                 hidden places
/// MAP = as AAP with W₃                                        hidden places
/// SP  = −log σ( s_cᵀ W₄ (s_right − s_drawn) )                 hidden segments
/// ```
/// `F` are the states of a row with some items hidden, where every place attends to all; `s` the states
/// of the last places of the row without a segment, of the segment alone, and of another row's segment.
/// After this pretraining the model is [`SasRec`](crate::neural::SasRec) with these weights.
///
/// As in `RecBole`'s code: the products `W` are linear layers with biases, and MIP and SP have a σ within
/// their σ, that is σ(σ(right) − σ(drawn)). Deviations from it: losses are summed over the places and
/// divided by the number of rows (there by none, which Adam levels out); a drawn segment is of another
/// row of the step and of the same length (there: of any place in the batch); rows are filled up at the
/// right; sequences are whole users, not prefixes.
///
/// In the pretraining a place sees the items after it, within training sequences alone. After that, a
/// change of an item changes no state before it.
#[derive(Debug)]
pub struct S3Rec {
    config: S3RecConfig,
    parameters: Parameters,
    /// `[N + 1, D]`: the last row stands for a hidden item.
    items: Tensor,
    attributes: AttributeTable,
    positions: Tensor,
    norm: LayerNorm,
    transformer: Transformer,
    /// W₁ to W₄.
    products: [Linear; 4],
    num_items: usize,
}

impl S3Rec {
    /// A model with fresh weights.
    ///
    /// # Errors
    /// [`NeuralError::Attributes`] if there are no attributes or not those of all items;
    /// [`NeuralError::Setting`] and [`NeuralError::Torch`].
    pub fn new(
        config: S3RecConfig,
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
        need(config.max_history > 1, "max_history", config.max_history as f64, "2 or more")?;
        need(config.negatives > 0, "negatives", 0.0, "1 or more")?;
        need(config.pretraining_batch > 0, "pretraining_batch", 0.0, "1 or more")?;
        need(config.hidden_share > 0.0, "hidden_share", config.hidden_share, "a number in (0, 1)")?;
        check_share("hidden_share", config.hidden_share)?;
        for (field, weight) in [
            ("shown_attributes", config.shown_attributes),
            ("hidden_items", config.hidden_items),
            ("hidden_attributes", config.hidden_attributes),
            ("segments", config.segments),
        ] {
            need(weight >= 0.0 && weight.is_finite(), field, weight, "0 or more")?;
        }
        let mut parameters = Parameters::new(seed, device, kind);
        let (hidden, width) = (config.hidden_size, size(config.hidden_size));
        let p = &mut parameters;
        let items = p.normal("items", &[size(num_items) + 1, width], INITIAL_STD)?;
        let attributes = AttributeTable::new(p, "s3rec", num_items, attributes, hidden)?;
        let positions = p.normal("positions", &[size(config.max_history), width], INITIAL_STD)?;
        let norm = LayerNorm::new(p, "norm", hidden, NORM_EPS)?;
        let transformer = Transformer::new(p, "layers", config.layers, sizes)?;
        let mut product = |name| Linear::new(p, name, hidden, hidden);
        let products = [
            product("shown_attributes")?,
            product("hidden_items")?,
            product("hidden_attributes")?,
            product("segments")?,
        ];
        Ok(Self {
            config,
            parameters,
            items,
            attributes,
            positions,
            norm,
            transformer,
            products,
            num_items,
        })
    }

    /// The states of all places, `[B, T, D]`.
    fn encode(&self, rows: &Padded, mask: Mask<'_>, dropout: bool) -> Result<Tensor, NeuralError> {
        self.transformer.forward(&self.inputs(rows, dropout)?, mask, dropout) // [B, T, D]
    }

    /// What the layers read, `[B, T, D]`.
    fn inputs(&self, rows: &Padded, dropout: bool) -> Result<Tensor, NeuralError> {
        let positions = self.positions.f_narrow(0, 0, rows.width())?; // [T, D]
        let x = lookup(&self.items, &rows.items)?.f_add(&positions)?; // [B, T, D]
        Ok(self.norm.forward(&x)?.f_dropout(self.config.dropout, dropout)?)
    }

    /// The states of all places of rows that are read from both sides, `[M, D]`, row after row, and those
    /// of the last places, `[B, D]`.
    fn both_sides(
        &self,
        rows: &[Vec<u32>],
        dropout: bool,
    ) -> Result<(Tensor, Tensor), NeuralError> {
        let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        let rows = Padded::right(&rows, self.parameters.device())?;
        let closed = rows.closed(self.parameters.kind())?; // [B, 1, 1, T]
        let states = self.encode(&rows, Mask::Added(&closed), dropout)?;
        Ok((at_places(&states, &rows.places()?)?, at_places(&states, &rows.last()?)?))
    }

    /// The items: `[N, D]`.
    fn answers(&self) -> Result<Tensor, NeuralError> {
        Ok(self.items.f_narrow(0, 0, size(self.num_items))?)
    }

    /// The summed loss of telling the attributes of items from states `[M, D]`.
    fn attribute_loss(
        &self,
        product: &Linear,
        states: &Tensor,
        items: &[u32],
    ) -> Result<Tensor, NeuralError> {
        let scores = product.forward(states)?; // [M, D]
        let scores = scores.f_linear(&self.attributes.vectors, None::<&Tensor>)?; // [M, A]
        let (kind, device) = (self.parameters.kind(), self.parameters.device());
        let has = self.attributes.has(items, kind, device)?;
        let none = None::<&Tensor>;
        Ok(scores.f_binary_cross_entropy_with_logits(&has, none, none, Reduction::Sum)?)
    }

    /// The number that stands for a hidden item.
    fn hidden(&self) -> u32 {
        u32::try_from(self.num_items).unwrap_or(u32::MAX)
    }
}

/// The summed −log σ(σ(x·right) − σ(x·drawn)) of vectors `[M, D]`.
fn pair_loss(x: &Tensor, right: &Tensor, drawn: &Tensor) -> Result<Tensor, NeuralError> {
    let score = |with: &Tensor| x.f_mul(with)?.f_sum_dim_intlist([1].as_slice(), false, None);
    let distance = score(right)?.f_sigmoid()?.f_sub(&score(drawn)?.f_sigmoid()?)?;
    Ok(distance.f_log_sigmoid()?.f_sum(None)?.f_neg()?)
}

impl SequenceModel for S3Rec {
    fn num_items(&self) -> usize {
        self.num_items
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
        let S3RecConfig { loss: kind, negatives, .. } = self.config;
        let dropout = step.dropout;
        let encode = |inputs: &Padded, places: &Tensor| {
            at_places(&self.encode(inputs, Mask::Causal, dropout)?, places) // [M, D]
        };
        Objective { kind, negatives }.of_places(rows, &self.answers()?, &mut step.rng, encode)
    }

    fn states(&self, histories: &[&[u32]]) -> Result<Tensor, NeuralError> {
        let rows = Padded::right(histories, self.parameters.device())?;
        self.transformer.at_last(&self.inputs(&rows, false)?, Mask::Causal, &rows, false) // [B, D]
    }

    fn scores(&self, states: &Tensor) -> Result<Tensor, NeuralError> {
        Ok(states.f_linear(&self.answers()?, None::<&Tensor>)?) // [B, N]
    }

    fn pretraining(&self) -> Option<Pretraining> {
        let S3RecConfig { pretraining_epochs: epochs, pretraining_batch: batch_size, .. } =
            self.config;
        let lr = self.config.train.lr;
        (epochs > 0).then_some(Pretraining { epochs, batch_size, lr })
    }

    fn pretraining_loss(&self, rows: &[&[u32]], step: &mut Step) -> Result<Tensor, NeuralError> {
        let hidden = HiddenLessons::of(rows, self.config.hidden_share, self.hidden(), step);
        let device = self.parameters.device();
        let here = |numbers: &[i64]| -> Result<Tensor, NeuralError> {
            Ok(Tensor::f_from_slice(numbers)?.f_to_device(device)?)
        };
        let (states, _) = self.both_sides(&hidden.rows, step.dropout)?; // [M, D]
        let shown = states.f_index_select(0, &here(&hidden.shown.0)?)?;
        let masked = states.f_index_select(0, &here(&hidden.hidden.0)?)?;
        let [of_shown, of_items, of_hidden, of_segments] = &self.products;
        let aap = self.attribute_loss(of_shown, &shown, &hidden.shown.1)?;
        let map = self.attribute_loss(of_hidden, &masked, &hidden.hidden.1)?;
        let right: Vec<i64> = hidden.hidden.1.iter().map(|item| i64::from(*item)).collect();
        let right = lookup(&self.items, &here(&right)?)?;
        let drawn = lookup(&self.items, &here(&hidden.drawn)?)?;
        let mip = pair_loss(&of_items.forward(&masked)?, &right, &drawn)?;
        let (_, context) = self.both_sides(&hidden.without, step.dropout)?; // [B, D]
        let (_, right) = self.both_sides(&hidden.right, step.dropout)?;
        let (_, other) = self.both_sides(&hidden.other, step.dropout)?;
        let sp = pair_loss(&of_segments.forward(&context)?, &right, &other)?;
        let config = &self.config;
        let sum = aap
            .f_mul_scalar(config.shown_attributes)?
            .f_add(&mip.f_mul_scalar(config.hidden_items)?)?
            .f_add(&map.f_mul_scalar(config.hidden_attributes)?)?
            .f_add(&sp.f_mul_scalar(config.segments)?)?;
        Ok(sum.f_div_scalar(rows.len().max(1) as f64)?)
    }
}
