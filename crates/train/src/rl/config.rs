//! Settings of online reinforcement.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use sidereal_policy::{PolicyError, SamplingConfig, Scoring, TokenLaw};
use sidereal_rl::{PolicyObjective, PrefixCap, Surrogate};

use super::{AdvantageConfig, AlignmentShare, ReasoningConfig, RolloutConfig};
use crate::TrainError;
use crate::checked::Checked;
use crate::free_answer::AnswerForm;
use crate::optim::OptimConfig;
use crate::setting::{check_counts, check_optim, in_table, of_stage};
use crate::trainable::TrainableConfig;

/// Settings of online reinforcement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RlConfig {
    /// Number of steps, `T`; each step draws new rollouts. Range `1..`.
    pub steps: usize,
    /// Prompts per step. Range `1..`.
    pub prompts_per_step: usize,
    /// Tasks that a share of the prompts asks for, instead of the next item (alignment in the
    /// reinforcement of SINGER); the shares are at most 1 together.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alignment: Vec<AlignmentShare>,
    /// The most codes that count as levels, `L` or `H`, in rewards for a share of the levels and in guides. By
    /// default these are all codes without the suffix, the code of a slot (`collisions = "slot"`) and the leaf
    /// number of hierarchical codes, which say nothing about an item. Published codes need it where their last
    /// code only keeps items apart. Range `1..`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub levels: Option<NonZeroUsize>,
    /// Rollouts per prompt, `G`. Range `1..`.
    pub group_size: usize,
    /// How the rollouts of direct answers are found; by default they are drawn from the policy, at
    /// temperature 1. Rollouts are scored at the temperature of their
    /// draws, by the policy and by the reference. `top_k`, `top_p` and temperature 0 are errors,
    /// because such draws cannot be scored.
    pub rollout: RolloutConfig,
    /// Reasoning before the answer. Without it, all prompts are answered directly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<ReasoningConfig>,
    /// The most groups drawn in a step, as a multiple of `prompts_per_step`. Above 1, groups
    /// whose rewards are all equal are replaced by groups of further prompts (the dynamic
    /// sampling of DAPO and GREAM) while draws are left. Groups that are not replaced count in
    /// the denominators. Range `1..`.
    pub max_draws: usize,
    /// Whether the rollouts of hard prompts are drawn again after a prefix of the target. The prefix
    /// becomes shorter during the run (SINGER eqs 3-5). Only for direct answers; without it no answer is
    /// given away, as in the other papers.
    pub prefix_curriculum: bool,
    /// The longest prefix of the curriculum. At step 0 the printed length is the whole Semantic ID
    /// (`whole`); a hard prompt of which so nothing is left to draw stays without a prefix in this
    /// step, and the log counts such prompts as `unguided`. Without `prefix_curriculum` it has no
    /// effect.
    pub prefix_cap: PrefixCap,
    /// How the probability of a code is normalised. Rollouts are drawn only from legal codes. With
    /// `renormalised` they are scored under the distribution of the draws, which is the default, because
    /// otherwise the gradient is not that of the expected reward. With `full`, as in the public code of the
    /// papers, the policy also learns to give illegal tokens no probability. Answers in words need `full`.
    pub scoring: Scoring,
    /// How rewards become advantages.
    pub advantage: AdvantageConfig,
    /// What an update maximises.
    pub objective: Surrogate,
    /// Weight of the entropy over all answers in what an update maximises, `η`. Only with `rollout = "exact"`;
    /// with rollouts it must be 0. Range `[0, ∞)`.
    pub entropy_bonus: f64,
    /// Whether each step logs the exact expected reward, entropy and KL of its prompts (`exact_reward`,
    /// `exact_entropy`, `exact_kl`), which rollouts only estimate. Only for policies that know all
    /// probabilities, as those that read items. With `rollout = "exact"` they are always logged.
    pub exact_log: bool,
    /// Number of parts of the prompts of a step; each part is one update. Range
    /// `1..=prompts_per_step`.
    pub mini_batches: usize,
    /// How often the rollouts of a step are used. With more than one update per step, the
    /// ratios compare the policy with the policy that wrote the rollouts. Range `1..`.
    pub passes: usize,
    /// Number of steps after which the reference becomes a copy of the policy. With 0 the
    /// reference is always the policy at the start. Range `0..`.
    pub sync_reference_every: usize,
    /// How far the running mean of diversity, `H̄` of SAGE, moves towards the mean of a step. Other
    /// objectives do not use it. The paper prints no rate. Range `(0, 1]`.
    pub diversity_rate: f64,
    /// Divergence at which training stops, in nats per token: the estimate of `KL(π ‖ π_ref)`
    /// if there is a penalty, and the estimate of `KL(π_old ‖ π)` over a step. With `rollout = "exact"` it is
    /// the exact `KL(π ‖ π_ref)`, in nats per answer. Range `[0, ∞]`.
    pub max_kl: f64,
    /// Training stops if the mean entropy of the learned tokens falls below this value, in
    /// nats; with `rollout = "exact"`, that over all answers. Range `[0, ∞)`.
    pub min_entropy: f64,
    /// Which weights are trained. Adapters stay separate in the returned model.
    pub trainable: TrainableConfig,
    /// AdamW and its learning rate.
    pub optim: OptimConfig,
    /// Prompts whose gradients are computed together. The result does not depend on it. Range
    /// `1..`.
    pub micro_batch: usize,
    /// Steps between validations. The best weights are returned; they may be those of the
    /// start. Range `1..`.
    pub validate_every: usize,
    /// Steps between checkpoints. Range `1..`.
    pub checkpoint_every: usize,
}

