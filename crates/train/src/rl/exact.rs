//! Exact expectations and gradients: all Semantic IDs of the catalogue in place of rollouts.

mod settings;

use std::collections::BTreeMap;

use sidereal_policy::{LogpPass, Policy, TokenBatch, Trainable, as_exact};
use sidereal_rl::{AllAnswers, Expected, Group, Reward as _};
use sidereal_sid::{ItemId, SemanticId};
use tch::{Kind, Tensor};

use super::{Rl, RlPrompt, RolloutConfig, StepReward};
use crate::TrainError;
use crate::learner::Learner;
use crate::observe::{Record, ShownGroup, ShownRollout};

/// The most probabilities that a pass computes. It holds a few tensors of that many values.
const PROBABILITIES: usize = 1 << 21;

/// The most probable answers of a prompt that are shown.
const SHOWN_ANSWERS: usize = 4;

/// All answers, in the order in which a policy gives their probabilities.
#[derive(Debug)]
pub(super) struct Answers {
    sids: Vec<SemanticId>,
}

/// A step over all answers.
pub(super) struct ExactStep<'s, 'r> {
    pub(super) rl: &'s Rl<'r>,
    pub(super) answers: &'s Answers,
    /// What divergences are measured from.
    pub(super) reference: &'s dyn Policy,
    /// 0-based.
    pub(super) number: usize,
}

/// The answers of a prompt, judged.
struct JudgedAnswers {
    target: SemanticId,
    /// Of each answer.
    rewards: Vec<f64>,
    /// What is expected of each named part of the reward.
    parts: BTreeMap<String, f64>,
}

/// Sums over prompts of what is expected of each.
#[derive(Debug, Default)]
pub(super) struct Expectations {
    prompts: usize,
    reward: f64,
    entropy: f64,
    kl: f64,
    parts: BTreeMap<String, f64>,
}

impl Expectations {
    fn see(&mut self, expected: &Expected, parts: BTreeMap<String, f64>) {
        self.prompts += 1;
        self.reward += expected.reward;
        self.entropy += expected.entropy;
        self.kl += expected.kl.unwrap_or_default();
        for (name, value) in parts {
            *self.parts.entry(name).or_default() += value;
        }
    }

    fn mean(&self, sum: f64) -> f64 {
        sum / self.prompts.max(1) as f64
    }

    /// The record with the means over prompts.
    pub(super) fn added_to(&self, record: Record) -> Record {
        record
            .with("exact_reward", self.mean(self.reward))
            .with("exact_entropy", self.mean(self.entropy))
            .with("exact_kl", self.mean(self.kl))
    }
}

impl Rl<'_> {
    /// All answers, where the settings ask for exact expectations.
    pub(super) fn answers(&self, model: &dyn Policy) -> Result<Option<Answers>, TrainError> {
        let is_exact = self.config.rollout == RolloutConfig::Exact;
        if !is_exact && !self.config.exact_log {
            return Ok(None);
        }
        as_exact(model, "exact expectations")?;
        if is_exact && (self.own.objective.is_some() || self.own.advantage.is_some()) {
            return Err(TrainError::Setting {
                field: format!("stage.{}.rl.rollout", self.stage),
                found: "`exact` with an objective or an advantage of the caller's own".to_owned(),
                needed: "rollouts for them, or the objective of the settings",
            });
        }
        let trie = self.constraint.trie();
        let sid = |item: ItemId| {
            let tokens = self.constraint.flat(item).ok_or(TrainError::UnknownItem { item })?;
            Ok(self.semantic_id(&tokens))
        };
        let sids = trie.leaves().filter_map(|leaf| trie.items(leaf).first()).map(|item| sid(*item));
        Ok(Some(Answers { sids: sids.collect::<Result<_, TrainError>>()? }))
    }
}

impl ExactStep<'_, '_> {
    /// What `model` is expected to get for these prompts, computed without a graph.
    pub(super) fn expected(
        &self,
        model: &dyn Policy,
        prompts: &[&RlPrompt],
    ) -> Result<Expectations, TrainError> {
        let _guard = tch::no_grad_guard();
        let mut seen = Expectations::default();
        for part in prompts.chunks(self.at_once()) {
            let logp = self.values(&self.pass(model, part)?, part)?;
            self.each(part, &logp, &mut seen, |answers| Ok(answers.expected()?))?;
        }
        Ok(seen)
    }

    /// All updates of the step, each along the exact gradient of the policy that it finds.
    pub(super) fn learn<P: Trainable>(
        &self,
        learner: &mut Learner<P>,
        prompts: &[&RlPrompt],
    ) -> Result<Record, TrainError> {
        let config = &**self.rl.config;
        let (mut seen, mut norm, mut lr) = (Expectations::default(), 0f64, 0.0);
        let updates = config.updates_per_step();
        let mut done = self.number * updates;
        let size = prompts.len().div_ceil(config.mini_batches).max(1);
        for _ in 0..config.passes {
            for update in prompts.chunks(size) {
                lr = config.optim.lr_at(done, config.steps * updates);
                for part in update.chunks(self.at_once()) {
                    self.backward(learner.model(), part, update.len(), &mut seen)?;
                }
                let grad_norm = learner.step(lr)?;
                if !grad_norm.is_finite() {
                    return Err(self.diverged(update, ("the gradient's norm", grad_norm)));
                }
                norm = norm.max(grad_norm);
                done += 1;
            }
        }
        let (kl, entropy) = (seen.mean(seen.kl), seen.mean(seen.entropy));
        if kl > config.max_kl || kl.is_nan() {
            return Err(self.diverged(prompts, ("the divergence from the reference", kl)));
        }
        if entropy < config.min_entropy || entropy.is_nan() {
            return Err(self.diverged(prompts, ("the entropy over all answers", entropy)));
        }
        let record = Record::new(self.rl.stage, self.number + 1, config.steps)
            .with("reward", seen.mean(seen.reward))
            .with("lr", lr)
            .with("grad_norm", norm);
        let part = |record: Record, (name, sum): (&String, &f64)| {
            record.with(&format!("reward_{name}"), seen.mean(*sum))
        };
        Ok(seen.added_to(seen.parts.iter().fold(record, part)))
    }

