//! A neural model as a [`Recommender`].

use std::sync::{Mutex, PoisonError};

use sidereal_sid::ItemId;
use tch::{Device, Kind};

use super::NeuralError;
use super::model::SequenceModel;
use crate::{BaselineError, Recommender};

/// Histories that are read together.
const READ_TOGETHER: usize = 128;

/// Histories that are scored together.
const SCORED_TOGETHER: usize = 512;

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
}

impl SequenceRecommender {
    /// A model, trained or not.
    #[must_use]
    pub fn new(model: Box<dyn SequenceModel>) -> Self {
        let (num_items, max_history) = (model.num_items(), model.max_history());
        Self { model: Mutex::new(model), num_items, max_history }
    }

    /// The model.
    pub fn model(&mut self) -> &dyn SequenceModel {
        &**self.model.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Scores after histories that are not empty, as `[H, N]` in the memory of the host.
    fn scores_of(&self, histories: &[&[u32]], scores: &mut [f32]) -> Result<(), NeuralError> {
        let model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        let _guard = tch::no_grad_guard();
        let states = histories
            .chunks(READ_TOGETHER)
            .map(|histories| model.states(histories))
            .collect::<Result<Vec<_>, _>>()?;
        let found = model.scores(&tch::Tensor::f_cat(&states, 0)?)?; // [H, N]
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
        SCORED_TOGETHER
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
        let mut rows: Vec<(usize, Vec<u32>)> = histories
            .iter()
            .map(|history| &history[history.len().saturating_sub(self.max_history)..])
            .enumerate()
            .filter(|(_, history)| !history.is_empty())
            .map(|(at, history)| (at, history.iter().map(|item| item.0).collect()))
            .collect();
        if rows.len() < histories.len() {
            scores.fill(0.0);
        }
        if rows.is_empty() {
            return Ok(());
        }
        rows.sort_by_key(|(_, history)| history.len());
        let sorted: Vec<&[u32]> = rows.iter().map(|(_, history)| history.as_slice()).collect();
        let fail = |error: NeuralError| BaselineError::Neural(Box::new(error));
        if let [history] = sorted[..] {
            let at = rows[0].0 * num_items;
            return self.scores_of(&[history], &mut scores[at..at + num_items]).map_err(fail);
        }
        let mut found = vec![0.0; rows.len() * num_items];
        self.scores_of(&sorted, &mut found).map_err(fail)?;
        for ((at, _), found) in rows.iter().zip(found.chunks_exact(num_items)) {
            scores[at * num_items..][..num_items].copy_from_slice(found);
        }
        Ok(())
    }
}
