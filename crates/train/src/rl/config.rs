//! Settings of online reinforcement.

use serde::{Deserialize, Serialize};
use sidereal_policy::{PolicyError, SamplingConfig, Scoring, TokenLaw};
use sidereal_rl::{PolicyObjective, Surrogate};

use super::{AdvantageConfig, RolloutConfig};
use crate::TrainError;
use crate::checked::Checked;
use crate::optim::OptimConfig;
use crate::reasoning::Thinking;
use crate::setting::{End, check_counts, check_optim, check_shares, in_table, of_stage};
use crate::trainable::TrainableConfig;

/// Reinforcement of thoughts with their answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ReasoningConfig {
    /// Share of a run's prompts that are asked as the task `reasoning`. Range `(0, 1]`.
    pub share: f64,
    /// How their rollouts are drawn.
    pub thinking: Thinking,
}

impl Default for ReasoningConfig {
    /// All prompts.
    fn default() -> Self {
        Self { share: 1.0, thinking: Thinking::default() }
    }
}

/// Settings of online reinforcement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RlConfig {
    /// Rounds of rollouts, `T`. Range `1..`.
    pub steps: usize,
    /// Prompts of a step. Range `1..`.
    pub prompts_per_step: usize,
    /// Share of a run's prompts that ask for an item's Semantic ID by its title instead of for the
    /// next item (SINGER's alignment in reinforcement). Range `[0, 1]`.
    pub alignment_share: f64,
    /// Rollouts of a prompt, `G`. Range `1..`.
    pub group_size: usize,
    /// How those of a prompt that is answered directly are found. What is drawn at a temperature is
    /// also scored at it, by the policy in training and by the reference; cuts (`top_k`, `top_p`)
    /// and a temperature of 0 cannot be scored and are refused.
    pub rollout: RolloutConfig,
    /// Prompts that are thought about before they are answered; all are answered directly where it
    /// is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<ReasoningConfig>,
    /// Most groups drawn in a step, as a multiple of `prompts_per_step`. Above 1, groups whose
    /// rewards have no spread are replaced by those of further prompts (DAPO's and GREAM's dynamic
    /// sampling) as long as there are draws left; those that stay count in the denominators. Range `1..`.
    pub max_draws: usize,
    /// Whether hard prompts that are answered directly are drawn again behind a prefix of the target
    /// that shrinks over the run (SINGER eqs 3-5).
    pub prefix_curriculum: bool,
    /// What a code's probability is a share of. Rollouts come from the legal codes alone: under
    /// `renormalised` they are scored by the law that drew them; under `full`, as in the papers'
    /// public code, the share that illegal tokens hold is learned away besides.
    pub scoring: Scoring,
    /// How rewards become advantages.
    pub advantage: AdvantageConfig,
    /// What an update maximises.
    pub objective: Surrogate,
    /// Parts into which the prompts of a step are cut, one update each. Range `1..=prompts_per_step`.
    pub mini_batches: usize,
    /// Times that a step's rollouts are learned from. With more than one update a step the ratios
    /// are those to the policy that wrote the rollouts. Range `1..`.
    pub passes: usize,
    /// Steps after which the reference becomes a copy of the policy; 0 means never, so that it stays the
    /// policy that came in. Range `0..`.
    pub sync_reference_every: usize,
    /// Share of the way to a step's mean entropy that SAGE's running target goes; other objectives
    /// do not look at it. Range `(0, 1]`.
    pub entropy_rate: f64,
    /// Divergence at which a run stops: the estimate of `KL(π ‖ π_ref)` where there is a penalty, and
    /// that of `KL(π_old ‖ π)` over a step, in nats a token. Range `[0, ∞]`.
    pub max_kl: f64,
    /// The run stops where the mean entropy of the scored tokens that are learned from falls below this,
    /// in nats. Range `[0, ∞)`.
    pub min_entropy: f64,
    /// Which weights are trained; adapters stay apart in the model that comes back.
    pub trainable: TrainableConfig,
    /// AdamW and its learning rate.
    pub optim: OptimConfig,
    /// Prompts whose gradients are computed together; the result does not depend on it. Range `1..`.
    pub micro_batch: usize,
    /// Steps between validations; the best weights are returned, those before the first step
    /// included. Range `1..`.
    pub validate_every: usize,
    /// Steps between checkpoints. Range `1..`.
    pub checkpoint_every: usize,
}

impl Default for RlConfig {
    fn default() -> Self {
        Self {
            steps: 200,
            prompts_per_step: 64,
            alignment_share: 0.0,
            group_size: 16,
            rollout: RolloutConfig::default(),
            reasoning: None,
            max_draws: 1,
            prefix_curriculum: true,
            scoring: Scoring::Full,
            advantage: AdvantageConfig::default(),
            objective: Surrogate::default(),
            mini_batches: 1,
            passes: 1,
            sync_reference_every: 0,
            entropy_rate: 0.1,
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
    /// Accepts settings with which a run can go through; `stage` is for messages.
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
        let shares = check_shares(&[("rl.alignment_share", self.alignment_share, End::Included)]);
        // Its range holds 1 and not 0.
        let rate = if self.entropy_rate > 0.0 && self.entropy_rate <= 1.0 {
            Ok(())
        } else {
            Err(TrainError::Setting {
                field: "rl.entropy_rate".to_owned(),
                found: self.entropy_rate.to_string(),
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
        let checked = counts.and(rate).and(shares).and(limits).and(self.check_reasoning());
        let checked = checked.and(self.check_updates()).and(self.law().map(|_| ()));
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
            let needed = "0 where the objective has no KL penalty";
            return refuse("sync_reference_every", self.sync_reference_every, needed);
        }
        Ok(())
    }

    /// Accepts shares of prompts that fit together, and no setting of direct answers where there are
    /// none.
    fn check_reasoning(&self) -> Result<(), TrainError> {
        let Some(ReasoningConfig { share, thinking }) = &self.reasoning else { return Ok(()) };
        thinking.check("rl.reasoning.thinking")?;
        let refuse = |field: &str, found: String, needed| {
            Err(TrainError::Setting { field: format!("rl.{field}"), found, needed })
        };
        if !(*share > 0.0 && share + self.alignment_share <= 1.0) {
            let needed = "a share above 0, with `alignment_share` up to 1";
            return refuse("reasoning.share", share.to_string(), needed);
        }
        let needed = "nothing of direct answers where all prompts are thought about";
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
    /// Slates are words, drawn by `rollout`; chains of thought are words and their answers codes,
    /// drawn by `reasoning.thinking`; all else is codes, drawn by `rollout`, where beams count as
    /// drawn at temperature 1.
    ///
    /// # Errors
    /// [`TrainError::Setting`] for draws that cannot be scored, and where direct answers and those
    /// after thoughts have different temperatures.
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
        let Some(ReasoningConfig { share, thinking }) = &self.reasoning else { return Ok(direct) };
        law("reasoning.thinking.words", thinking.words, plain)?;
        let law = law("reasoning.thinking.codes", thinking.words, thinking.codes)?;
        if *share < 1.0 && (law.codes - direct.codes).abs() > f64::EPSILON {
            return Err(TrainError::Setting {
                field: "rl.reasoning.thinking.codes.temperature".to_owned(),
                found: law.codes.to_string(),
                needed: "the temperature of `rl.rollout` (1 for beams), since one law scores both",
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
