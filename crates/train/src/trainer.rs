//! The loop of online and preference training: steps, validation by NDCG@10, checkpoints.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sidereal_policy::{Trainable, Weights};
use sidereal_prompts::{Cursor, Shuffle};

use crate::TrainError;
use crate::checkpoint::Checkpoints;
use crate::learner::Learner;
use crate::observe::{Observer, Record};
use crate::validation::Validated;

/// What a method of training does in a step, and what it must remember between steps.
pub(crate) trait Method<P: Trainable> {
    /// The state that the next step depends on, besides its number, the order, weights and tensors.
    type State: Serialize + DeserializeOwned;

    /// A run begins, with the policy before training.
    fn begin(&mut self, model: &P, observer: &mut dyn Observer) -> Result<(), TrainError>;

    /// A run goes on from the results of [`state`](Self::state) and [`tensors`](Self::tensors).
    fn restore(&mut self, state: Self::State, tensors: &Weights) -> Result<(), TrainError>;

    /// All updates of the step after `done` others, on the next prompts of `order`. If `shows` is
    /// set, its record holds rollouts.
    fn step(
        &mut self,
        learner: &mut Learner<P>,
        order: &mut Shuffle,
        done: usize,
        shows: bool,
    ) -> Result<Record, TrainError>;

    /// What a policy finds for the validation prompts.
    fn validate(&self, model: &P) -> Result<Validated, TrainError>;

    /// The state, for a checkpoint.
    fn state(&self) -> Self::State;

    /// Tensors of a checkpoint besides weights and moments.
    fn tensors(&self) -> Vec<(String, tch::Tensor)>;
}

/// The progress of a training.
#[derive(Debug, Serialize, Deserialize)]
struct Progress<S> {
    step: usize,
    cursor: Cursor,
    /// NDCG@10 of the best weights so far.
    best: f64,
    /// The step of the best weights; 0 is the policy before training. Older checkpoints do not have
    /// it.
    #[serde(default)]
    best_step: Option<usize>,
    /// The validation of the policy before training. Older checkpoints do not have it.
    #[serde(default)]
    start: Option<Validated>,
    method: S,
}

/// A number of steps of a method, some of them followed by a validation or a checkpoint.
#[derive(Debug)]
pub(crate) struct Trainer<'a> {
    /// Name in logs.
    pub(crate) stage: &'a str,
    pub(crate) steps: usize,
    pub(crate) validate_every: usize,
    pub(crate) checkpoint_every: usize,
    /// Number of prompts.
    pub(crate) num_prompts: usize,
    /// Seed of their order.
    pub(crate) seed: u64,
    pub(crate) checkpoints: &'a Checkpoints,
}