    /// The most probable answers of a prompt, as rollouts are shown.
    pub(super) fn shown(
        &self,
        model: &dyn Policy,
        prompt: &RlPrompt,
    ) -> Result<ShownGroup, TrainError> {
        let _guard = tch::no_grad_guard();
        let logp = self.values(&self.pass(model, &[prompt])?, &[prompt])?;
        let JudgedAnswers { target, rewards, .. } = self.judged(prompt, &logp);
        let mut order: Vec<usize> = (0..logp.len()).collect();
        order.sort_by(|a, b| logp[*b].total_cmp(&logp[*a]).then(a.cmp(b)));
        let shown = order.into_iter().take(SHOWN_ANSWERS).map(|at| {
            let sid = &self.answers.sids[at];
            ShownRollout { text: sid.to_string(), reward: rewards[at], hit: *sid == target }
        });
        Ok(ShownGroup {
            id: prompt.prompt.id,
            prompt: self.rl.read_as_text(&prompt.prompt.ids)?,
            target: target.to_string(),
            rollouts: shown.collect(),
        })
    }

    /// Accumulates the gradient of some of the `prompts` of an update.
    fn backward(
        &self,
        model: &dyn Policy,
        part: &[&RlPrompt],
        prompts: usize,
        seen: &mut Expectations,
    ) -> Result<(), TrainError> {
        let objective = self.rl.config.exact_objective()?;
        let pass = self.pass(model, part)?;
        let logp = self.values(&pass, part)?;
        let mut d_logp = Vec::with_capacity(logp.len());
        self.each(part, &logp, seen, |answers| {
            let terms = objective.objective(answers, prompts)?;
            d_logp.extend(terms.d_logp);
            Ok(terms.expected)
        })?;
        // The objective is maximised, the optimiser minimises.
        Ok(pass.backward(&-Tensor::from_slice(&d_logp))?)
    }

    /// Hands the answers of each of some prompts to `take` and adds up what is expected of them.
    fn each(
        &self,
        part: &[&RlPrompt],
        logp: &[f64],
        seen: &mut Expectations,
        mut take: impl FnMut(&AllAnswers<'_>) -> Result<Expected, TrainError>,
    ) -> Result<(), TrainError> {
        let reference = {
            let _guard = tch::no_grad_guard();
            self.values(&self.pass(self.reference, part)?, part)?
        };
        let size = self.answers.sids.len();
        let of_prompts = logp.chunks_exact(size).zip(reference.chunks_exact(size));
        for (prompt, (logp, reference)) in part.iter().zip(of_prompts) {
            let JudgedAnswers { rewards, parts, .. } = self.judged(prompt, logp);
            let answers = AllAnswers::new(logp, &rewards)?.with_reference(reference)?;
            seen.see(&take(&answers)?, parts);
        }
        Ok(())
    }

    /// Judges every answer of a prompt.
    fn judged(&self, prompt: &RlPrompt, logp: &[f64]) -> JudgedAnswers {
        let target = self.rl.semantic_id(&prompt.target);
        let all = Group::new(&target, &self.answers.sids).with_levels(self.rl.num_levels());
        let mut parts = BTreeMap::new();
        let mut visit = |name: &str, scores: &[f64]| {
            let expected = scores.iter().zip(logp).map(|(score, logp)| logp.exp() * score).sum();
            parts.insert(name.to_owned(), expected);
        };
        let rewards = match self.rl.reward {
            StepReward::One(reward) => reward.score_parts(&all, &mut visit),
            StepReward::Several(objectives) => objectives.score_parts(&all, &mut visit),
        };
        JudgedAnswers { target, rewards, parts }
    }

    /// Log-probability of every answer of some prompts, with the backward pass.
    fn pass<'m>(
        &'m self,
        model: &'m dyn Policy,
        part: &[&RlPrompt],
    ) -> Result<LogpPass<'m>, TrainError> {
        let ids: Vec<&[u32]> = part.iter().map(|prompt| prompt.prompt.ids.as_slice()).collect();
        let limit = model.longest_prompt(0);
        let prompts = TokenBatch::new(&ids, self.rl.pad, limit, model.device())?;
        let policy = as_exact(model, "exact expectations")?;
        Ok(policy.answer_pass(self.rl.constraint, &prompts, self.rl.config.law()?)?)
    }

    /// The same as numbers, which must be numbers.
    fn values(&self, pass: &LogpPass<'_>, part: &[&RlPrompt]) -> Result<Vec<f64>, TrainError> {
        let values = Vec::<f64>::try_from(pass.logp().to_kind(Kind::Double))?;
        match values.iter().find(|value| !value.is_finite()) {
            Some(value) => Err(self.diverged(part, ("the log-probability of an answer", *value))),
            None => Ok(values),
        }
    }

    /// Prompts of one pass.
    fn at_once(&self) -> usize {
        let fitting = PROBABILITIES / self.answers.sids.len().max(1);
        self.rl.config.micro_batch.min(fitting).max(1)
    }

    fn diverged(&self, prompts: &[&RlPrompt], found: (&'static str, f64)) -> TrainError {
        let samples = prompts.iter().map(|prompt| prompt.prompt.id);
        let Rl { stage, checkpoints, .. } = self.rl;
        TrainError::diverged(stage, self.number + 1, found, checkpoints, samples)
    }
}
