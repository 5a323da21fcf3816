//! Online reinforcement: rollouts, rewards, advantages, updates.

use std::collections::BTreeSet;
use std::num::{NonZeroU64, NonZeroUsize};

use serde::{Deserialize, Serialize};
use sidereal_corpus::{Cursor, Shuffle};
use sidereal_metrics::{Metric, RankingRun};
use sidereal_policy::{
    BeamSearch, Constraint, Decoder, Groups, Hypothesis, Scoring, TokenBatch, Weights, group_logp,
};
use sidereal_rl::{
    Group, Grpo, PrefixSchedule, Reward, RolloutBatch, Segments, StepSize, ZScore, score_groups,
};
use sidereal_sid::{SemanticId, SidSpec};
use tch::{Kind, Tensor};

use crate::TrainError;
use crate::checkpoint::{Checkpoints, copy_into, prefixed, without_prefix};
use crate::encode::Prompt;
use crate::evaluate::rank;
use crate::observe::{Observer, Record};
use crate::optim::{AdamW, OptimConfig};

/// Name of the stage in logs.
const STAGE: &str = "rl";

/// Settings of online reinforcement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RlConfig {
    /// Updates, `T`.
    pub steps: usize,
    /// Prompts of a step.
    pub prompts_per_step: usize,
    /// Rollouts of a prompt, `G`: the width of its beam search.
    pub group_size: usize,
    /// Whether hard prompts are drawn again behind a prefix of the target that shrinks over the
    /// run (SINGER eqs 3-5).
    pub prefix_curriculum: bool,
    /// What a code's probability is a share of.
    pub scoring: Scoring,
    /// Normalisation of rewards within a group.
    pub advantage: ZScore,
    /// Surrogate objective.
    pub objective: Grpo,
    /// Optimiser.
    pub optim: OptimConfig,
    /// Prompts whose gradients are computed together; the result does not depend on it.
    pub micro_batch: usize,
    /// Steps between validations; the best weights are returned, those before the first step
    /// included.
    pub validate_every: usize,
    /// Steps between checkpoints.
    pub checkpoint_every: usize,
}

impl Default for RlConfig {
    fn default() -> Self {
        Self {
            steps: 200,
            prompts_per_step: 64,
            group_size: 16,
            prefix_curriculum: true,
            scoring: Scoring::Full,
            advantage: ZScore::POPULATION,
            objective: Grpo::default(),
            optim: OptimConfig { lr: 1e-5, ..OptimConfig::default() },
            micro_batch: 64,
            validate_every: 50,
            checkpoint_every: 20,
        }
    }
}

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
}

/// Online reinforcement of a policy by a reward over Semantic IDs.
#[derive(Debug)]
pub struct Rl<'a, R> {
    /// Settings.
    pub config: &'a RlConfig,
    /// What a rollout is worth.
    pub reward: &'a R,
    /// Levels and codebook sizes.
    pub spec: &'a SidSpec,
    /// What may be written.
    pub constraint: &'a Constraint,
    /// Id that fills short rows.
    pub pad: u32,
    /// Seed of the order of prompts.
    pub seed: u64,
    /// Prompts decoded together in validation.
    pub batch_size: usize,
    /// Where training state is kept.
    pub checkpoints: &'a Checkpoints,
}

/// The rollouts of a step.
struct Rollouts {
    /// Each prompt's tokens with its guide.
    ids: Vec<Vec<u32>>,
    guides: Vec<Vec<u32>>,
    hard: Vec<bool>,
    groups: Vec<Vec<Hypothesis>>,
}

