//! A neural model as a [`Recommender`].

use std::sync::{Mutex, PoisonError};

use sidereal_sid::ItemId;
use tch::{Device, Kind};

use super::NeuralError;
use super::grouped::by_length;
use super::model::SequenceModel;
use crate::{BaselineError, Recommender};

/// Histories that are scored together: what stays in a processor's cache, and what keeps a GPU busy.
const SCORED_TOGETHER_CPU: usize = 64;
const SCORED_TOGETHER_GPU: usize = 512;

/// A neural model as a [`Recommender`]: the histories of a batch are read in groups of similar length,
/// and one product of matrices scores all items.
///
/// After an empty history all items have score 0.
#[derive(Debug)]
pub struct SequenceRecommender {
    /// Tensors may not be used by two threads at once.
    model: Mutex<Box<dyn SequenceModel>>,
    num_items: usize,
    max_history: usize,
    scored_together: usize,
}

impl SequenceRecommender {
    /// A model, trained or not.
    #[must_use]
    pub fn new(model: Box<dyn SequenceModel>) -> Self {
        let (num_items, max_history) = (model.num_items(), model.max_history());
        let scored_together = match model.parameters().device() {
            Device::Cpu => SCORED_TOGETHER_CPU,
            _ => SCORED_TOGETHER_GPU,
        };
        Self { model: Mutex::new(model), num_items, max_history, scored_together }
    }

    /// The model.
    pub fn model(&mut self) -> &dyn SequenceModel {
        &**self.model.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Scores after histories that are not empty, `[H, N]`, in the memory of the host.
    fn scores_of(&self, histories: &[Vec<u32>], scores: &mut [f32]) -> Result<(), NeuralError> {
        let model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        let _guard = tch::no_grad_guard();
        let histories: Vec<&[u32]> = histories.iter().map(Vec::as_slice).collect();
        let device = model.parameters().device();
        let states = by_length(&histories, device, |histories| model.states(histories))?; // [H, D]
        let found = model.scores(&states)?; // [H, N]
        let found = found.f_to_kind(Kind::Float)?.f_to_device(Device::Cpu)?.f_contiguous()?;
        found.f_copy_data(scores, histories.len() * self.num_items)?;
        Ok(())
    }
}

impl Recommender for SequenceRecommender {
    fn num_items(&self) -> usize {
        self.num_items
    }

    fn score(&self, history: &[ItemId], scores: &mut [f32]) -> Result<(), BaselineError> {
        self.score_all(&[history], scores)
    }

    fn scored_together(&self) -> usize {
        self.scored_together
    }

    fn score_all(&self, histories: &[&[ItemId]], scores: &mut [f32]) -> Result<(), BaselineError> {
        let num_items = self.num_items;
        let (found, expected) = (scores.len(), histories.len() * num_items);
        if found != expected {
            return Err(BaselineError::NumScores { found, expected });
        }
        let mut items = histories.iter().flat_map(|history| history.iter());
        if let Some(item) = items.find(|item| item.index() >= num_items) {
            return Err(BaselineError::Item { item: *item, num_items });
        }
        let (at, read): (Vec<usize>, Vec<Vec<u32>>) = histories
            .iter()
            .map(|history| &history[history.len().saturating_sub(self.max_history)..])
            .enumerate()
            .filter(|(_, history)| !history.is_empty())
            .map(|(at, history)| (at, history.iter().map(|item| item.0).collect()))
            .unzip();
        let fail = |error: NeuralError| BaselineError::Neural(Box::new(error));
        if read.len() == histories.len() && !read.is_empty() {
            return self.scores_of(&read, scores).map_err(fail);
        }
        scores.fill(0.0);
        if read.is_empty() {
            return Ok(());
        }
        let mut found = vec![0.0; read.len() * num_items];
        self.scores_of(&read, &mut found).map_err(fail)?;
        for (at, found) in at.iter().zip(found.chunks_exact(num_items)) {
            scores[at * num_items..][..num_items].copy_from_slice(found);
        }
        Ok(())
    }
}
