//! Next-item learning at every position of histories, with its derivatives taken by hand.

use sidereal_sid::NodeId;
use tch::{Kind, Tensor};

use super::ItemPolicy;
use super::body::ItemDropout;
use super::branches::host;
use super::kernel::{Choice, TableGradients, Tables, add, gradients, loss};
use super::pack::Packed;
use super::vectors::indices;
use crate::PolicyError;
use crate::weights::to_i64;

/// What a pass over histories found.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct NextItemLoss {
    /// Sum over all positions of −log p of the code of each level, in nats.
    pub by_level: Vec<f64>,
    /// Positions at which a next item was learned.
    pub positions: usize,
}

impl NextItemLoss {
    /// Mean over positions of −log p of the next item's leaf, in nats.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.by_level.iter().sum::<f64>() / self.positions.max(1) as f64
    }
}

/// Histories as positions with a next item each.
struct Lesson {
    inputs: Packed,
    /// Choices of each level.
    choices: Vec<Vec<Choice>>,
}

impl ItemPolicy {
    /// Loss of predicting each item of `sequences` after the items before it, without dropout or gradients.
    ///
    /// ```text
    /// loss = − Σ over positions t and levels l of log p(node(s[t+1], l) | its parent, s[≤ t])
    /// ```
    /// Of a longer sequence the latest `max_history + 1` items are read.
    ///
    /// # Errors
    /// [`PolicyError::Empty`] for no sequences and for one of fewer than two items;
    /// [`PolicyError::UnknownItem`].
    pub fn next_item_loss<S: AsRef<[u32]>>(
        &self,
        sequences: &[S],
    ) -> Result<NextItemLoss, PolicyError> {
        let _guard = tch::no_grad_guard();
        let lesson = self.lesson(sequences)?;
        let tables = self.tables()?;
        let vectors = self.read_items(&lesson.inputs.items, &tables.base)?;
        let states = lesson.inputs.states(self, &vectors, ItemDropout::default())?;
        let mut by_level = Vec::with_capacity(lesson.choices.len());
        for (level, choices) in lesson.choices.iter().enumerate() {
            let states = self.level_states(level, &states)?;
            by_level.push(if level == 0 {
                self.first_level(&states, choices)?.0
            } else {
                let text_states = host(&self.text_states(level, &states)?)?;
                loss(tables.view(self), &host(&states)?, &text_states, choices)
            });
        }
        Ok(NextItemLoss { by_level, positions: lesson.inputs.items.len() })
    }

    /// Adds `slope` times the gradient of [`next_item_loss`](Self::next_item_loss), computed with dropout,
    /// to the weights' gradients, and returns the loss under that dropout.
    ///
    /// Only real positions meet the head, and only the children of prefixes that come up are scored. What
    /// happens between the tables and the body, and between the states and the loss, is derived by hand:
    /// nothing is scattered, and text is projected for positions, not for nodes.
    ///
    /// # Errors
    /// As [`next_item_loss`](Self::next_item_loss).
    pub fn next_item_gradients<S: AsRef<[u32]>>(
        &self,
        sequences: &[S],
        dropout: ItemDropout,
        slope: f64,
    ) -> Result<NextItemLoss, PolicyError> {
        let lesson = self.lesson(sequences)?;
        let tables = self.tables()?;
        let vectors = tch::no_grad(|| self.read_items(&lesson.inputs.items, &tables.base))?;
        let vectors = vectors.set_requires_grad(true); // [n, D]
        let states = lesson.inputs.states(self, &vectors, dropout)?; // [n, D]
        let mut out = TableGradients {
            base: vec![0.0; tables.base.len()],
            bias: vec![0.0; tables.bias.len()],
        };
        let mut by_level = Vec::with_capacity(lesson.choices.len());
        // Σ of states times the derivatives by them: its gradient is the loss's.
        let mut surrogate: Option<Tensor> = None;
        let mut join = |states: &Tensor, d_states: &Tensor| -> Result<(), PolicyError> {
            let part = (states * d_states).f_sum(Kind::Float)?;
            surrogate = Some(match surrogate.take() {
                None => part,
                Some(sum) => sum + part,
            });
            Ok(())
        };
        for (level, choices) in lesson.choices.iter().enumerate() {
            let states = self.level_states(level, &states)?;
            if level == 0 {
                let (sum, logp) = self.first_level(&states, choices)?;
                by_level.push(sum);
                let d_states = self.first_level_back(&states, &logp, choices, slope, &mut out)?;
                join(&states, &d_states)?;
                continue;
            }
            let text_states = self.text_states(level, &states)?;
            let (values, text_values) = (host(&states)?, host(&text_states)?);
            #[allow(clippy::cast_possible_truncation, reason = "applied in f32")]
            let slope = slope as f32;
            let view = tables.view(self);
            let found = gradients(view, &values, &text_values, choices, slope, &mut out);
            by_level.push(found.loss);
            let like = |values: &[f32], of: &Tensor| {
                Tensor::from_slice(values).view(of.size().as_slice()).to_device(of.device())
            };
            join(&states, &like(&found.states, &states))?;
            if view.text_dim > 0 {
                join(&text_states, &like(&found.text_states, &text_states))?;
            }
        }
        if let Some(surrogate) = surrogate.filter(Tensor::requires_grad) {
            surrogate.f_backward()?;
        }
        let _guard = tch::no_grad_guard();
        self.items_back(&lesson.inputs.items, &vectors.grad(), &mut out)?;
        self.tables_back(&out)?;
        Ok(NextItemLoss { by_level, positions: lesson.inputs.items.len() })
    }

