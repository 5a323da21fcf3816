//! `BERT4Rec`: hidden items are told from both sides.

use rand::Rng as _;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::transformer_config::{TransformerConfig, check_share, check_sizes};
use crate::neural::NeuralError;
use crate::neural::attention::Mask;
use crate::neural::error::need;
use crate::neural::grouped::groups;
use crate::neural::layers::{INITIAL_STD, LayerNorm, Linear, NORM_EPS, at_places, lookup};
use crate::neural::model::{Lesson, SequenceModel, Step};
use crate::neural::padded::{Padded, size};
use crate::neural::parameters::Parameters;
use crate::neural::softmax::Scored;
use crate::neural::train_config::TrainConfig;
use crate::neural::transformer::Transformer;

/// Settings of [`Bert4Rec`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bert4RecConfig {
    /// Places; one of them is for the item that is asked for. Range `2..`.
    pub places: usize,
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
    /// Share of the items that is hidden, at least one. Range `(0, 1)`.
    pub hidden_share: f64,
    /// Share of the rows in which the last item alone is hidden, as in a test. Range `[0, 1]`.
    pub last_share: f64,
    /// How often an epoch shows a sequence, each time with other items hidden. Range `1..`.
    pub copies: usize,
    /// The training loop; its batches are counted in sequences.
    pub train: TrainConfig,
}

impl Default for Bert4RecConfig {
    /// `RecBole`'s `BERT4Rec.yaml`: width 64, 2 layers, 2 heads, inner width 256, dropout .2 everywhere, a
    /// fifth hidden, half of the rows with the last item hidden alone. Ten copies of a sequence are the
    /// authors' (`dupe_factor`); `RecBole` has one row for each prefix instead. The authors' own for Beauty
    /// (`run_beauty.sh`): .6 of the items hidden, dropout .5 of activations and .2 of attention, Adam at 1e-4
    /// for 400,000 steps of 256 sequences.
    fn default() -> Self {
        Self {
            places: 50,
            hidden_size: 64,
            layers: 2,
            heads: 2,
            inner_size: 256,
            dropout: 0.2,
            attention_dropout: 0.2,
            hidden_share: 0.2,
            last_share: 0.5,
            copies: 10,
            train: TrainConfig::default(),
        }
    }
}

/// `BERT4Rec` (Sun et al., [arXiv:1904.06690](https://arxiv.org/abs/1904.06690)).
///
/// ```text
/// H⁰  = drop(LN(M[x] + P))               hidden items have a vector of their own
/// H^l = Trm(H^l-1)                       every place attends to all
/// s_j = LN(gelu(H^L_t W + b)) · M_j + b_j
/// loss = mean over the hidden places of −log softmax(s)
/// ```
/// To recommend, the history is followed by a hidden item. Deviation from the paper, as in `RecBole`: a norm
/// stands before the product with the item vectors. And the first place is that of
/// the earliest item that is read (the paper fills up at the left).
///
/// In training a place sees the items after it; that is the method. In a test nothing comes after the
/// hidden item, so no later item is ever seen.
#[derive(Debug)]
pub struct Bert4Rec {
    config: Bert4RecConfig,
    parameters: Parameters,
    /// `[N + 1, D]`: the last row stands for a hidden item.
    items: Tensor,
    positions: Tensor,
    norm: LayerNorm,
    transformer: Transformer,
    head: Linear,
    head_norm: LayerNorm,
    /// `[N]`.
    bias: Tensor,
    num_items: usize,
}

impl Bert4Rec {
    /// A model with fresh weights.
    ///
    /// # Errors
    /// [`NeuralError::Setting`] and [`NeuralError::Torch`].
    pub fn new(
        config: Bert4RecConfig,
        num_items: usize,
        seed: u64,
        device: Device,
        kind: Kind,
    ) -> Result<Self, NeuralError> {
        let sizes = check_sizes(&TransformerConfig {
            max_history: config.places,
            hidden_size: config.hidden_size,
            layers: config.layers,
            heads: config.heads,
            inner_size: config.inner_size,
            dropout: config.dropout,
            attention_dropout: config.attention_dropout,
        })?;
        need(config.places > 1, "places", config.places as f64, "2 or more")?;
        need(config.copies > 0, "copies", 0.0, "1 or more")?;
        need(config.hidden_share > 0.0, "hidden_share", config.hidden_share, "a number in (0, 1)")?;
        check_share("hidden_share", config.hidden_share)?;
        let share = (0.0..=1.0).contains(&config.last_share);
        need(share, "last_share", config.last_share, "a number in [0, 1]")?;
        let mut parameters = Parameters::new(seed, device, kind);
        let (hidden, width) = (config.hidden_size, size(config.hidden_size));
        let p = &mut parameters;
        let items = p.normal("items", &[size(num_items) + 1, width], INITIAL_STD)?;
        let positions = p.normal("positions", &[size(config.places), width], INITIAL_STD)?;
        let norm = LayerNorm::new(p, "norm", hidden, NORM_EPS)?;
        let transformer = Transformer::new(p, "layers", config.layers, sizes)?;
        let head = Linear::new(p, "head", hidden, hidden)?;
        let head_norm = LayerNorm::new(p, "head.norm", hidden, NORM_EPS)?;
        let bias = p.constant("bias", &[size(num_items)], 0.0)?;
        Ok(Self {
            config,
            parameters,
            items,
            positions,
            norm,
            transformer,
            head,
            head_norm,
            bias,
            num_items,
        })
    }

