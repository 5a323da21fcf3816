//! What a leaderboard knows of a system that it trains by itself.

use ndarray::Array2;
use sidereal_baselines::{Case, Recommender, evaluate};
use sidereal_data::{Dataset, ItemId, SampleId};
use sidereal_metrics::{RankingRun, SeenItems};
use sidereal_train::Observer;
use tch::Device;

use super::settings::Settings;
use crate::error::LabError;

/// A kind of systems. Each line of a leaderboard has one of its own, so it may keep what the next point
/// of the grid can use.
pub(crate) trait BoardSystem {
    /// Whether its result depends on the seed.
    fn is_seeded(&self) -> bool {
        false
    }

    /// Whether it uses the vectors of the items' texts.
    fn uses_vectors(&self) -> bool {
        false
    }

    /// Trains a model on the training events. It may look at the validation cases, for example to end
    /// early, and never at the test.
    ///
    /// # Errors
    /// [`LabError::BoardSettings`] for settings that it does not have, and those of the training.
    fn fit<'a>(
        &mut self,
        task: &BoardTask<'a>,
        settings: &Settings,
        observer: &mut dyn Observer,
    ) -> Result<Fitted<'a>, LabError>;
}

/// What every system is trained on.
#[derive(Clone, Copy)]
pub(crate) struct BoardTask<'a> {
    pub(crate) dataset: &'a Dataset,
    /// Every user's training events.
    pub(crate) sequences: &'a [&'a [ItemId]],
    /// The validation cases, the same for every system.
    pub(crate) valid: &'a [Case<'a, SampleId>],
    /// The texts of the items, `[N]`.
    pub(crate) texts: &'a [String],
    /// Their vectors, `[N, D]`, if the leaderboard has an encoder.
    pub(crate) vectors: Option<&'a Array2<f32>>,
    pub(crate) seed: u64,
    pub(crate) device: Device,
    /// Wall-clock minutes of one training.
    pub(crate) minutes: f64,
}

/// A trained system.
pub(crate) struct Fitted<'a> {
    pub(crate) ranker: Box<dyn Ranker + 'a>,
    /// Numbers that the training chose.
    pub(crate) num_parameters: usize,
}

/// A system that can be asked.
pub(crate) trait Ranker {
    /// The place of each case's target among all items.
    ///
    /// # Errors
    /// Those of the system.
    fn rank(
        &self,
        cases: &[Case<'_, SampleId>],
        seen_items: SeenItems,
    ) -> Result<RankingRun<SampleId>, LabError>;
}

/// A [`Recommender`], asked case by case on all cores.
pub(crate) struct ByScores<R>(pub(crate) R);

impl<R: Recommender> Ranker for ByScores<R> {
    fn rank(
        &self,
        cases: &[Case<'_, SampleId>],
        seen_items: SeenItems,
    ) -> Result<RankingRun<SampleId>, LabError> {
        Ok(evaluate(&self.0, cases, seen_items)?)
    }
}

impl<'a> Fitted<'a> {
    /// A recommender with this many parameters.
    pub(crate) fn by_scores(recommender: impl Recommender + 'a, num_parameters: usize) -> Self {
        Self { ranker: Box::new(ByScores(recommender)), num_parameters }
    }
}
