//! Updates of the policy from the rollouts of a step.

use std::ops::AddAssign;

use sidereal_policy::{
    CompletionPass, CompletionToken, Completions, Policy, TokenBatch, Trainable,
};
use sidereal_rl::{Diagnostics, RolloutBatch, Segments, StepSize};
use tch::{Kind, Tensor};

use super::rollout::PromptGroup;
use super::{Rl, Step};
use crate::TrainError;
use crate::learner::Learner;

/// A group with what the update needs to know of it.
#[derive(Debug)]
pub(super) struct LearnedGroup<'g, 'p> {
    pub(super) group: &'g PromptGroup<'p>,
    /// Of each rollout.
    pub(super) advantages: &'g [f64],
    /// Whether the update acts on it: its rewards differ, or there is a KL penalty. Others count in the
    /// denominators and are left out of the passes.
    pub(super) live: bool,
    /// Of each rollout; empty where there are no categories to measure it by.
    pub(super) diversities: Vec<f64>,
    /// Log-probability of each scored token under the policy that wrote it; empty while that is the one
    /// being trained, where the group is not live, and for an objective that does not look at it. The
    /// first update that reads the group fills it.
    pub(super) old_logp: Vec<f64>,
    /// The same under the reference; empty where there is none, and where the group is not live.
    pub(super) reference_logp: Vec<f64>,
}

/// What the updates of a step let see.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    pub(super) diagnostics: Diagnostics,
    /// Sum over scored tokens of the entropy of what might have been written instead, nats.
    entropy_sum: f64,
}

impl Seen {
    /// Mean entropy of the scored tokens, nats; `None` where nothing was learned from.
    pub(super) fn entropy(&self) -> Option<f64> {
        let tokens = self.diagnostics.tokens;
        (tokens > 0).then(|| self.entropy_sum / tokens as f64)
    }
}

impl AddAssign for Seen {
    fn add_assign(&mut self, other: Self) {
        self.diagnostics += other.diagnostics;
        self.entropy_sum += other.entropy_sum;
    }
}

