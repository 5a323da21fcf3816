//! Online reinforcement: rollouts, rewards, advantages, updates.

mod advantage;
mod alignment;
mod config;
mod direct;
mod diversity;
mod exact;
mod hard_samples;
mod judging;
mod later;
mod reasoned;
mod reasoning_config;
mod record;
mod reinforcing;
mod reward;
mod rollout;
mod update;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use sidereal_policy::{
    Constraint, Policy, ReasoningMarkers, SidTokenizer, Trainable, as_language_model,
};
use sidereal_prompts::Shuffle;
use sidereal_rl::{
    AdvantageEstimator, LaterChoice, PolicyObjective, RunningDiversity, VarianceGuidedSampling,
};
use sidereal_sid::SidSpec;

pub use self::advantage::{AdvantageConfig, StepReward};
pub use self::alignment::{AlignmentShare, AnswerKind};
pub use self::config::RlConfig;
pub use self::later::later_choices;
pub use self::reasoning_config::{ReasoningConfig, Unclosed};
pub use self::reward::{BuiltReward, KnownItems, NamedReward, RewardConfig, SingerReward};
pub use self::rollout::RolloutConfig;

use self::advantage::Judged;
use self::reinforcing::Reinforcing;
use self::rollout::PromptGroup;
use self::update::{LearnedGroup, Seen};
use crate::TrainError;
use crate::checked::Checked;
use crate::checkpoint::Checkpoints;
use crate::encode::{EncodedPrompt, Mode};
use crate::item_facts::ItemFacts;
use crate::learner::Learner;
use crate::lengths::check_lengths;
use crate::observe::{Observer, Record};
use crate::setting::of_stage;
use crate::slate::SlateAnswers;
use crate::titles::TitleTrie;
use crate::trainer::Trainer;
use crate::validation::Validation;

/// A prompt to improve on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RlPrompt {
    /// Token ids and identity.
    pub prompt: EncodedPrompt,
    /// Flat tokens of the target's Semantic ID.
    pub target: Vec<u32>,
    /// What it is answered with.
    pub answer: AnswerKind,
    /// What the user chose later in training and did with it, for rewards on behaviours; without such rewards it
    /// may be empty.
    pub later: Vec<LaterChoice>,
}

/// Online reinforcement of a policy by a reward over Semantic IDs or slates, and of titles by exact match.
#[derive(Debug)]
pub struct Rl<'a> {
    /// Name in logs.
    pub stage: &'a str,
    /// Settings.
    pub config: &'a Checked<RlConfig>,
    /// What a rollout is worth.
    pub reward: StepReward<'a>,
    /// Codebook sizes.
    pub spec: &'a SidSpec,
    /// How many codes, from the first on, say what an item is. Further ones, such as a number in a slot, only
    /// tell items apart: they are drawn and must be right for a hit, but rewards for a share of the levels and
    /// guides do not count them. `None`: all levels of `spec`, which has no suffix among them.
    pub num_levels: Option<NonZeroUsize>,
    /// What may be written.
    pub constraint: &'a Constraint,
    /// What the diversity of rollouts and the lists of validation are measured by.
    pub facts: ItemFacts<'a>,
    /// An objective and an advantage of your own, in place of those of the settings.
    pub own: OwnMethods<'a>,
    /// Id that fills short rows.
    pub pad: u32,
    /// Shows prompts and rollouts as text; not needed by a policy that reads no text.
    pub tokenizer: Option<&'a SidTokenizer>,
    /// What closes a chain of thought, for prompts that are answered after one.
    pub markers: Option<&'a ReasoningMarkers>,
    /// What slates are made of, where all prompts ask for one.
    pub slates: Option<SlateAnswers<'a>>,
    /// The titles of all items, where prompts are answered with one.
    pub titles: Option<&'a TitleTrie>,
    /// Seed of the order of prompts.
    pub seed: u64,
    /// Prompts decoded together in validation.
    pub batch_size: usize,
    /// Where training state is kept.
    pub checkpoints: &'a Checkpoints,
}

/// An objective and an advantage of the caller's own; without one, that of the settings is taken.
#[derive(Clone, Copy, Default)]
pub struct OwnMethods<'a> {
    /// From log-probabilities and advantages to a number to maximise, and its gradient.
    pub objective: Option<&'a dyn PolicyObjective>,
    /// From rewards to advantages.
    pub advantage: Option<&'a dyn AdvantageEstimator>,
}

impl std::fmt::Debug for OwnMethods<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnMethods")
            .field("objective", &self.objective.map(PolicyObjective::name))
            .field("advantage", &self.advantage.map(AdvantageEstimator::name))
            .finish()
    }
}

