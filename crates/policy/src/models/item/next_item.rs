//! Next-item learning at every position of histories, with derivatives that are written by hand.

use tch::{Kind, Tensor};

use super::ItemPolicy;
use super::body::ItemDropout;
use super::branches::host;
use super::kernel::{Chosen, LevelGradients, TableGradients, gradients, loss, tables_back};
use super::lesson::Lesson;
use crate::PolicyError;
use crate::generator::SeededGenerator;

/// The result of a pass over histories.
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

impl ItemPolicy {
    /// Loss of predicting each item of `sequences` after the items before it, without dropout or gradients.
    ///
    /// ```text
    /// loss = − Σ over positions t and levels l of log p(node(s[t+1], l) | its parent, s[≤ t])
    /// ```
    /// Of a longer sequence the latest `max_history + 1` items are read. Weights of repeats are part of `p`, with
    /// the items before each position as its history.
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
        let body = &states;
        let mut of_repeats = None;
        for (level, choices) in lesson.choices.iter().enumerate() {
            let states = self.level_states(level, body)?;
            by_level.push(if level == 0 {
                let (loss, logp) = self.first_level(&states, choices)?;
                of_repeats = self.repeat_losses(&lesson, body, &logp)?;
                loss
            } else {
                let text_states = host(&self.text_states(level, &states)?)?;
                let states = host(&states)?;
                let (states, text_states) = (states.as_slice(), text_states.as_slice());
                loss(tables.view(self), Chosen { first: 0, states, text_states, choices })
            });
        }
        for (loss, more) in by_level.iter_mut().zip(of_repeats.iter().flatten()) {
            *loss += more.f_double_value(&[])?;
        }
        Ok(NextItemLoss { by_level, positions: lesson.inputs.items.len() })
    }

    /// Adds `slope` times the gradient of [`next_item_loss`](Self::next_item_loss), computed with dropout,
    /// to the weights' gradients, and returns the loss under that dropout.
    ///
    /// With weights of repeats, the gradient of the others is that of the loss without them, and they are learned
    /// for the policy as it is: `p₀` counts as a constant. So what they learn disturbs nothing.
    ///
    /// Weights in f32 on the CPU are learned in the memory of the host, with the same bits for any number of
    /// threads; others by libtorch. The two draw what dropout zeroes in different ways.
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
        let by_level = if self.is_on_host() {
            self.learn_on_host(&lesson, dropout, slope)?
        } else {
            self.learn_by_libtorch(&lesson, dropout, slope)?
        };
        Ok(NextItemLoss { by_level, positions: lesson.inputs.items.len() })
    }

    /// Adds `slope` times the gradient of a lesson's loss to the weights' gradients, on any device and in any
    /// element type, and returns the loss of each level.
    ///
    /// Only real positions meet the head, and only the children of prefixes that come up are scored. What
    /// happens between the tables and the body, and between the states and the loss, is derived by hand:
    /// nothing is scattered, and text is projected for positions, not for nodes.
    pub(super) fn learn_by_libtorch(
        &self,
        lesson: &Lesson,
        dropout: ItemDropout,
        slope: f64,
    ) -> Result<Vec<f64>, PolicyError> {
        let draws = dropout.hidden > 0.0 || dropout.attention > 0.0;
        let _generator = draws.then(|| SeededGenerator::new(dropout.seed.cast_signed()));
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
        let mut found = LevelGradients::default();
        let body = &states;
        let mut of_repeats = None;
        for (level, choices) in lesson.choices.iter().enumerate() {
            let states = self.level_states(level, body)?;
            if level == 0 {
                let (sum, logp) = self.first_level(&states, choices)?;
                by_level.push(sum);
                of_repeats = self.repeat_losses(lesson, body, &logp)?;
                let d_states = self.first_level_back(&states, &logp, choices, slope, &mut out)?;
                join(&states, &d_states)?;
                continue;
            }
            let text_states = self.text_states(level, &states)?;
            let (values, text_values) = (host(&states)?, host(&text_states)?);
            let chosen = Chosen { first: 0, states: &values, text_states: &text_values, choices };
            let view = tables.view(self);
            #[allow(clippy::cast_possible_truncation, reason = "applied in f32")]
            gradients(view, chosen, slope as f32, &mut found);
            tables_back(chosen, &found.scores, view.dim, &mut out);
            by_level.push(found.loss);
            let like = |values: &[f32], of: &Tensor| {
                Tensor::from_slice(values).view(of.size().as_slice()).to_device(of.device())
            };
            join(&states, &like(&found.states, &states))?;
            if view.text_dim > 0 {
                join(&text_states, &like(&found.text_states, &text_states))?;
            }
        }
        for (loss, more) in by_level.iter_mut().zip(of_repeats.iter().flatten()) {
            *loss += more.f_double_value(&[])?;
            join(more, &Tensor::from(slope).to_device(more.device()))?;
        }
        if let Some(surrogate) = surrogate.filter(Tensor::requires_grad) {
            surrogate.f_backward()?;
        }
        let _guard = tch::no_grad_guard();
        self.items_back(&lesson.inputs.items, &vectors.grad(), &mut out)?;
        self.tables_back(&out)?;
        Ok(by_level)
    }
}
