//! Online reinforcement: rollouts, rewards, advantages, updates.

mod advantage;
mod config;
mod reward;
mod rollout;
mod update;

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use sidereal_corpus::{Cursor, Shuffle};
use sidereal_policy::{Constraint, Decoder, ReasoningMarkers, SidTokenizer};
use sidereal_rl::{Group, RunningEntropy, Slates, VarianceGuidedSampling};
use sidereal_sid::SidSpec;

pub use self::advantage::{AdvantageConfig, StepReward};
pub use self::config::{ReasoningConfig, RlConfig};
pub use self::reward::{BuiltReward, KnownItems, NamedReward, RewardConfig, SingerReward};
pub use self::rollout::RolloutConfig;

use self::advantage::Judged;
use self::rollout::PromptGroup;
use self::update::{LearnedGroup, Seen};
use crate::TrainError;
use crate::checkpoint::{Checkpoints, copy_into, prefixed, without_prefix};
use crate::encode::Prompt;
use crate::evaluate::Validation;
use crate::learner::Learner;
use crate::observe::{Observer, Record, ShownGroup, ShownRollout};
use crate::slate::SlateAnswers;

/// Rollouts of a group that are shown.
const SHOWN_ROLLOUTS: usize = 4;

/// A prompt to improve on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RlPrompt {
    /// Token ids and identity.
    pub prompt: Prompt,
    /// Flat tokens of the target's Semantic ID.
    pub target: Vec<u32>,
}

/// Where training stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct RlState {
    step: usize,
    cursor: Cursor,
    best: Option<f64>,
    /// `H̄` of SAGE.
    entropy: Option<RunningEntropy>,
}

/// Online reinforcement of a policy by a reward over Semantic IDs or slates.
#[derive(Debug)]
pub struct Rl<'a> {
    /// Name in logs.
    pub stage: &'a str,
    /// Settings.
    pub config: &'a RlConfig,
    /// What a rollout is worth.
    pub reward: StepReward<'a>,
    /// Levels and codebook sizes.
    pub spec: &'a SidSpec,
    /// What may be written.
    pub constraint: &'a Constraint,
    /// Writes short rows' padding, and rollouts as text.
    pub tokenizer: &'a SidTokenizer,
    /// What closes a chain of thought, for prompts that are thought about.
    pub markers: Option<&'a ReasoningMarkers>,
    /// What slates are made of, where all prompts ask for one.
    pub slates: Option<SlateAnswers<'a>>,
    /// Seed of the order of prompts.
    pub seed: u64,
    /// Prompts decoded together in validation.
    pub batch_size: usize,
    /// Where training state is kept.
    pub checkpoints: &'a Checkpoints,
}

/// The groups of a step, judged.
struct Step<'p> {
    groups: Vec<PromptGroup<'p>>,
    judged: Judged,
    /// Groups that were drawn, those that were replaced included.
    drawn: usize,
}

