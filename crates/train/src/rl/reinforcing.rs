//! Reinforcement as the trainer runs it, step by step.

use std::num::NonZeroUsize;

use sidereal_policy::{Policy, Trainable, Weights};
use sidereal_prompts::Shuffle;
use sidereal_rl::RunningDiversity;
use tch::Tensor;

use super::exact::{Answers, ExactStep};
use super::{Rl, RlPrompt, RolloutConfig};
use crate::TrainError;
use crate::checkpoint::{copy_into, prefixed, without_prefix};
use crate::encode::EncodedPrompt;
use crate::learner::Learner;
use crate::observe::{Observer, Record};
use crate::trainer::Method;
use crate::validation::Validated;

/// Prefix of a synced reference's weights in a checkpoint.
const REFERENCE: &str = "reference.";

/// Reinforcement under way.
pub(super) struct Reinforcing<'a, P> {
    pub(super) rl: &'a Rl<'a>,
    pub(super) prompts: &'a [RlPrompt],
    pub(super) valid: &'a [EncodedPrompt],
    /// All answers, where exact expectations are asked for.
    pub(super) answers: Option<Answers>,
    /// The policy that a KL penalty holds on to, and that exact divergences are measured from.
    pub(super) reference: Option<P>,
    /// `H̄` of SAGE.
    pub(super) diversity: Option<RunningDiversity>,
}

impl<P: Trainable> Reinforcing<'_, P> {
    /// A step of rollouts.
    fn drawn_step(
        &mut self,
        learner: &mut Learner<P>,
        order: &mut Shuffle,
        done: usize,
        shows: bool,
    ) -> Result<Record, TrainError> {
        let step = self.rl.draw_step(learner.model(), self.prompts, order, done)?;
        let expected = match self.exact(done) {
            Some(exact) => {
                let prompts: Vec<&RlPrompt> =
                    step.groups.iter().map(|group| group.prompt).collect();
                Some(exact.expected(learner.model(), &prompts)?)
            }
            None => None,
        };
        let penalises = self.rl.objective().needs_reference();
        let reference = self.reference.as_ref().filter(|_| penalises);
        let reference = reference.map(|policy| policy as &dyn Policy);
        let mut record = self.rl.learn(learner, reference, &step, done, &mut self.diversity)?;
        if let Some(expected) = expected {
            record = expected.added_to(record);
        }
        if shows {
            record.rollouts = self.rl.shown(&step)?;
        }
        Ok(record)
    }

    /// A step over all answers.
    fn exact_step(
        &self,
        exact: &ExactStep<'_, '_>,
        learner: &mut Learner<P>,
        order: &mut Shuffle,
        shows: bool,
    ) -> Result<Record, TrainError> {
        let size = NonZeroUsize::new(self.rl.config.prompts_per_step).unwrap_or(NonZeroUsize::MIN);
        let prompts: Vec<&RlPrompt> =
            order.next_batch(size).iter().map(|index| &self.prompts[*index]).collect();
        let sample = match prompts.first().filter(|_| shows) {
            Some(prompt) => Some(exact.shown(learner.model(), prompt)?),
            None => None,
        };
        let mut record = exact.learn(learner, &prompts)?;
        record.rollouts = sample;
        Ok(record)
    }

    /// Exact expectations of step `number`, 0-based, where they are asked for.
    fn exact(&self, number: usize) -> Option<ExactStep<'_, '_>> {
        let (answers, reference) = (self.answers.as_ref()?, self.reference.as_ref()?);
        Some(ExactStep { rl: self.rl, answers, reference, number })
    }

    /// The reference, where it changes in the course of the run.
    fn synced(&self) -> Option<&P> {
        self.reference.as_ref().filter(|_| self.rl.config.sync_reference_every > 0)
    }
}

impl<P: Trainable> Method<P> for Reinforcing<'_, P> {
    type State = Option<RunningDiversity>;

    fn begin(&mut self, _: &P, _: &mut dyn Observer) -> Result<(), TrainError> {
        Ok(())
    }

    fn restore(&mut self, state: Self::State, tensors: &Weights) -> Result<(), TrainError> {
        self.diversity = state;
        match self.synced() {
            Some(synced) => copy_into(synced.weights(), &without_prefix(REFERENCE, tensors)),
            None => Ok(()),
        }
    }

    fn step(
        &mut self,
        learner: &mut Learner<P>,
        order: &mut Shuffle,
        done: usize,
        shows: bool,
    ) -> Result<Record, TrainError> {
        let exact = self.exact(done).filter(|_| self.rl.config.rollout == RolloutConfig::Exact);
        let record = match exact {
            Some(exact) => self.exact_step(&exact, learner, order, shows)?,
            None => self.drawn_step(learner, order, done, shows)?,
        };
        if let Some(synced) = self.synced()
            && (done + 1).is_multiple_of(self.rl.config.sync_reference_every)
        {
            copy_into(synced.weights(), &learner.model().merged_weights()?)?;
        }
        Ok(record)
    }

    fn validate(&self, model: &P) -> Result<Validated, TrainError> {
        self.rl.validation(model)?.run(self.valid)
    }

    fn state(&self) -> Self::State {
        self.diversity
    }

    fn tensors(&self) -> Vec<(String, Tensor)> {
        self.synced().into_iter().flat_map(|model| prefixed(REFERENCE, model.weights())).collect()
    }
}