    fn lesson<S: AsRef<[u32]>>(&self, sequences: &[S]) -> Result<Lesson, PolicyError> {
        let most = self.config.max_history + 1;
        let whole = Packed::new(sequences, most, self.num_items())?;
        let (mut inputs, mut lens) = (Vec::with_capacity(whole.items.len()), Vec::new());
        let mut choices = vec![Vec::with_capacity(whole.items.len()); self.tree.depth()];
        let mut rest = whole.items.as_slice();
        for len in &whole.lens {
            let (sequence, after) = rest.split_at(*len);
            rest = after;
            if *len < 2 {
                return Err(PolicyError::Empty { what: "the next item of a sequence" });
            }
            for pair in sequence.windows(2) {
                let position = inputs.len();
                let mut node = NodeId(0);
                for (level, row) in self.tree.path(pair[1] as usize).iter().enumerate() {
                    let (children, target) = (self.tree.children(node), *row as usize);
                    // An only child is certain.
                    if children.len() > 1 {
                        choices[level].push(Choice { position, children, target });
                    }
                    node = NodeId(row + 1);
                }
                inputs.push(pair[0]);
            }
            lens.push(len - 1);
        }
        Ok(Lesson { inputs: Packed { items: inputs, lens }, choices })
    }

    /// Sums of code and node vectors, and the biases, on the host.
    fn tables(&self) -> Result<HostTables, PolicyError> {
        let (mut base, codes) = (host(&self.nodes)?, host(&self.codes)?);
        let dim = self.config.hidden_size;
        for (row, token) in base.chunks_exact_mut(dim).zip(self.tree.tokens()) {
            let code = *token as usize;
            add(row, 1.0, &codes[code * dim..(code + 1) * dim]);
        }
        Ok(HostTables { base, bias: host(&self.bias)? })
    }

    /// States of a level against the texts of its nodes, `[n, T]`; of no width without text.
    fn text_states(&self, level: usize, states: &Tensor) -> Result<Tensor, PolicyError> {
        match &self.text {
            None => Ok(states.f_narrow(1, 0, 0)?),
            Some((levels, _)) => {
                Ok(states.f_matmul(&levels.get(to_i64(level)).f_transpose(0, 1)?)?)
            }
        }
    }