impl Rl<'_> {
    /// Improves `model` on `prompts` and returns the weights with the best validation NDCG@10.
    ///
    /// One step: `G` rollouts under the trie for each prompt, or `G` chains of thought with a
    /// Semantic ID drawn behind each, whose words and codes learn together, or `G` slates; a direct
    /// prompt without a hit is hard and, under the curriculum, rolled out again behind its guide;
    /// rewards, advantages within groups; `passes` times through its mini-batches, one update of the surrogate
    /// objective each. The reference of a KL penalty is the policy that came in, or its latest
    /// copy. Groups whose rewards are all equal carry no signal: with `max_draws` above 1 they are
    /// replaced while the step may draw more; those that stay count in the denominators and are
    /// left out of the passes, KL penalty included.
    ///
    /// # Errors
    /// [`TrainError::NoSamples`], [`TrainError::Diverged`], and those of files, rewards and
    /// tensors.
    pub fn run(
        &self,
        model: Decoder,
        prompts: &[RlPrompt],
        valid: &[Prompt],
        observer: &mut dyn Observer,
    ) -> Result<Decoder, TrainError> {
        if prompts.is_empty() {
            return Err(TrainError::NoSamples { what: "reinforcement" });
        }
        let reference = self.config.needs_reference().then(|| model.frozen_copy()).transpose()?;
        let RlConfig { trainable, optim, .. } = self.config;
        let mut learner = Learner::new(model, trainable, optim, self.constraint, self.seed)?;
        let mut state = RlState::default();
        if let Some((found, tensors)) = learner.resume::<RlState>(self.checkpoints)? {
            if let (Some(reference), true) = (&reference, self.config.sync_reference_every > 0) {
                copy_into(reference.weights(), &without_prefix("reference.", &tensors))?;
            }
            state = found;
            tracing::info!(stage = self.stage, step = state.step, "resumed reinforcement");
        } else {
            let ndcg = self.validation(learner.model())?.ndcg(valid)?;
            tracing::info!(stage = self.stage, step = 0, ndcg, "validated");
            state.best = Some(ndcg);
        }
        observer.on_resume(self.stage, state.step);
        if let (0, Some(ndcg)) = (state.step, state.best) {
            let start = Record::new(self.stage, 0, self.config.steps);
            observer.on_record(&start.with("valid_ndcg", ndcg));
        }
        let mut order = Shuffle::resume(prompts.len(), self.seed, state.cursor);
        while state.step < self.config.steps {
            let step = self.draw_step(learner.model(), prompts, &mut order, state.step)?;
            let mut record = self.learn(&mut learner, reference.as_ref(), &step, &mut state)?;
            state.step += 1;
            state.cursor = order.cursor();
            if let Some(reference) = &reference
                && self.config.sync_reference_every > 0
                && state.step % self.config.sync_reference_every == 0
            {
                copy_into(reference.weights(), &learner.model().merged_weights()?)?;
            }
            let last = state.step == self.config.steps;
            if state.step == 1 || last || state.step % self.config.validate_every.max(1) == 0 {
                record.rollouts = self.shown(&step)?;
            }
            if last || state.step % self.config.validate_every.max(1) == 0 {
                let ndcg = self.validation(learner.model())?.ndcg(valid)?;
                record = record.with("valid_ndcg", ndcg);
                tracing::info!(stage = self.stage, step = state.step, ndcg, "validated");
                if state.best.is_none_or(|best| ndcg > best) {
                    state.best = Some(ndcg);
                    learner.keep();
                }
            }
            observer.on_record(&record);
            if last || state.step % self.config.checkpoint_every.max(1) == 0 {
                let synced = reference.as_ref().filter(|_| self.config.sync_reference_every > 0);
                let synced = synced.iter().flat_map(|r| prefixed("reference.", r.weights()));
                learner.save(self.checkpoints, state.step, &state, synced)?;
            }
        }
        learner.finish()
    }

    /// Draws and judges the groups of a step.
    fn draw_step<'p>(
        &self,
        model: &Decoder,
        prompts: &'p [RlPrompt],
        order: &mut Shuffle,
        step: usize,
    ) -> Result<Step<'p>, TrainError> {
        let wanted = self.config.prompts_per_step;
        let mut sampling = VarianceGuidedSampling::new(wanted, wanted * self.config.max_draws);
        let (mut groups, mut drawn) = (Vec::new(), 0);
        while let Some(size) = NonZeroUsize::new(sampling.needed()) {
            let batch: Vec<&RlPrompt> =
                order.next_batch(size).iter().map(|index| &prompts[*index]).collect();
            drawn += batch.len();
            let found = self.groups(model, &batch, step)?;
            if self.config.max_draws == 1 {
                groups = found;
                break;
            }
            let judged = self.judge(&found)?;
            let kept = sampling.offer(&judged.rewards, &judged.segments)?;
            groups.extend(
                found
                    .into_iter()
                    .enumerate()
                    .filter(|(index, _)| kept.binary_search(index).is_ok())
                    .map(|(_, group)| group),
            );
        }
        let judged = self.judge(&groups)?;
        Ok(Step { groups, judged, drawn })
    }

    fn judge(&self, groups: &[PromptGroup<'_>]) -> Result<Judged, TrainError> {
        let texts: Vec<Vec<String>> = groups
            .iter()
            .map(|group| group.thoughts.iter().map(|thoughts| thoughts.text.clone()).collect())
            .collect();
        let groups: Vec<Group<'_>> = groups
            .iter()
            .zip(&texts)
            .map(|(group, texts)| {
                let judged = Group::new(&group.target, &group.sids);
                let judged = judged.with_hardness(group.hard).with_texts(texts);
                let (target, items) = (group.prompt.prompt.target, group.slates.as_slice());
                if items.is_empty() { judged } else { judged.with_slates(Slates { target, items }) }
            })
            .collect();
        self.config.advantage.judge(self.reward, &groups)
    }

    /// All updates of a step.
    fn learn(
        &self,
        learner: &mut Learner,
        reference: Option<&Decoder>,
        step: &Step<'_>,
        state: &mut RlState,
    ) -> Result<Record, TrainError> {
        let model = learner.model();
        let number = state.step;
        let Step { groups, judged, .. } = step;
        let flat = &judged.advantages.flat_groups;
        let updates = self.config.updates_per_step();
        let all: Vec<&PromptGroup<'_>> = groups.iter().collect();
        let old_logp = if updates > 1 { self.values_by_group(model, &all)? } else { Vec::new() };
        let entropies = if self.config.needs_entropies() {
            self.entropies_by_group(model, &all)?
        } else {
            Vec::new()
        };
        let mut taught: Vec<_> = groups
            .iter()
            .zip(judged.segments.iter())
            .enumerate()
            .map(|(index, (group, rollouts))| LearnedGroup {
                group,
                advantages: &judged.advantages.values[rollouts],
                live: !flat.contains(&index),
                entropies: entropies.get(index).cloned().unwrap_or_default(),
                old_logp: old_logp.get(index).cloned().unwrap_or_default(),
            })
            .collect();
        let entropy_target = if self.config.needs_entropies() {
            let found: Vec<f64> = entropies.concat();
            let running = match state.entropy.take() {
                Some(running) => running,
                None => RunningEntropy::new(self.config.entropy_rate)?,
            };
            state.entropy.insert(running).update(&found)?
        } else {
            None
        };
        let total = self.config.steps * updates;
        let size = taught.len().div_ceil(self.config.mini_batches).max(1);
        let (mut seen, mut norm, mut lr) = (Seen::default(), 0f64, 0.0);
        let mut done = number * updates;
        for _ in 0..self.config.passes {
            for part in taught.chunks_mut(size) {
                lr = self.config.optim.lr_at(done, total);
                let (found, grad_norm) =
                    self.update(learner, reference, part, entropy_target, lr)?;
                if !grad_norm.is_finite() {
                    return Err(self.diverged(part, number, "the gradient's norm", grad_norm));
                }
                seen += found;
                norm = norm.max(grad_norm);
                done += 1;
            }
        }
        let (reference_kl, old_kl) = (seen.diagnostics.ref_kl(), seen.diagnostics.approx_kl());
        for (what, found) in [
            ("the divergence from the reference", reference_kl),
            ("the divergence within a step", old_kl),
        ] {
            if found > self.config.max_kl || found.is_nan() {
                return Err(self.diverged(&taught, number, what, found));
            }
        }
        if let Some(entropy) = seen.entropy()
            && (entropy < self.config.min_entropy || entropy.is_nan())
        {
            return Err(self.diverged(&taught, number, "the entropy of a token", entropy));
        }
        let record = self.record(step, number, &seen).with("lr", lr).with("grad_norm", norm);
        Ok(match entropy_target {
            Some(target) => record.with("entropy_target", target),
            None => record,
        })
    }

    /// The error of a step from which training should not go on.
    fn diverged(
        &self,
        part: &[LearnedGroup<'_, '_>],
        number: usize,
        what: &'static str,
        found: f64,
    ) -> TrainError {
        let samples: Vec<String> =
            part.iter().map(|learned| learned.group.prompt.prompt.id.to_string()).collect();
        TrainError::Diverged {
            stage: self.stage.to_owned(),
            step: number + 1,
            what,
            found,
            checkpoint: self.checkpoints.dir().to_owned(),
            samples: samples.join(" "),
        }
    }

    /// Every validation draws its thoughts by the same numbers.
    fn validation<'m>(&'m self, model: &'m Decoder) -> Result<Validation<'m>, TrainError> {
        let thinks = self.config.reasoning.is_some();
        Ok(Validation {
            model,
            constraint: self.constraint,
            scoring: self.config.scoring,
            thinker: thinks.then(|| self.thinker(model, self.seed)).transpose()?,
            slates: self.slates,
            pad: self.tokenizer.pad(),
            batch_size: self.batch_size,
        })
    }

    /// The rollouts of a step's first prompt.
    fn shown(&self, step: &Step<'_>) -> Result<Option<ShownGroup>, TrainError> {
        let (Some(group), Some(range)) = (step.groups.first(), step.judged.segments.iter().next())
        else {
            return Ok(None);
        };
        let rollouts = group
            .completions
            .iter()
            .zip(&step.judged.rewards[range])
            .take(SHOWN_ROLLOUTS)
            .map(|(completion, reward)| {
                Ok(ShownRollout { text: self.text(completion)?, reward: *reward })
            })
            .collect::<Result<_, TrainError>>()?;
        Ok(Some(ShownGroup {
            id: group.prompt.prompt.id,
            prompt: self.tokenizer.decode(&group.ids)?,
            target: self.sought(group)?,
            rollouts,
        }))
    }

    /// The target as a rollout would write it.
    fn sought(&self, group: &PromptGroup<'_>) -> Result<String, TrainError> {
        let Some(SlateAnswers { lines, .. }) = self.slates else {
            return Ok(group.target.to_string());
        };
        let title = lines.flat(group.prompt.prompt.target).unwrap_or_default();
        Ok(self.tokenizer.decode(&lines.ids(&title))?.trim_end().to_owned())
    }

    /// What a step shows.
    fn record(&self, step: &Step<'_>, number: usize, seen: &Seen) -> Record {
        let (entropy, seen) = (seen.entropy(), &seen.diagnostics);
        let Step { groups, judged, drawn } = step;
        let count = groups.len().max(1) as f64;
        let hard = groups.iter().filter(|group| group.hard).count() as f64;
        let guided: usize = groups.iter().map(|group| group.guide.len()).sum();
        let flat = &judged.advantages.flat_groups;
        let live = groups.len() - flat.len();
        let flat_hard = flat.iter().filter(|index| groups[**index].hard).count() as f64;
        let distinct: usize = groups.iter().map(PromptGroup::distinct).sum();
        let rollouts = judged.rewards.len() as f64;
        let mut record = Record::new(self.stage, number + 1, self.config.steps)
            .with("reward", judged.rewards.iter().sum::<f64>() / rollouts.max(1.0));
        for (name, quantile) in spread_of(&judged.rewards) {
            record = record.with(name, quantile);
        }
        record = record
            .with("hit", 1.0 - hard / count)
            .with("hard", hard / count)
            .with("guide", if hard > 0.0 { guided as f64 / hard } else { 0.0 })
            .with("live", live as f64 / count)
            .with("live_hard", if hard > 0.0 { 1.0 - flat_hard / hard } else { 0.0 })
            .with("kl", seen.ref_kl())
            .with("rollouts", rollouts)
            .with("distinct", distinct as f64 / rollouts.max(1.0));
        if let Some(entropy) = entropy {
            record = record.with("entropy", entropy);
        }
        if self.config.max_draws > 1 {
            record = record.with("drawn", *drawn as f64);
        }
        if self.config.updates_per_step() > 1 {
            record = record
                .with("ratio", seen.mean_ratio())
                .with("old_kl", seen.approx_kl())
                .with("clip_low", seen.clip_fraction_low())
                .with("clip_high", seen.clip_fraction_high());
        }
        let thoughts: Vec<_> = groups.iter().flat_map(|group| &group.thoughts).collect();
        if !thoughts.is_empty() {
            let count = thoughts.len() as f64;
            let drawn: usize = thoughts.iter().map(|thoughts| thoughts.drawn).sum();
            let forced = thoughts.iter().filter(|thoughts| thoughts.forced).count();
            record =
                record.with("thought", drawn as f64 / count).with("forced", forced as f64 / count);
        }
        for (name, mean) in &judged.parts {
            record = record.with(&format!("reward_{name}"), *mean);
        }
        record
    }
}

/// What a tenth, half and nine tenths of the rewards lie below: their distribution, in three curves.
fn spread_of(rewards: &[f64]) -> impl Iterator<Item = (&'static str, f64)> {
    let mut sorted = rewards.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    let names = [("rewards_p10", 1), ("rewards_p50", 5), ("rewards_p90", 9)];
    names
        .into_iter()
        .filter_map(move |(name, tenths)| Some((name, *sorted.get((last * tenths + 5) / 10)?)))
}