impl Trainer<'_> {
    /// Trains from the newest checkpoint, or from the start, and returns the policy with the
    /// weights of the best validation; the weights before training count as the first.
    pub(crate) fn run<P: Trainable, M: Method<P>>(
        &self,
        mut learner: Learner<P>,
        method: &mut M,
        observer: &mut dyn Observer,
    ) -> Result<P, TrainError> {
        let resumed = learner.resume::<Progress<M::State>>(self.checkpoints)?;
        let (mut step, cursor, mut best, start) = if let Some((found, tensors)) = resumed {
            method.restore(found.method, &tensors)?;
            tracing::info!(stage = self.stage, step = found.step, "resumed");
            (found.step, found.cursor, (found.best, found.best_step), found.start)
        } else {
            let found = method.validate(learner.model())?;
            tracing::info!(stage = self.stage, step = 0, ndcg = found.ndcg, "validated");
            method.begin(learner.model(), observer)?;
            let (best, start) = ((found.ndcg, Some(0)), Some(found));
            self.save(&learner, method, (0, Cursor::default()), best, start)?;
            (0, Cursor::default(), best, start)
        };
        observer.on_resume(self.stage, step);
        if step == 0 {
            let found = start.unwrap_or(Validated::of_ndcg(best.0));
            observer.on_record(&found.added_to(Record::new(self.stage, 0, self.steps)));
        }
        self.check_weights(&learner, step)?;
        let mut order = Shuffle::resume(self.num_prompts, self.seed, cursor);
        while step < self.steps {
            let last = step + 1 == self.steps;
            let falls_on = |every: usize| last || (step + 1).is_multiple_of(every.max(1));
            let (validates, saves) =
                (falls_on(self.validate_every), falls_on(self.checkpoint_every));
            let mut record = method.step(&mut learner, &mut order, step, validates || step == 0)?;
            step += 1;
            self.check_weights(&learner, step)?;
            if validates {
                let found = method.validate(learner.model())?;
                record = found.added_to(record);
                tracing::info!(stage = self.stage, step, ndcg = found.ndcg, "validated");
                if found.ndcg > best.0 {
                    best = (found.ndcg, Some(step));
                    learner.keep();
                }
            }
            observer.on_record(&record);
            if saves {
                self.save(&learner, method, (step, order.cursor()), best, start)?;
            }
        }
        learner.finish()
    }

    /// Accepts weights that are numbers. With other weights, rollouts and rankings mean nothing.
    fn check_weights<P: Trainable>(
        &self,
        learner: &Learner<P>,
        step: usize,
    ) -> Result<(), TrainError> {
        let Some((name, found)) = learner.not_finite()? else { return Ok(()) };
        let samples = [format!("unknown (it is the weight `{name}`)")];
        let found = ("a weight", found);
        Err(TrainError::diverged(self.stage, step, found, self.checkpoints, samples))
    }

    fn save<P: Trainable, M: Method<P>>(
        &self,
        learner: &Learner<P>,
        method: &M,
        (step, cursor): (usize, Cursor),
        (best, best_step): (f64, Option<usize>),
        start: Option<Validated>,
    ) -> Result<(), TrainError> {
        let state = Progress { step, cursor, best, best_step, start, method: method.state() };
        learner.save(self.checkpoints, step, &state, method.tensors())
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use sidereal_policy::{Constraint, Decoder, DecoderConfig};
    use sidereal_sid::{Catalog, SemanticId, SidSpec};
    use tch::{Device, Kind};

    use super::*;
    use crate::checkpoint::Binding;
    use crate::optim::OptimConfig;
    use crate::trainable::TrainableConfig;

    const WEIGHT: &str = "model.norm.weight";

    /// Adds a number to a weight in every step; its validations come from a list, by that weight.
    struct Adding {
        number: f64,
        /// NDCG after 0, 1, … steps.
        ndcg: Vec<f64>,
    }

    fn weight(model: &Decoder) -> f64 {
        model.weights()[WEIGHT].double_value(&[0])
    }

    impl Method<Decoder> for Adding {
        type State = ();

        fn begin(&mut self, _: &Decoder, _: &mut dyn Observer) -> Result<(), TrainError> {
            Ok(())
        }

        fn restore(&mut self, (): (), _: &Weights) -> Result<(), TrainError> {
            Ok(())
        }

        fn step(
            &mut self,
            learner: &mut Learner<Decoder>,
            _: &mut Shuffle,
            done: usize,
            _: bool,
        ) -> Result<Record, TrainError> {
            let _guard = tch::no_grad_guard();
            let _ = learner.model().weights()[WEIGHT].detach().f_add_scalar_(self.number)?;
            Ok(Record::new("rl", done + 1, self.ndcg.len() - 1))
        }

        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts")]
        fn validate(&self, model: &Decoder) -> Result<Validated, TrainError> {
            Ok(Validated::of_ndcg(self.ndcg[(weight(model) - 1.0).round() as usize]))
        }

        fn state(&self) {}

        fn tensors(&self) -> Vec<(String, tch::Tensor)> {
            Vec::new()
        }
    }

    /// The weight of the policy that comes out, and the step that the last checkpoint says it is of.
    fn trained(
        number: f64,
        ndcg: &[f64],
        checkpoints: &Checkpoints,
        observer: &mut dyn Observer,
    ) -> Result<(f64, Option<usize>), TrainError> {
        let sids = (0..4u16).map(|item| SemanticId::from([item])).collect();
        let catalog = Catalog::new(SidSpec::new(vec![4], 0).unwrap(), sids).unwrap();
        let constraint = Constraint::from_ids(&catalog, (0..4).collect(), Device::Cpu).unwrap();
        let model = Decoder::random(DecoderConfig::tiny(6), 1, Device::Cpu).unwrap();
        let all = TrainableConfig::default();
        let learner = Learner::new(model, &all, &OptimConfig::default(), &constraint, 1)?;
        let trainer = Trainer {
            stage: "rl",
            steps: ndcg.len() - 1,
            validate_every: 1,
            checkpoint_every: 1,
            num_prompts: 5,
            seed: 1,
            checkpoints,
        };
        let model = trainer.run(learner, &mut Adding { number, ndcg: ndcg.to_vec() }, observer)?;
        assert_eq!(model.weights()[WEIGHT].kind(), Kind::Float);
        Ok((weight(&model), checkpoints.best_step()?))
    }

    #[test]
    fn the_first_best_validation_decides_the_returned_weights_including_the_start() {
        for (ndcg, best) in [
            (&[0.2, 0.1, 0.2, 0.0][..], 0),
            (&[0.1, 0.3, 0.3, 0.2], 1),
            (&[0.1, 0.2, 0.1, 0.3], 3),
            (&[0.0, 0.0, 0.0], 0),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let checkpoints = Checkpoints::new(dir.path(), Binding::new());
            let found = trained(1.0, ndcg, &checkpoints, &mut |_: &Record| {}).unwrap();
            assert_eq!(found.1, Some(best), "{ndcg:?}");
            assert!((found.0 - 1.0 - best as f64).abs() < 1e-9, "{ndcg:?}: {found:?}");
            // Killed after each step and resumed, it is the same.
            for step in 1..ndcg.len() {
                let dir = tempfile::tempdir().unwrap();
                let checkpoints = Checkpoints::new(dir.path(), Binding::new());
                let mut kill = |record: &Record| assert!(record.step != step, "killed");
                let run = AssertUnwindSafe(|| trained(1.0, ndcg, &checkpoints, &mut kill));
                assert!(catch_unwind(run).is_err());
                let resumed = trained(1.0, ndcg, &checkpoints, &mut |_: &Record| {}).unwrap();
                assert!(resumed.1 == found.1 && (resumed.0 - found.0).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn a_weight_that_is_not_a_number_ends_the_training_by_stage_step_and_name() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(dir.path(), Binding::new());
        let error = trained(f64::NAN, &[0.1, 0.2], &checkpoints, &mut |_: &Record| {}).unwrap_err();
        let error = error.to_string();
        for part in ["rl diverged at step 1: a weight is NaN", WEIGHT, "00000000`"] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}