    /// What is read of items, `[n, D]`, given the sums of code and node vectors; no graph.
    fn read_items(&self, items: &[u32], base: &[f32]) -> Result<Tensor, PolicyError> {
        let dim = self.config.hidden_size;
        let mut vectors = vec![0f32; items.len() * dim];
        for (vector, item) in vectors.chunks_exact_mut(dim).zip(items) {
            for row in self.tree.path(*item as usize) {
                let row = *row as usize;
                add(vector, 1.0, &base[row * dim..(row + 1) * dim]);
            }
        }
        if let (Some(categories), Some(table)) = (self.features.categories(), &self.categories) {
            let table = host(table)?;
            for (vector, item) in vectors.chunks_exact_mut(dim).zip(items) {
                for id in categories.of(*item as usize) {
                    let id = *id as usize;
                    add(vector, 1.0, &table[id * dim..(id + 1) * dim]);
                }
            }
        }
        let vectors = Tensor::from_slice(&vectors).view([-1, to_i64(dim)]);
        let mut vectors = vectors.to_device(self.nodes.device());
        if let (Some(_), Some((levels, of_items))) = (self.features.text(), &self.text) {
            for level in 0..self.tree.depth() {
                vectors =
                    vectors.f_addmm(&self.texts_at(level, items)?, &levels.get(to_i64(level)))?;
            }
            vectors = vectors.f_addmm(&self.texts_of(items)?, of_items)?;
        }
        Ok(vectors)
    }

    /// Texts of the items' nodes of a level, `[n, T]`.
    fn texts_at(&self, level: usize, items: &[u32]) -> Result<Tensor, PolicyError> {
        let text = self.features.text().ok_or(NO_TEXT)?;
        Ok(text.nodes.f_index_select(0, &self.rows_at(level, items))?)
    }

    /// Texts of items, `[n, T]`.
    fn texts_of(&self, items: &[u32]) -> Result<Tensor, PolicyError> {
        let text = self.features.text().ok_or(NO_TEXT)?;
        let index = indices(items.iter().map(|item| i64::from(*item)), self.nodes.device());
        Ok(text.items.f_index_select(0, &index)?)
    }

    /// The first level's choices, whose nodes all positions choose from: the summed loss, and the
    /// log-probabilities `[n, M₀]`.
    fn first_level(
        &self,
        states: &Tensor,
        choices: &[Choice],
    ) -> Result<(f64, Tensor), PolicyError> {
        let _guard = tch::no_grad_guard();
        let rows: Vec<usize> = self.tree.level(0).collect();
        let bias = self.bias.f_narrow(0, 0, to_i64(rows.len()))?;
        let vectors = self.node_vectors(&rows)?;
        let logits = states.f_matmul(&vectors.f_transpose(0, 1)?)? + bias;
        let logp = logits.f_log_softmax(-1, Kind::Float)?;
        if choices.is_empty() {
            return Ok((0.0, logp)); // a root with one child
        }
        let picked = logp.f_gather(1, &targets(choices, states), false)?;
        Ok((-picked.f_sum(Kind::Double)?.f_double_value(&[])?, logp))
    }

    /// Adds the first level's derivatives by the tables and returns those by its states, `[n, D]`.
    fn first_level_back(
        &self,
        states: &Tensor,
        logp: &Tensor,
        choices: &[Choice],
        slope: f64,
        out: &mut TableGradients,
    ) -> Result<Tensor, PolicyError> {
        let _guard = tch::no_grad_guard();
        if choices.is_empty() {
            return Ok(states.f_zeros_like()?);
        }
        let rows: Vec<usize> = self.tree.level(0).collect();
        let targets = targets(choices, states);
        let ones = Tensor::f_ones(targets.size(), (Kind::Float, states.device()))?;
        let d_logits = (logp.f_exp()?.f_scatter_add(1, &targets, &-ones)?) * slope; // [n, M₀]
        let d_vectors = d_logits.f_transpose(0, 1)?.f_matmul(&states.detach())?; // [M₀, D]
        add(&mut out.base[..rows.len() * self.config.hidden_size], 1.0, &host(&d_vectors)?);
        let d_bias = d_logits.f_sum_dim_intlist([0i64].as_slice(), false, Kind::Float)?;
        add(&mut out.bias[..rows.len()], 1.0, &host(&d_bias)?);
        if let (Some(text), Some((levels, _))) = (self.features.text(), &self.text)
            && levels.requires_grad()
        {
            let texts = text.nodes.f_narrow(0, 0, to_i64(rows.len()))?;
            let _ = gradient(levels)?.get(0).f_addmm_(&texts.f_transpose(0, 1)?, &d_vectors)?;
        }
        Ok(d_logits.f_matmul(&self.node_vectors(&rows)?)?)
    }

