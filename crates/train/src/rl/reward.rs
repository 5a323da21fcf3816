//! Rewards, as a recipe spells them.

use serde::{Deserialize, Serialize};
use sidereal_rl::{
    Accuracy, Legal, Objectives, RankReward, ResidualSensitive, Reward, SidLevel, Singer, Stepwise,
};
use sidereal_sid::Catalog;

use super::StepReward;
use crate::TrainError;

/// Weight of `SIDReasoner`'s format term (its eq 8).
const FORMAT_WEIGHT: f64 = 0.1;

/// A reward by name: `{ singer = {} }`, `"accuracy"`, `{ sid_level = 0.5 }`, …
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RewardConfig {
    /// SID-level on hard prompts, accuracy plus rank on the others (SINGER eq 9).
    Singer(SingerReward),
    /// 1 for the target, else 0 (SINGER eq 6).
    Accuracy,
    /// Accuracy plus the rank penalty (SINGER eqs 6, 7).
    AccuracyRank(RankReward),
    /// Shared prefix, on every prompt (SINGER eq 8).
    SidLevel(SidLevel),
    /// Shared prefix in powers of two, plus 0.1 for a Semantic ID of the catalogue (`SIDReasoner`
    /// eqs 6-8).
    Stepwise,
    /// Shared prefix by its share of the levels (GREAM eq 14).
    ResidualSensitive(ResidualSensitive),
    /// Several, weighted and kept apart until advantages are formed (SAGE eq 1).
    Objectives(Vec<NamedReward>),
}

/// Parts of SINGER's reward.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SingerReward {
    /// Penalty of wrong rollouts by their place in the group.
    pub rank: RankReward,
    /// Reward of a shared prefix on hard prompts.
    pub sid_level: SidLevel,
}

/// One of several objectives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedReward {
    /// Name in the log.
    pub name: String,
    /// Weight of its advantages.
    pub weight: f64,
    /// The reward itself.
    pub reward: RewardConfig,
}

impl Default for RewardConfig {
    fn default() -> Self {
        Self::Singer(SingerReward::default())
    }
}

/// A reward built from its configuration.
pub enum BuiltReward<'a> {
    /// One number a rollout.
    One(Box<dyn Reward + 'a>),
    /// Several objectives.
    Several(Objectives<'a>),
}

impl std::fmt::Debug for BuiltReward<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.borrow().fmt(f)
    }
}

impl BuiltReward<'_> {
    /// The reward as [`Rl`](super::Rl) takes it.
    #[must_use]
    pub fn borrow(&self) -> StepReward<'_> {
        match self {
            Self::One(reward) => StepReward::One(reward),
            Self::Several(objectives) => StepReward::Several(objectives),
        }
    }
}

impl RewardConfig {
    /// The reward; `catalog` says what is legal.
    ///
    /// # Errors
    /// [`TrainError::Rl`] for a weight that is not finite.
    pub fn build<'a>(&self, catalog: &'a Catalog) -> Result<BuiltReward<'a>, TrainError> {
        Ok(match self {
            Self::Objectives(objectives) => BuiltReward::Several(several(objectives, catalog)?),
            _ => BuiltReward::One(self.one(catalog)?),
        })
    }

    /// One number a rollout: several objectives as their weighted sum.
    fn one<'a>(&self, catalog: &'a Catalog) -> Result<Box<dyn Reward + 'a>, TrainError> {
        Ok(match self {
            Self::Singer(parts) => {
                Box::new(Singer { rank: parts.rank, sid_level: parts.sid_level })
            }
            Self::Accuracy => Box::new(Accuracy.named("accuracy")),
            Self::AccuracyRank(rank) => {
                Box::new(Accuracy.named("accuracy").plus(rank.named("rank")))
            }
            Self::SidLevel(sid_level) => Box::new(sid_level.named("sid_level")),
            Self::Stepwise => {
                let legal = Legal::new(catalog).named("legal").weighted(FORMAT_WEIGHT);
                Box::new(Stepwise.named("stepwise").plus(legal))
            }
            Self::ResidualSensitive(residual) => Box::new(residual.named("residual")),
            Self::Objectives(objectives) => Box::new(several(objectives, catalog)?),
        })
    }
}

fn several<'a>(
    objectives: &[NamedReward],
    catalog: &'a Catalog,
) -> Result<Objectives<'a>, TrainError> {
    let mut built = Objectives::new();
    for NamedReward { name, weight, reward } in objectives {
        built = built.with(name.clone(), *weight, reward.one(catalog)?)?;
    }
    Ok(built)
}
