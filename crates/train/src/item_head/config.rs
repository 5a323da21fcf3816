//! Settings of training with a recommendation head.

use serde::{Deserialize, Serialize};
use sidereal_policy::{ItemHead, SamplingConfig, Scoring, TokenLaw};
use sidereal_rl::{FusedReward, ZScore};

use crate::TrainError;
use crate::checked::Checked;
use crate::optim::OptimConfig;
use crate::setting::{check_counts, check_optim, in_table, of_stage};
use crate::trainable::TrainableConfig;

/// Settings of training with a recommendation head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ItemHeadConfig {
    /// Updates. Range `1..`.
    pub steps: usize,
    /// Prompts of a step. Range `1..`.
    pub prompts_per_step: usize,
    /// Prompts whose gradients are computed together; the result does not depend on it. Range `1..`.
    pub micro_batch: usize,
    /// Divisor of the cosines, `τ`. Range `(0, ∞)`.
    pub temperature: f64,
    /// Items, drawn at random, among which a step learns its targets, besides these targets. Range `0..`.
    pub negatives: usize,
    /// How the policy reasons in words before the head scores the items. Without it, it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain: Option<HeadChainConfig>,
    /// Learning what to reason by reinforcement (`RecPO`). Without it, the step learns the items alone, after one chain
    /// where there is `chain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recpo: Option<RecPoConfig>,
    /// Which weights are trained.
    pub trainable: TrainableConfig,
    /// AdamW and its learning rate.
    pub optim: OptimConfig,
    /// Steps between validations; the last step always has one. Range `1..`.
    pub validate_every: usize,
    /// Steps between checkpoints. Range `1..`.
    pub checkpoint_every: usize,
}

/// How chains are written before a recommendation head.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct HeadChainConfig {
    /// The most tokens that are drawn for a chain, including the mark that closes it. A longer chain is closed there.
    /// Range `1..`.
    pub budget: usize,
    /// How a token of a chain is drawn in training. In tests and validation it is the most probable one.
    pub words: SamplingConfig,
}

impl Default for HeadChainConfig {
    /// 256 tokens, drawn at temperature 1.
    fn default() -> Self {
        let words = SamplingConfig::new(1.0).unwrap_or(SamplingConfig::greedy());
        Self { budget: 256, words }
    }
}

/// Settings of `RecPO`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RecPoConfig {
    /// Chains of a prompt, `G`. Range `2..`.
    pub group_size: usize,
    /// What a chain is worth.
    pub reward: FusedReward,
    /// How rewards become advantages.
    pub advantage: ZScore,
    /// Chains of a group, those with the largest advantages, after which the item is learned too. Range `0..`.
    pub learned: usize,
    /// Steps after which the vectors of all items are made again, by which rewards are computed; those of a step's own
    /// items are always renewed. Range `1..`.
    pub refresh_every: usize,
}

impl Default for RecPoConfig {
    /// As in the authors' code: 4 chains, the fused reward, z-scores of samples, items learned after the best chain. The
    /// vectors are made again every 50 steps, which is ours.
    fn default() -> Self {
        Self {
            group_size: 4,
            reward: FusedReward::default(),
            advantage: ZScore::new(1, 1e-8).unwrap_or(ZScore::POPULATION),
            learned: 1,
            refresh_every: 50,
        }
    }
}

impl Default for ItemHeadConfig {
    /// The temperature of `R²ec`; the schedule is of no paper.
    fn default() -> Self {
        Self {
            steps: 1000,
            prompts_per_step: 64,
            micro_batch: 16,
            temperature: 0.02,
            negatives: 0,
            chain: None,
            recpo: None,
            trainable: TrainableConfig::default(),
            optim: OptimConfig::default(),
            validate_every: 100,
            checkpoint_every: 100,
        }
    }
}

impl ItemHeadConfig {
    /// Accepts settings with which training is possible; `stage` is for messages.
    ///
    /// # Errors
    /// [`TrainError::Setting`] names stage and field.
    pub fn check(&self, stage: &str) -> Result<Checked<Self>, TrainError> {
        let counts = check_counts(&[
            ("steps", self.steps),
            ("prompts_per_step", self.prompts_per_step),
            ("micro_batch", self.micro_batch),
            ("validate_every", self.validate_every),
            ("checkpoint_every", self.checkpoint_every),
            ("chain.budget", self.chain.map_or(1, |chain| chain.budget)),
            ("recpo.refresh_every", self.recpo.map_or(1, |recpo| recpo.refresh_every)),
        ]);
        let rest = || {
            self.check_recpo()?;
            self.trainable.check_without_dropout()?;
            check_optim(&self.optim)?;
            self.check_candidates()?;
            self.head().map(drop)
        };
        of_stage(stage, in_table("item_head", counts.and_then(|()| rest())))?;
        Ok(Checked::of(self.clone()))
    }

    /// Accepts reinforcement of chains whose draws can be scored, in groups that have advantages.
    fn check_recpo(&self) -> Result<(), TrainError> {
        let refuse = |field: &str, found: String, needed| {
            Err(TrainError::Setting { field: field.to_owned(), found, needed })
        };
        let Some(recpo) = self.recpo else { return Ok(()) };
        if self.chain.is_none() {
            return refuse("chain", "missing".to_owned(), "a table, because `recpo` learns chains");
        }
        if recpo.group_size < 2 {
            let needed = "at least 2, because a chain is compared with the others of its group";
            return refuse("recpo.group_size", recpo.group_size.to_string(), needed);
        }
        self.law().map(drop)
    }

    /// Accepts a step with something to tell its targets from.
    fn check_candidates(&self) -> Result<(), TrainError> {
        if self.prompts_per_step > 1 || self.negatives > 0 {
            return Ok(());
        }
        let (field, found) = ("negatives".to_owned(), "0".to_owned());
        let needed = "at least 1 where a step has one prompt: a target alone teaches nothing";
        Err(TrainError::Setting { field, found, needed })
    }

    /// The head.
    ///
    /// # Errors
    /// [`TrainError::Setting`] for a temperature outside its range.
    pub fn head(&self) -> Result<ItemHead, TrainError> {
        ItemHead::new(self.temperature).map_err(|_| TrainError::Setting {
            field: "temperature".to_owned(),
            found: self.temperature.to_string(),
            needed: "a finite number above 0",
        })
    }

    /// The law that the words of chains are scored under: the one that they are drawn from.
    pub(super) fn law(&self) -> Result<TokenLaw, TrainError> {
        let words = match (self.recpo, self.chain) {
            (Some(_), Some(chain)) => chain.words,
            // Nothing is scored.
            _ => return Ok(TokenLaw::from(Scoring::Full)),
        };
        Ok(TokenLaw::of_draws(Scoring::Full, words, words)?)
    }

    /// Chains of a prompt.
    pub(super) fn group_size(&self) -> usize {
        self.recpo.map_or(1, |recpo| recpo.group_size)
    }
}