impl Default for RlConfig {
    fn default() -> Self {
        Self {
            steps: 200,
            prompts_per_step: 64,
            alignment: Vec::new(),
            levels: None,
            group_size: 16,
            rollout: RolloutConfig::default(),
            reasoning: None,
            max_draws: 1,
            prefix_curriculum: false,
            prefix_cap: PrefixCap::default(),
            scoring: Scoring::Renormalised,
            advantage: AdvantageConfig::default(),
            objective: Surrogate::default(),
            entropy_bonus: 0.0,
            exact_log: false,
            mini_batches: 1,
            passes: 1,
            sync_reference_every: 0,
            diversity_rate: 0.1,
            // Far beyond what training ever shows: tokens the reference would not have written, and
            // a policy that always writes the same.
            max_kl: 10.0,
            min_entropy: 1e-6,
            trainable: TrainableConfig::default(),
            optim: OptimConfig { lr: 1e-5, ..OptimConfig::default() },
            micro_batch: 64,
            validate_every: 50,
            checkpoint_every: 20,
        }
    }
}

impl RlConfig {
    /// Accepts settings with which training is possible; `stage` is for messages.
    ///
    /// # Errors
    /// [`TrainError::Setting`] names stage and field.
    pub fn check(&self, stage: &str) -> Result<Checked<Self>, TrainError> {
        let counts = check_counts(&[
            ("rl.steps", self.steps),
            ("rl.prompts_per_step", self.prompts_per_step),
            ("rl.group_size", self.group_size),
            ("rl.max_draws", self.max_draws),
            ("rl.mini_batches", self.mini_batches),
            ("rl.passes", self.passes),
            ("rl.micro_batch", self.micro_batch),
            ("rl.validate_every", self.validate_every),
            ("rl.checkpoint_every", self.checkpoint_every),
        ]);
        // Its range holds 1 and not 0.
        let rate = if self.diversity_rate > 0.0 && self.diversity_rate <= 1.0 {
            Ok(())
        } else {
            Err(TrainError::Setting {
                field: "rl.diversity_rate".to_owned(),
                found: self.diversity_rate.to_string(),
                needed: "a share above 0, up to 1",
            })
        };
        let limits = [("rl.max_kl", self.max_kl), ("rl.min_entropy", self.min_entropy)];
        let limits = match limits.iter().find(|(_, value)| *value < 0.0 || value.is_nan()) {
            Some((field, value)) => Err(TrainError::Setting {
                field: (*field).to_owned(),
                found: value.to_string(),
                needed: "a number of nats, at least 0",
            }),
            None => Ok(()),
        };
        let checked =
            counts.and(rate).and(self.check_alignment()).and(limits).and(self.check_reasoning());
        let checked = checked.and(self.check_updates()).and(self.law().map(|_| ()));
        let checked = checked.and(self.check_exact());
        let learner = check_optim(&self.optim).and(self.trainable.check_without_dropout());
        of_stage(stage, checked.and(in_table("rl", learner)))?;
        Ok(Checked::of(self.clone()))
    }

