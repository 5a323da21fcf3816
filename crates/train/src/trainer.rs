//! The loop of online and preference training: steps, validation by NDCG@10, checkpoints.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sidereal_corpus::{Cursor, Shuffle};
use sidereal_policy::{Decoder, Weights};

use crate::TrainError;
use crate::checkpoint::Checkpoints;
use crate::learner::Learner;
use crate::observe::{Observer, Record};

/// What a method of training does in a step, and what it must remember between steps.
pub(crate) trait Method {
    /// What the next step depends on besides its number, the order, weights and tensors.
    type State: Serialize + DeserializeOwned;

    /// A run begins with the policy that came in.
    fn begin(&mut self, model: &Decoder, observer: &mut dyn Observer) -> Result<(), TrainError>;

    /// A run goes on from what [`state`](Self::state) and [`tensors`](Self::tensors) gave.
    fn restore(&mut self, state: Self::State, tensors: &Weights) -> Result<(), TrainError>;

    /// All updates of the step behind `done` others, on the next prompts of `order`; where `shows`
    /// is set its record holds samples.
    fn step(
        &mut self,
        learner: &mut Learner,
        order: &mut Shuffle,
        done: usize,
        shows: bool,
    ) -> Result<Record, TrainError>;

    /// NDCG@10 of a policy over the validation prompts.
    fn ndcg(&self, model: &Decoder) -> Result<f64, TrainError>;

    /// For a checkpoint.
    fn state(&self) -> Self::State;

    /// Tensors of a checkpoint besides weights and moments.
    fn tensors(&self) -> Vec<(String, tch::Tensor)>;
}

/// Where training stands.
#[derive(Debug, Serialize, Deserialize)]
struct Progress<S> {
    step: usize,
    cursor: Cursor,
    /// NDCG@10 of the best weights so far.
    best: f64,
    /// After which step they stood so; 0 is the policy that came in. Older checkpoints do not say.
    #[serde(default)]
    best_step: Option<usize>,
    method: S,
}

/// So many steps of a method, some of them followed by a validation or a checkpoint.
#[derive(Debug)]
pub(crate) struct Trainer<'a> {
    /// Name in logs.
    pub(crate) stage: &'a str,
    pub(crate) steps: usize,
    pub(crate) validate_every: usize,
    pub(crate) checkpoint_every: usize,
    /// Prompts that there are.
    pub(crate) num_prompts: usize,
    /// Seed of their order.
    pub(crate) seed: u64,
    pub(crate) checkpoints: &'a Checkpoints,
}

impl Trainer<'_> {
    /// Trains from the newest checkpoint, or from the start, and returns the policy with the weights
    /// of the best validation; those that came in count as the first.
    pub(crate) fn run<M: Method>(
        &self,
        mut learner: Learner,
        method: &mut M,
        observer: &mut dyn Observer,
    ) -> Result<Decoder, TrainError> {
        let resumed = learner.resume::<Progress<M::State>>(self.checkpoints)?;
        let (mut step, cursor, mut best) = if let Some((found, tensors)) = resumed {
            method.restore(found.method, &tensors)?;
            tracing::info!(stage = self.stage, step = found.step, "resumed");
            (found.step, found.cursor, (found.best, found.best_step))
        } else {
            let ndcg = method.ndcg(learner.model())?;
            tracing::info!(stage = self.stage, step = 0, ndcg, "validated");
            method.begin(learner.model(), observer)?;
            let best = (ndcg, Some(0));
            self.save(&learner, method, 0, Cursor::default(), best)?;
            (0, Cursor::default(), best)
        };
        observer.on_resume(self.stage, step);
        if step == 0 {
            let start = Record::new(self.stage, 0, self.steps);
            observer.on_record(&start.with("valid_ndcg", best.0));
        }
        let mut order = Shuffle::resume(self.num_prompts, self.seed, cursor);
        while step < self.steps {
            let last = step + 1 == self.steps;
            let falls_on = |every: usize| last || (step + 1).is_multiple_of(every.max(1));
            let (validates, saves) =
                (falls_on(self.validate_every), falls_on(self.checkpoint_every));
            let mut record = method.step(&mut learner, &mut order, step, validates || step == 0)?;
            step += 1;
            if validates {
                let ndcg = method.ndcg(learner.model())?;
                record = record.with("valid_ndcg", ndcg);
                tracing::info!(stage = self.stage, step, ndcg, "validated");
                if ndcg > best.0 {
                    best = (ndcg, Some(step));
                    learner.keep();
                }
            }
            observer.on_record(&record);
            if saves {
                self.save(&learner, method, step, order.cursor(), best)?;
            }
        }
        learner.finish()
    }

    fn save<M: Method>(
        &self,
        learner: &Learner,
        method: &M,
        step: usize,
        cursor: Cursor,
        (best, best_step): (f64, Option<usize>),
    ) -> Result<(), TrainError> {
        let state = Progress { step, cursor, best, best_step, method: method.state() };
        learner.save(self.checkpoints, step, &state, method.tensors())
    }
}
