//! What the training loop and the ranking know of a neural recommender.

use std::fmt::Debug;

use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use super::NeuralError;
use super::parameters::Parameters;

/// How the training sequences are cut into what a model learns from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lesson {
    /// Rows of consecutive items; every item after the first is a target. For models whose state at
    /// a position cannot depend on later items.
    Positions,
    /// Every item after a user's first is the last item of a row of its own, and is the row's target.
    Prefixes,
    /// As `Prefixes`, with a row for the first item too, whose history is empty.
    AllPrefixes,
    /// Whole sequences, `copies` times an epoch; the model hides items of its own choice.
    Hidden {
        /// How often an epoch shows a sequence.
        copies: usize,
    },
}

/// What a step of training lends to a model.
#[derive(Debug)]
pub struct Step {
    /// Random numbers of this step alone.
    pub rng: ChaCha8Rng,
    /// Whether activations are dropped out; off in comparisons with other programs.
    pub dropout: bool,
    /// Epoch, from 0.
    pub epoch: usize,
}

/// A neural recommender: histories → states after the last item → scores of all items.
///
/// A row or a history is a list of item numbers, earliest first; a model pads them as it likes. The
/// latest [`max_history`](Self::max_history) items are given.
pub trait SequenceModel: Debug + Send {
    /// Number of items `N`.
    fn num_items(&self) -> usize;

    /// Most items of a history that the model reads.
    fn max_history(&self) -> usize;

    /// What a row of training is.
    fn lesson(&self) -> Lesson;

    /// The weights, by name.
    fn parameters(&self) -> &Parameters;

    /// The mean loss over the targets of some rows, `[]`.
    ///
    /// # Shapes
    /// - `rows`: `[B]` lists of two items and more (of one with [`Lesson::AllPrefixes`]), cut as
    ///   [`lesson`](Self::lesson) says: at most `max_history + 1` items, the target included
    ///
    /// # Errors
    /// [`NeuralError::Torch`].
    fn loss(&self, rows: &[&[u32]], step: &mut Step) -> Result<Tensor, NeuralError>;

    /// The state after the last item of each history, `[B, D]`, without dropout.
    ///
    /// # Shapes
    /// - `histories`: `[B]` lists of `1..=max_history` items
    ///
    /// # Errors
    /// [`NeuralError::Torch`].
    fn states(&self, histories: &[&[u32]]) -> Result<Tensor, NeuralError>;

    /// The scores of all items, `[B, N]`, of states `[B, D]`: one product of matrices.
    ///
    /// # Errors
    /// [`NeuralError::Torch`].
    fn scores(&self, states: &Tensor) -> Result<Tensor, NeuralError>;

    /// Lessons before the training proper; none for most models.
    fn pretraining(&self) -> Option<Pretraining> {
        None
    }

    /// The mean loss of [`pretraining`](Self::pretraining) over some whole sequences, `[]`.
    ///
    /// # Errors
    /// [`NeuralError::Torch`].
    fn pretraining_loss(&self, rows: &[&[u32]], step: &mut Step) -> Result<Tensor, NeuralError> {
        self.loss(rows, step)
    }
}

/// Lessons before the training proper.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pretraining {
    /// Passes over the sequences.
    pub epochs: usize,
    /// Sequences of a step.
    pub batch_size: usize,
    /// Learning rate of Adam.
    pub lr: f64,
}