    /// Accepts as many mini-batches as there are prompts, and a reference that moves where there is one.
    fn check_updates(&self) -> Result<(), TrainError> {
        let refuse = |field: &str, found: usize, needed| {
            let (field, found) = (format!("rl.{field}"), found.to_string());
            Err(TrainError::Setting { field, found, needed })
        };
        if self.mini_batches > self.prompts_per_step {
            return refuse("mini_batches", self.mini_batches, "at most `prompts_per_step`");
        }
        if self.sync_reference_every > 0 && !self.needs_reference() {
            let needed = "0, because the objective has no KL penalty";
            return refuse("sync_reference_every", self.sync_reference_every, needed);
        }
        Ok(())
    }

    /// Accepts shares of prompts that fit together, and no setting of direct answers where there are
    /// none.
    fn check_reasoning(&self) -> Result<(), TrainError> {
        let Some(reasoning) = &self.reasoning else { return Ok(()) };
        let ReasoningConfig { share, chain, .. } = reasoning;
        chain.check("rl.reasoning.chain")?;
        reasoning.check_answer()?;
        let refuse = |field: &str, found: String, needed| {
            Err(TrainError::Setting { field: format!("rl.{field}"), found, needed })
        };
        if !(*share > 0.0 && share + self.alignment_share() <= 1.0 + 1e-9) {
            let needed = "a share above 0 that is at most 1 together with those of `alignment`";
            return refuse("reasoning.share", share.to_string(), needed);
        }
        let needed = "no value, because with `reasoning.share = 1` no prompt is answered directly; remove it or lower the share";
        if *share >= 1.0 && self.prefix_curriculum {
            return refuse("prefix_curriculum", "true".to_owned(), needed);
        }
        if *share >= 1.0 && self.rollout != RolloutConfig::default() {
            return refuse("rollout", format!("{:?}", self.rollout), needed);
        }
        Ok(())
    }

    /// The law that rollouts are drawn from and scored under.
    ///
    /// Slates and titles are words, drawn by `rollout`; chains of thought are words and their answers codes,
    /// drawn by `reasoning.chain` (free answers are words, too); all else is codes, drawn by `rollout`, where beams count as
    /// drawn at temperature 1.
    ///
    /// # Errors
    /// [`TrainError::Setting`] for draws that cannot be scored, and where direct answers and those
    /// after chains have different temperatures.
    pub fn law(&self) -> Result<TokenLaw, TrainError> {
        let plain = SamplingConfig::default();
        let law = |table: &str, words, codes| {
            TokenLaw::of_draws(self.scoring, words, codes).map_err(|error| match error {
                PolicyError::Unsupported { field, found, expected } => TrainError::Setting {
                    field: format!("rl.{table}.{field}"),
                    found,
                    needed: expected,
                },
                other => other.into(),
            })
        };
        let rollout = self.rollout.sampling();
        let direct = law("rollout", rollout, rollout)?;
        let Some(ReasoningConfig { share, chain, answer, .. }) = &self.reasoning else {
            return Ok(direct);
        };
        law("reasoning.chain.words", chain.words, plain)?;
        // After free chains there are no codes, so all codes are those of direct answers.
        let law = match answer {
            AnswerForm::Free => law("rollout", chain.words, rollout)?,
            AnswerForm::Constrained => law("reasoning.chain.codes", chain.words, chain.codes)?,
        };
        if *share < 1.0 && (law.codes - direct.codes).abs() > f64::EPSILON {
            return Err(TrainError::Setting {
                field: "rl.reasoning.chain.codes.temperature".to_owned(),
                found: law.codes.to_string(),
                needed: "the temperature of `rl.rollout` (1 for beams), since one law scores both",
            });
        }
        let titles = self.tasks_in_titles().next().is_some();
        if titles && (law.words - direct.words).abs() > f64::EPSILON {
            return Err(TrainError::Setting {
                field: "rl.reasoning.chain.words.temperature".to_owned(),
                found: law.words.to_string(),
                needed: "the temperature of `rl.rollout` (1 for beams), since titles are words too",
            });
        }
        Ok(law)
    }

    /// Whether the objective looks at a reference.
    #[must_use]
    pub fn needs_reference(&self) -> bool {
        PolicyObjective::needs_reference(&self.objective)
    }

    /// Updates of a step.
    #[must_use]
    pub const fn updates_per_step(&self) -> usize {
        self.mini_batches * self.passes
    }
}