impl<R: Reward> Rl<'_, R> {
    /// Improves `model` on `prompts` and returns the weights with the best validation NDCG@10.
    ///
    /// One step: a beam search of width `G` under the trie for each prompt; a prompt without a hit
    /// is hard and, under the curriculum, searched again behind its guide; rewards, advantages
    /// within groups, one update of the surrogate objective. The reference of its KL penalty is
    /// the policy that came in. Groups whose rewards are all equal carry no signal: they count in
    /// the denominators and are left out of the passes, KL penalty included.
    ///
    /// Beams are not samples of the policy: the group is its most probable Semantic IDs.
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
        let reference = model.frozen_copy()?;
        let model = model.require_grad(true);
        let mut optim = AdamW::new(self.config.optim.clone(), model.weights());
        let mut best: Weights = copies(&model);
        let mut state = RlState::default();
        if let Some((found, tensors)) = self.checkpoints.load::<RlState>()? {
            copy_into(model.weights(), &without_prefix("weight.", &tensors))?;
            optim.restore(&without_prefix("optim.", &tensors))?;
            best = without_prefix("best.", &tensors);
            state = found;
            tracing::info!(step = state.step, "resumed reinforcement");
        } else {
            let ndcg = self.validate(&model, valid)?;
            tracing::info!(step = 0, ndcg, "validated");
            state.best = Some(ndcg);
        }
        observer.on_resume(STAGE, state.step);
        let size = NonZeroUsize::new(self.config.prompts_per_step).unwrap_or(NonZeroUsize::MIN);
        let mut order = Shuffle::resume(prompts.len(), self.seed, state.cursor);
        while state.step < self.config.steps {
            let batch: Vec<&RlPrompt> =
                order.next_batch(size).iter().map(|index| &prompts[*index]).collect();
            let mut record = self.step(&model, &reference, &mut optim, &batch, state.step)?;
            state.step += 1;
            state.cursor = order.cursor();
            let last = state.step == self.config.steps;
            if last || state.step % self.config.validate_every.max(1) == 0 {
                let ndcg = self.validate(&model, valid)?;
                record = record.with("valid_ndcg", ndcg);
                tracing::info!(step = state.step, ndcg, "validated");
                if state.best.is_none_or(|best| ndcg > best) {
                    state.best = Some(ndcg);
                    best = copies(&model);
                }
            }
            observer.on_record(&record);
            if last || state.step % self.config.checkpoint_every.max(1) == 0 {
                let tensors = prefixed("weight.", model.weights())
                    .chain(prefixed("optim.", &optim.state()))
                    .chain(prefixed("best.", &best))
                    .collect();
                self.checkpoints.save(state.step, &state, &tensors)?;
            }
        }
        copy_into(model.weights(), &best)?;
        Ok(model.require_grad(false))
    }

    fn step(
        &self,
        model: &Decoder,
        reference: &Decoder,
        optim: &mut AdamW,
        batch: &[&RlPrompt],
        step: usize,
    ) -> Result<Record, TrainError> {
        let rollouts = self.rollouts(model, batch, step)?;
        let targets: Vec<SemanticId> =
            batch.iter().map(|prompt| self.semantic_id(&prompt.target)).collect();
        let sids: Vec<Vec<SemanticId>> = rollouts
            .groups
            .iter()
            .map(|group| group.iter().map(|h| self.semantic_id(&h.tokens)).collect())
            .collect();
        let groups = targets
            .iter()
            .zip(&sids)
            .zip(&rollouts.hard)
            .map(|((target, sids), hard)| Group::new(target, sids).with_hardness(*hard));
        let scores = score_groups(self.reward, groups)?;
        let advantages = self.config.advantage.advantages(&scores.rewards, &scores.groups)?;
        let completions: Vec<Vec<Vec<u32>>> = rollouts
            .groups
            .iter()
            .zip(&rollouts.guides)
            .map(|(group, guide)| group.iter().map(|h| h.tokens[guide.len()..].to_vec()).collect())
            .collect();
        let whole = StepSize::of(&Segments::from_lens(completions.iter().flatten().map(Vec::len)));
        let ranges: Vec<_> = scores.groups.iter().collect();
        let live: Vec<usize> =
            (0..batch.len()).filter(|group| !advantages.flat_groups.contains(group)).collect();
        let (mut kl, mut kl_tokens) = (0.0, 0usize);
        for part in live.chunks(self.config.micro_batch.max(1)) {
            let picked: Vec<Vec<Vec<u32>>> = part.iter().map(|g| completions[*g].clone()).collect();
            let values: Vec<f64> = part
                .iter()
                .flat_map(|group| &advantages.values[ranges[*group].clone()])
                .copied()
                .collect();
            let seen = self.backward(model, reference, &rollouts, part, &picked, &values, whole)?;
            kl += seen.ref_kl() * seen.tokens as f64;
            kl_tokens += seen.tokens;
        }
        let lr = self.config.optim.lr_at(step, self.config.steps);
        let grad_norm = optim.step(model.weights(), lr)?;
        if !grad_norm.is_finite() {
            let samples: Vec<String> = batch.iter().map(|p| p.prompt.id.to_string()).collect();
            return Err(TrainError::Diverged {
                stage: STAGE,
                step: step + 1,
                what: "the gradient's norm",
                found: grad_norm,
                checkpoint: self.checkpoints.dir().to_owned(),
                samples: samples.join(" "),
            });
        }
        let count = batch.len() as f64;
        let hard = rollouts.hard.iter().filter(|hard| **hard).count() as f64;
        let guided: usize = rollouts.guides.iter().map(Vec::len).sum();
        let rollout_count = scores.rewards.len() as f64;
        let mut record = Record::new(STAGE, step + 1, self.config.steps)
            .with("reward", scores.rewards.iter().sum::<f64>() / rollout_count)
            .with("hit", 1.0 - hard / count)
            .with("hard", hard / count)
            .with("guide", if hard > 0.0 { guided as f64 / hard } else { 0.0 })
            .with("live", live.len() as f64 / count)
            .with("kl", if kl_tokens > 0 { kl / kl_tokens as f64 } else { 0.0 })
            .with("rollouts", rollout_count)
            .with("lr", lr)
            .with("grad_norm", grad_norm);
        for part in &scores.parts {
            record = record.with(&format!("reward_{}", part.name), part.mean());
        }
        Ok(record)
    }

    /// Accumulates the gradient of some groups of a step.
    #[allow(clippy::too_many_arguments, reason = "the parts of one micro-batch, used once")]
    fn backward(
        &self,
        model: &Decoder,
        reference: &Decoder,
        rollouts: &Rollouts,
        part: &[usize],
        completions: &[Vec<Vec<u32>>],
        advantages: &[f64],
        whole: StepSize,
    ) -> Result<sidereal_rl::Diagnostics, TrainError> {
        let ids: Vec<&[u32]> = part.iter().map(|group| rollouts.ids[*group].as_slice()).collect();
        let guides: Vec<&[u32]> =
            part.iter().map(|group| rollouts.guides[*group].as_slice()).collect();
        let limit = model.config().max_position_embeddings;
        let prompts = TokenBatch::new(&ids, self.pad, limit, model.device())?;
        let groups = Groups { prompts: &prompts, guides: &guides, completions };
        let logp = group_logp(model, self.constraint, &groups, self.config.scoring)?; // [N]
        let values = Vec::<f64>::try_from(logp.detach().to_kind(Kind::Double))?;
        let reference_values = if self.config.objective.kl.is_some() {
            let _guard = tch::no_grad_guard();
            let logp = group_logp(reference, self.constraint, &groups, self.config.scoring)?;
            Some(Vec::<f64>::try_from(logp.to_kind(Kind::Double))?)
        } else {
            None
        };
        let tokens = Segments::from_lens(completions.iter().flatten().map(Vec::len));
        // One update a rollout: the policy that wrote them is the one being trained.
        let mut step = RolloutBatch::new(&tokens, &values, &values, advantages)?;
        if let Some(reference) = &reference_values {
            step = step.with_reference(reference)?;
        }
        let objective = self.config.objective.objective(&step, whole)?;
        let gradient =
            Tensor::from_slice(&objective.d_logp).to_kind(logp.kind()).to_device(logp.device());
        // The objective is maximised, the optimiser minimises.
        (-(logp * gradient).sum(Kind::Float)).backward();
        Ok(objective.diagnostics)
    }

    /// Draws the groups of a step, hard prompts a second time behind their guides.
    fn rollouts(
        &self,
        model: &Decoder,
        batch: &[&RlPrompt],
        step: usize,
    ) -> Result<Rollouts, TrainError> {
        let mut ids: Vec<Vec<u32>> = batch.iter().map(|p| p.prompt.ids.clone()).collect();
        let mut guides: Vec<Vec<u32>> = vec![Vec::new(); batch.len()];
        let mut groups = self.search(model, &ids, &guides)?;
        let hard: Vec<bool> = batch
            .iter()
            .zip(&groups)
            .map(|(prompt, group)| !group.iter().any(|h| h.tokens == prompt.target))
            .collect();
        let total = NonZeroU64::new(self.config.steps as u64).unwrap_or(NonZeroU64::MIN);
        let schedule = PrefixSchedule::new(total);
        let mut again = Vec::new();
        for (index, prompt) in batch.iter().enumerate() {
            let guide = schedule.guide_len(step as u64, prompt.target.len());
            if self.config.prefix_curriculum && hard[index] && guide > 0 {
                guides[index] = prompt.target[..guide].to_vec();
                ids[index].extend(self.constraint.ids(&guides[index]));
                again.push(index);
            }
        }
        if !again.is_empty() {
            let some_ids: Vec<Vec<u32>> = again.iter().map(|i| ids[*i].clone()).collect();
            let some_guides: Vec<Vec<u32>> = again.iter().map(|i| guides[*i].clone()).collect();
            for (index, group) in again.iter().zip(self.search(model, &some_ids, &some_guides)?) {
                groups[*index] = group;
            }
        }
        Ok(Rollouts { ids, guides, hard, groups })
    }

    fn search(
        &self,
        model: &Decoder,
        ids: &[Vec<u32>],
        guides: &[Vec<u32>],
    ) -> Result<Vec<Vec<Hypothesis>>, TrainError> {
        let search = self.beam(model, self.config.group_size);
        let limit = model.config().max_position_embeddings;
        let prompts = TokenBatch::new(ids, self.pad, limit, model.device())?;
        let guides: Vec<&[u32]> = guides.iter().map(Vec::as_slice).collect();
        Ok(search.search(&prompts, &guides)?)
    }

    /// NDCG@10 over the validation prompts, item level, seen items kept.
    fn validate(&self, model: &Decoder, valid: &[Prompt]) -> Result<f64, TrainError> {
        const TEN: NonZeroUsize = NonZeroUsize::new(10).unwrap();
        let search = self.beam(model, 20);
        let mut silent = |_: &Record| {};
        let rankings = rank(&search, valid, self.pad, self.batch_size, "validate", &mut silent)?;
        let mut run = RankingRun::new();
        for ranking in &rankings {
            run.push(ranking.id, ranking.item_placement(&BTreeSet::new()))?;
        }
        let values = run.values(Metric::Ndcg(TEN))?;
        Ok(values.iter().sum::<f64>() / values.len() as f64)
    }

    fn beam<'m>(&'m self, model: &'m Decoder, beam_width: usize) -> BeamSearch<'m> {
        BeamSearch { model, constraint: self.constraint, beam_width, scoring: self.config.scoring }
    }

    fn semantic_id(&self, tokens: &[u32]) -> SemanticId {
        tokens.iter().filter_map(|t| Some(self.spec.level_and_code(*t)?.1)).collect()
    }
}

fn copies(model: &Decoder) -> Weights {
    prefixed("", model.weights()).map(|(name, weight)| (name, weight.copy())).collect()
}