    /// What the layers read, `[B, T, D]`, and what is closed to every place, `[B, 1, 1, T]`.
    fn inputs(&self, rows: &Padded, dropout: bool) -> Result<(Tensor, Tensor), NeuralError> {
        let positions = self.positions.f_narrow(0, 0, rows.width())?; // [T, D]
        let x = lookup(&self.items, &rows.items)?.f_add(&positions)?; // [B, T, D]
        let x = self.norm.forward(&x)?.f_dropout(self.config.dropout, dropout)?;
        Ok((x, rows.closed(self.parameters.kind())?))
    }

    /// From the last layer to what is compared with the items, `[M, D]` → `[M, D]`.
    fn finish(&self, x: &Tensor) -> Result<Tensor, NeuralError> {
        self.head_norm.forward(&self.head.forward(x)?.f_gelu("none")?)
    }

    /// The items: `[N, D]`.
    fn answers(&self) -> Result<Tensor, NeuralError> {
        Ok(self.items.f_narrow(0, 0, size(self.num_items))?)
    }

    /// The number that stands for a hidden item.
    fn hidden(&self) -> u32 {
        u32::try_from(self.num_items).unwrap_or(u32::MAX)
    }
}

/// Hides items of a row: a share of them at random, at least one.
pub(crate) fn hide(row: &[u32], share: f64, step: &mut Step) -> Vec<usize> {
    let mut hidden: Vec<usize> = (0..row.len()).filter(|_| step.rng.gen_bool(share)).collect();
    if hidden.is_empty() {
        hidden.push(step.rng.gen_range(0..row.len()));
    }
    hidden
}

impl SequenceModel for Bert4Rec {
    fn num_items(&self) -> usize {
        self.num_items
    }

    fn max_history(&self) -> usize {
        self.config.places - 1
    }

    fn lesson(&self) -> Lesson {
        Lesson::Hidden { copies: self.config.copies }
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn loss(&self, rows: &[&[u32]], step: &mut Step) -> Result<Tensor, NeuralError> {
        let device = self.parameters.device();
        let hidden: Vec<Vec<usize>> = rows
            .iter()
            .map(|row| {
                if step.rng.gen_bool(self.config.last_share) {
                    vec![row.len() - 1]
                } else {
                    hide(row, self.config.hidden_share, step)
                }
            })
            .collect();
        let (mut states, mut targets) = (Vec::new(), Vec::new());
        for group in groups(rows, device) {
            let mut shown: Vec<Vec<u32>> = group.iter().map(|at| rows[*at].to_vec()).collect();
            let width = shown.iter().map(Vec::len).max().unwrap_or(0);
            let mut places = Vec::new();
            for (number, (at, row)) in group.iter().zip(&mut shown).enumerate() {
                for place in &hidden[*at] {
                    row[*place] = self.hidden();
                    places.push(size(number * width + place));
                    targets.push(i64::from(rows[*at][*place]));
                }
            }
            let shown: Vec<&[u32]> = shown.iter().map(Vec::as_slice).collect();
            let (x, mask) = self.inputs(&Padded::right(&shown, device)?, step.dropout)?;
            let x = self.transformer.forward(&x, Mask::Added(&mask), step.dropout)?; // [G, T, D]
            let places = Tensor::f_from_slice(&places)?.f_to_device(device)?;
            states.push(self.finish(&at_places(&x, &places)?)?);
        }
        let states = Tensor::f_cat(&states, 0)?; // [M, D]
        let targets = Tensor::f_from_slice(&targets)?.f_to_device(device)?; // [M]
        let (items, bias) = (&self.answers()?, Some(&self.bias));
        Scored { states: &states, items, bias, targets: &targets }.softmax()
    }

    fn states(&self, histories: &[&[u32]]) -> Result<Tensor, NeuralError> {
        let asked: Vec<Vec<u32>> =
            histories.iter().map(|history| [history, &[self.hidden()][..]].concat()).collect();
        let asked: Vec<&[u32]> = asked.iter().map(Vec::as_slice).collect();
        let rows = Padded::right(&asked, self.parameters.device())?;
        let (x, mask) = self.inputs(&rows, false)?;
        self.finish(&self.transformer.at_last(&x, Mask::Added(&mask), &rows, false)?) // [B, D]
    }

    fn scores(&self, states: &Tensor) -> Result<Tensor, NeuralError> {
        Ok(states.f_linear(&self.answers()?, Some(&self.bias))?) // [B, N]
    }
}