impl Rl<'_> {
    /// What the updates of a step need to know of its groups, computed once for all of them.
    pub(super) fn taught<'s, 'p>(
        &self,
        reference: Option<&dyn Policy>,
        step: &'s Step<'p>,
        diversities: Vec<Vec<f64>>,
    ) -> Result<Vec<LearnedGroup<'s, 'p>>, TrainError> {
        let Step { groups, judged, .. } = step;
        let flat = &judged.advantages.flat_groups;
        let penalised = self.objective().needs_reference();
        let live: Vec<bool> =
            (0..groups.len()).map(|index| penalised || !flat.contains(&index)).collect();
        let teaching: Vec<&PromptGroup<'_>> =
            groups.iter().zip(&live).filter(|(_, live)| **live).map(|(group, _)| group).collect();
        let values = |of: Option<&dyn Policy>| match of {
            Some(policy) => self.values_by_group(policy, &teaching),
            None => Ok(Vec::new()),
        };
        let mut of_reference = values(reference)?.into_iter();
        let mut diversities = diversities.into_iter();
        let learned = groups.iter().zip(judged.segments.iter()).zip(live);
        let learned = learned.map(|((group, rollouts), live)| {
            let reference_logp = if live { of_reference.next() } else { None };
            // No values of a reference where there is none or the group does not learn. The objective
            // refuses others in number than its tokens.
            LearnedGroup {
                group,
                advantages: &judged.advantages.values[rollouts],
                live,
                diversities: diversities.next().unwrap_or_default(),
                old_logp: Vec::new(),
                reference_logp: reference_logp.unwrap_or_default(),
            }
        });
        Ok(learned.collect())
    }

    /// Fills in the log-probabilities under the policy that wrote the rollouts, for the mini-batches
    /// of `size` groups that are learned from after the policy has moved.
    ///
    /// The first update that moves it takes its own values instead, in [`update`](Self::update):
    /// others, computed in other batches, differ by their rounding, which would decide what a bound
    /// at a ratio of exactly 1 clips. These here are computed in the batches of the later updates.
    pub(super) fn remember_policy(
        &self,
        model: &dyn Policy,
        taught: &mut [LearnedGroup<'_, '_>],
        size: usize,
    ) -> Result<(), TrainError> {
        if !self.objective().needs_old_logp() {
            return Ok(());
        }
        let moves = |part: &&mut [LearnedGroup<'_, '_>]| part.iter().any(|group| group.live);
        for part in taught.chunks_mut(size).filter(moves).skip(1) {
            let live = part.iter().filter(|group| group.live).map(|learned| learned.group);
            let mut old = self.values_by_group(model, &live.collect::<Vec<_>>())?.into_iter();
            for (learned, old) in part.iter_mut().filter(|group| group.live).zip(old.by_ref()) {
                learned.old_logp = old;
            }
        }
        Ok(())
    }

    /// One update of step `number`, 0-based, from `groups`; returns what to watch and the gradient's norm. Where
    /// none of them is live nothing moves, the optimiser's moments included.
    pub(super) fn update<P: Trainable>(
        &self,
        learner: &mut Learner<P>,
        groups: &mut [LearnedGroup<'_, '_>],
        diversity_target: Option<f64>,
        lr: f64,
        number: usize,
    ) -> Result<(Seen, f64), TrainError> {
        let lens = groups.iter().flat_map(|learned| learned.group.lens());
        let whole = StepSize::of(&Segments::from_lens(lens));
        let mut live: Vec<_> = groups.iter_mut().filter(|group| group.live).collect();
        let mut seen = Seen::default();
        if live.is_empty() {
            return Ok((seen, 0.0));
        }
        for part in live.chunks_mut(self.config.micro_batch) {
            seen += self.backward(learner.model(), part, whole, diversity_target, number)?;
        }
        Ok((seen, learner.step(lr)?))
    }

    /// Accumulates the gradient of some groups of an update.
    fn backward(
        &self,
        model: &dyn Policy,
        part: &mut [&mut LearnedGroup<'_, '_>],
        whole: StepSize,
        diversity_target: Option<f64>,
        number: usize,
    ) -> Result<Seen, TrainError> {
        let groups: Vec<_> = part.iter().map(|learned| learned.group).collect();
        let scored = self.pass(model, &groups)?;
        let entropy_sum = scored.entropy()?.f_sum(Kind::Double)?.f_double_value(&[])?;
        let pass = scored.pass;
        let values = Vec::<f64>::try_from(pass.logp().to_kind(Kind::Double))?;
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            let part = part.iter().map(|learned| &**learned);
            return Err(self.diverged(part, number, "the log-probability of a token", *value));
        }
        let needs_old_logp = self.objective().needs_old_logp();
        if needs_old_logp {
            // Before the policy has moved it is the one that wrote the rollouts.
            let mut own = values.iter().copied();
            for learned in part.iter_mut() {
                let own: Vec<f64> = own.by_ref().take(learned.group.lens().sum()).collect();
                if learned.old_logp.is_empty() {
                    learned.old_logp = own;
                }
            }
        }
        let advantages: Vec<f64> =
            part.iter().flat_map(|learned| learned.advantages).copied().collect();
        let old: Vec<f64> = part.iter().flat_map(|learned| &learned.old_logp).copied().collect();
        let reference: Vec<f64> =
            part.iter().flat_map(|learned| &learned.reference_logp).copied().collect();
        let tokens = Segments::from_lens(part.iter().flat_map(|learned| learned.group.lens()));
        let old = if needs_old_logp { &old } else { &values };
        let mut batch = RolloutBatch::new(&tokens, &values, old, &advantages)?;
        if !reference.is_empty() {
            batch = batch.with_reference(&reference)?;
        }
        // The log-probability of an item is the sum of its title's, and a slate's length its items.
        let items: Vec<usize> =
            part.iter().flat_map(|learned| &learned.group.slates).map(Vec::len).collect();
        if !items.is_empty() {
            batch = batch.with_lengths(&items)?;
        }
        let diversities: Vec<f64> =
            part.iter().flat_map(|learned| &learned.diversities).copied().collect();
        if self.objective().needs_diversity() {
            // Before the first step has moved it, no diversity is below the target.
            let target = diversity_target.unwrap_or(f64::NEG_INFINITY);
            batch = batch.with_diversities(&diversities, target)?;
        }
        let objective = self.objective().objective(&batch, whole)?;
        // The objective is maximised, the optimiser minimises.
        pass.backward(&-Tensor::from_slice(&objective.d_logp))?;
        Ok(Seen { diagnostics: objective.diagnostics, entropy_sum })
    }

    /// Log-probability of every scored token of every rollout, with the backward pass.
    fn pass<'m>(
        &'m self,
        model: &'m dyn Policy,
        groups: &[&PromptGroup<'_>],
    ) -> Result<CompletionPass<'m>, TrainError> {
        let batch = CompletionBatch::new(groups, self.pad, model)?;
        let completions = batch.completions();
        Ok(model.completion_pass(self.constraint, &completions, self.config.law()?)?)
    }

    /// Log-probability of every scored token, group by group, without a graph. As many groups are
    /// scored together as for a gradient.
    pub(super) fn values_by_group(
        &self,
        model: &dyn Policy,
        groups: &[&PromptGroup<'_>],
    ) -> Result<Vec<Vec<f64>>, TrainError> {
        let mut all = Vec::with_capacity(groups.len());
        for part in groups.chunks(self.config.micro_batch) {
            let mut values = self.values(model, part)?.into_iter();
            let of_group = |group: &&PromptGroup<'_>| {
                values.by_ref().take(group.lens().sum()).collect::<Vec<_>>()
            };
            all.extend(part.iter().map(of_group));
        }
        Ok(all)
    }

    /// The same as numbers, without a graph.
    fn values(
        &self,
        model: &dyn Policy,
        groups: &[&PromptGroup<'_>],
    ) -> Result<Vec<f64>, TrainError> {
        let _guard = tch::no_grad_guard();
        Ok(Vec::<f64>::try_from(self.pass(model, groups)?.pass.logp().to_kind(Kind::Double))?)
    }
}

/// Prompts and rollouts of some groups, as scoring takes them.
struct CompletionBatch {
    prompts: TokenBatch,
    begun: Vec<usize>,
    rollouts: Vec<Vec<Vec<CompletionToken>>>,
}

impl CompletionBatch {
    fn new(groups: &[&PromptGroup<'_>], pad: u32, model: &dyn Policy) -> Result<Self, TrainError> {
        let ids: Vec<&[u32]> = groups.iter().map(|group| group.ids.as_slice()).collect();
        let limit = model.longest_prompt(0);
        Ok(Self {
            prompts: TokenBatch::new(&ids, pad, limit, model.device())?,
            begun: groups.iter().map(|group| group.guide.len()).collect(),
            rollouts: groups.iter().map(|group| group.completions.clone()).collect(),
        })
    }

    fn completions(&self) -> Completions<'_> {
        let Self { prompts, begun, rollouts } = self;
        Completions { prompts, begun, rollouts }
    }
}
