//! The data and settings that the training of a stage uses.

use rand::seq::SliceRandom as _;
use sidereal_data::{HeldOut as _, Sample, TrainSet};
use sidereal_prompts::{Task, Tasks};
use sidereal_train::Checkpoints;

use super::scope::Scope;
use crate::seed::{Purpose, stream};
use crate::workbench::{Words, Workbench};

/// The data that a stage learns from, and the place of its checkpoints.
pub(crate) struct Material<'a> {
    pub(crate) bench: &'a Workbench<'a>,
    /// Name of the stage.
    pub(crate) stage: &'a str,
    /// The task of its policy.
    pub(crate) task: Task,
    /// The part of the data that it learns from.
    pub(crate) scope: Scope<'a>,
    /// Items of a history that a model sees.
    pub(crate) max_history: usize,
    /// Number of validation users.
    pub(crate) valid_users: usize,
    /// Users decoded together.
    pub(crate) batch_size: usize,
    pub(crate) checkpoints: Checkpoints,
}

impl Material<'_> {
    /// The tasks that it learns in words, about the items of its scope.
    pub(crate) fn tasks<'t>(&self, words: &Words<'t>) -> Tasks<'t> {
        self.scope.tasks(words.tasks.clone())
    }

    /// Samples to learn from.
    pub(crate) fn train(&self) -> &TrainSet {
        &self.scope.split.train
    }

    /// Validation samples of the users drawn by seed.
    pub(crate) fn valid_samples(&self) -> Vec<Sample<'_>> {
        let mut samples: Vec<Sample<'_>> = self.scope.split.valid.samples().collect();
        samples.shuffle(&mut stream(self.bench.seed, Purpose::Validation, 0));
        samples.truncate(self.valid_users);
        samples
    }

    /// The numbers of training samples in an order drawn for a purpose, and the generator for
    /// further draws.
    pub(crate) fn drawn(
        &self,
        purpose: Purpose,
        most: usize,
    ) -> (Vec<usize>, impl rand::Rng + use<>) {
        let mut rng = stream(self.bench.seed, purpose, 0);
        let mut order: Vec<usize> = (0..self.train().num_samples()).collect();
        order.shuffle(&mut rng);
        order.truncate(most);
        (order, rng)
    }
}