    /// Adds what the derivatives `[n, D]` by the items' vectors mean for tables and projections.
    fn items_back(
        &self,
        items: &[u32],
        d_vectors: &Tensor,
        out: &mut TableGradients,
    ) -> Result<(), PolicyError> {
        let dim = self.config.hidden_size;
        let values = host(d_vectors)?;
        for (d_vector, item) in values.chunks_exact(dim).zip(items) {
            for row in self.tree.path(*item as usize) {
                let row = *row as usize;
                add(&mut out.base[row * dim..(row + 1) * dim], 1.0, d_vector);
            }
        }
        if let (Some(categories), Some(table)) = (self.features.categories(), &self.categories)
            && table.requires_grad()
        {
            let mut d_table = vec![0f32; categories.num_categories() * dim];
            for (d_vector, item) in values.chunks_exact(dim).zip(items) {
                for id in categories.of(*item as usize) {
                    let id = *id as usize;
                    add(&mut d_table[id * dim..(id + 1) * dim], 1.0, d_vector);
                }
            }
            accumulate(table, &d_table)?;
        }
        if let Some((levels, of_items)) = &self.text {
            if levels.requires_grad() {
                let d_levels = gradient(levels)?;
                for level in 0..self.tree.depth() {
                    let texts = self.texts_at(level, items)?.f_transpose(0, 1)?;
                    let _ = d_levels.get(to_i64(level)).f_addmm_(&texts, d_vectors)?;
                }
            }
            if of_items.requires_grad() {
                let texts = self.texts_of(items)?.f_transpose(0, 1)?;
                let _ = gradient(of_items)?.f_addmm_(&texts, d_vectors)?;
            }
        }
        Ok(())
    }

    /// Adds the derivatives by the tables to the weights' gradients.
    fn tables_back(&self, out: &TableGradients) -> Result<(), PolicyError> {
        if self.bias.requires_grad() {
            accumulate(&self.bias, &out.bias)?;
        }
        if self.nodes.requires_grad() {
            accumulate(&self.nodes, &out.base)?;
        }
        if self.codes.requires_grad() {
            let dim = self.config.hidden_size;
            let mut d_codes = vec![0f32; self.codes.numel()];
            for (d_row, token) in out.base.chunks_exact(dim).zip(self.tree.tokens()) {
                let code = *token as usize;
                add(&mut d_codes[code * dim..(code + 1) * dim], 1.0, d_row);
            }
            accumulate(&self.codes, &d_codes)?;
        }
        Ok(())
    }
}

const NO_TEXT: PolicyError = PolicyError::Empty { what: "the set of text vectors" };

/// Sums of code and node vectors `[M, D]`, and biases `[M]`.
struct HostTables {
    base: Vec<f32>,
    bias: Vec<f32>,
}

impl HostTables {
    fn view<'a>(&'a self, policy: &'a ItemPolicy) -> Tables<'a> {
        let text = policy.features.text();
        Tables {
            base: &self.base,
            text: text.map_or(&[], |text| text.host.as_slice()),
            bias: &self.bias,
            dim: policy.config.hidden_size,
            text_dim: text.map_or(0, |text| text.dim),
        }
    }
}

/// Columns `[n, 1]` of the first level's right nodes; all positions choose, for the root has children.
fn targets(choices: &[Choice], states: &Tensor) -> Tensor {
    let targets = choices.iter().map(|choice| to_i64(choice.target));
    indices(targets, states.device()).unsqueeze(1)
}

/// Adds to a leaf's gradient.
fn accumulate(weight: &Tensor, values: &[f32]) -> Result<(), PolicyError> {
    let values = Tensor::from_slice(values).view(weight.size().as_slice());
    let _ = gradient(weight)?.f_add_(&values.to_device(weight.device()))?;
    Ok(())
}

/// The gradient of a leaf, made where there is none yet.
fn gradient(weight: &Tensor) -> Result<Tensor, PolicyError> {
    if !weight.grad().defined() {
        tch::with_grad(|| (weight.f_narrow(0, 0, 1)? * 0.0).f_sum(Kind::Float)?.f_backward())?;
    }
    Ok(weight.grad())
}