/// The groups of a step, judged.
struct Step<'p> {
    groups: Vec<PromptGroup<'p>>,
    judged: Judged,
    /// Groups that were drawn, those that were replaced included.
    drawn: usize,
}

impl Rl<'_> {
    /// Levels that rewards and guides count: those of the recipe, or of the lab.
    fn levels(&self) -> usize {
        let all = self.spec.num_levels();
        self.config.levels.or(self.num_levels).map_or(all, |levels| levels.get().min(all))
    }

    /// The objective of the updates.
    fn objective(&self) -> &dyn PolicyObjective {
        self.own.objective.unwrap_or(&self.config.objective)
    }

    /// Improves `model` on `prompts` and returns the weights with the best validation NDCG@10.
    ///
    /// One step: `G` rollouts under the trie for each prompt, or `G` chains of thought with a
    /// Semantic ID drawn after each, whose words and codes learn together, or as many free texts of chain and
    /// answer, or `G` slates, or `G` titles
    /// under the trie of all titles, which are never guided and worth 1 if right, else 0; a direct
    /// prompt without a hit is hard and, under the curriculum, rolled out again after its guide;
    /// rewards, advantages within groups; `passes` times through its mini-batches, one update of the surrogate
    /// objective each. The reference of a KL penalty is the policy that came in, or its latest
    /// copy. Groups whose rewards are all equal have no advantages: with `max_draws` above 1 they are
    /// replaced while the step may draw more. Those that stay count in the denominators; only a KL
    /// penalty acts on them, and without one they are left out of the passes.
    ///
    /// With exact rollouts a step draws nothing: each update follows the exact gradient, over all Semantic
    /// IDs of the catalogue, of the policy that it finds.
    ///
    /// The first update of a step compares the policy with itself: its ratios are 1 exactly. Later
    /// ones are held against the log-probabilities that the policy had before the first.
    ///
    /// # Errors
    /// [`TrainError::NoSamples`], [`TrainError::Diverged`], and those of files, rewards and
    /// tensors; before the first step [`TrainError::Policy`] where exact expectations are asked of a policy
    /// that does not know all probabilities.
    pub fn run<P: Trainable>(
        &self,
        model: P,
        prompts: &[RlPrompt],
        valid: &[EncodedPrompt],
        observer: &mut dyn Observer,
    ) -> Result<P, TrainError> {
        if prompts.is_empty() {
            return Err(TrainError::NoSamples { what: "reinforcement" });
        }
        of_stage(self.stage, self.facts.check_needed(self.objective()))?;
        self.check_lengths(&model, prompts, valid)?;
        let answers = self.answers(&model)?;
        let compares = self.objective().needs_reference() || answers.is_some();
        let reference = compares.then(|| model.frozen_copy()).transpose()?;
        let RlConfig { trainable, optim, .. } = &**self.config;
        let learner = Learner::new(model, trainable, optim, self.constraint, self.seed)?;
        let trainer = Trainer {
            stage: self.stage,
            steps: self.config.steps,
            validate_every: self.config.validate_every,
            checkpoint_every: self.config.checkpoint_every,
            num_prompts: prompts.len(),
            seed: self.seed,
            checkpoints: self.checkpoints,
        };
        let mut method =
            Reinforcing { rl: self, prompts, valid, answers, reference, diversity: None };
        trainer.run(learner, &mut method, observer)
    }

    /// Draws and judges the groups of a step.
    fn draw_step<'p>(
        &self,
        model: &dyn Policy,
        prompts: &'p [RlPrompt],
        order: &mut Shuffle,
        step: usize,
    ) -> Result<Step<'p>, TrainError> {
        let wanted = self.config.prompts_per_step;
        let mut sampling = VarianceGuidedSampling::new(wanted, wanted * self.config.max_draws);
        let (mut groups, mut rejected, mut drawn) = (Vec::new(), Vec::new(), 0);
        let mut times = BTreeMap::new();
        while let Some(size) = NonZeroUsize::new(sampling.needed()) {
            let batch: Vec<&RlPrompt> =
                order.next_batch(size).iter().map(|index| &prompts[*index]).collect();
            drawn += batch.len();
            let found = self.groups(model, &batch, step, &mut times)?;
            if self.config.max_draws == 1 {
                groups = found;
                break;
            }
            let judged = self.judge(&found)?;
            let kept = sampling.offer_advantages(&judged.advantages, &judged.segments)?;
            for (index, group) in found.into_iter().enumerate() {
                if kept.binary_search(&index).is_ok() {
                    groups.push(group);
                } else {
                    rejected.push(group);
                }
            }
        }
        // A prompt weighs the same in every step, however many groups of the step teach.
        let missing = wanted.saturating_sub(groups.len());
        groups.extend(rejected.into_iter().take(missing));
        let judged = self.judge(&groups)?;
        Ok(Step { groups, judged, drawn })
    }

    /// Accepts prompts that leave room for their answers, before anything is computed.
    fn check_lengths(
        &self,
        model: &dyn Policy,
        prompts: &[RlPrompt],
        valid: &[EncodedPrompt],
    ) -> Result<(), TrainError> {
        let direct = match &self.slates {
            Some(slates) => slates.longest_prompt(as_language_model(model, "slates")?),
            None => model.longest_prompt(self.constraint.max_len()),
        };
        let reasons = self.config.reasoning.is_some();
        let search = reasons.then(|| self.reasoning_search(model, self.seed)).transpose()?;
        let reasoned = search.map_or(direct, |search| search.longest_prompt());
        let of_mode = |mode| if mode == Mode::Direct { direct } else { reasoned };
        let (titles, sids): (Vec<&RlPrompt>, Vec<&RlPrompt>) =
            prompts.iter().partition(|prompt| prompt.answer == AnswerKind::Title);
        let all = sids.into_iter().map(|prompt| &prompt.prompt).chain(valid);
        let limits = all.map(|p| (p.id, p.ids.len(), of_mode(p.mode)));
        if titles.is_empty() {
            return check_lengths(self.stage, limits);
        }
        let limit = model.longest_prompt(self.titles()?.constraint().max_len());
        let titles = titles.into_iter().map(|p| (p.prompt.id, p.prompt.ids.len(), limit));
        check_lengths(self.stage, limits.chain(titles))
    }

    /// All updates of step `number`, 0-based; `running` is SAGE's mean of the diversity so far.
    fn learn<P: Trainable>(
        &self,
        learner: &mut Learner<P>,
        reference: Option<&dyn Policy>,
        step: &Step<'_>,
        number: usize,
        running: &mut Option<RunningDiversity>,
    ) -> Result<Record, TrainError> {
        let model = learner.model();
        let updates = self.config.updates_per_step();
        let diversities = self.diversities(&step.groups);
        let step_diversities = diversities.concat();
        // Algorithm 1 of SAGE moves the target after the step, which is held against the one before.
        let diversity_target = running.and_then(|running| running.value());
        let mut taught = self.taught(reference, step, diversities)?;
        let total = self.config.steps * updates;
        let size = taught.len().div_ceil(self.config.mini_batches).max(1);
        self.remember_policy(model, &mut taught, size)?;
        let (mut seen, mut norm, mut lr) = (Seen::default(), 0f64, 0.0);
        let mut done = number * updates;
        for _ in 0..self.config.passes {
            for part in taught.chunks_mut(size) {
                lr = self.config.optim.lr_at(done, total);
                let (found, grad_norm) =
                    self.update(learner, part, diversity_target, lr, number)?;
                if !grad_norm.is_finite() {
                    return Err(self.diverged(&*part, number, "the gradient's norm", grad_norm));
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
        if self.objective().needs_diversity() {
            let before = match running.take() {
                Some(before) => before,
                None => RunningDiversity::new(self.config.diversity_rate)?,
            };
            running.insert(before).update(&step_diversities)?;
        }
        let mut record = self.record(step, number, &seen).with("lr", lr).with("grad_norm", norm);
        if !step_diversities.is_empty() {
            let sum: f64 = step_diversities.iter().sum();
            record = record.with("diversity", sum / step_diversities.len() as f64);
        }
        Ok(match diversity_target {
            Some(target) => record.with("diversity_target", target),
            None => record,
        })
    }

    /// The error of a step from which training should not go on.
    fn diverged<'g>(
        &self,
        part: impl IntoIterator<Item = &'g LearnedGroup<'g, 'g>>,
        number: usize,
        what: &'static str,
        found: f64,
    ) -> TrainError {
        let samples = part.into_iter().map(|learned| learned.group.prompt.prompt.id);
        TrainError::diverged(self.stage, number + 1, (what, found), self.checkpoints, samples)
    }

    /// Every validation draws its chains by the same numbers.
    fn validation<'m>(&'m self, model: &'m dyn Policy) -> Result<Validation<'m>, TrainError> {
        let reasons = self.config.reasoning.is_some();
        Ok(Validation {
            model,
            constraint: self.constraint,
            facts: self.facts,
            scoring: self.config.scoring,
            reasoning: reasons.then(|| self.reasoning_search(model, self.seed)).transpose()?,
            slates: self.slates,
            pad: self.pad,
            batch_size: self.batch_size,
        })
    }
}
