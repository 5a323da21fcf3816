//! Rewards, as a recipe spells them.

mod slate;

use serde::{Deserialize, Serialize};
use sidereal_rl::{
    Accuracy, Group, Legal, Objectives, RankReward, ResidualSensitive, Reward, SidLevel, Singer,
    Stepwise,
};
use sidereal_sid::Catalog;

use super::{AdvantageConfig, RlConfig, RolloutConfig, StepReward};
use crate::TrainError;
use crate::categories::Categories;

/// Weight of `SIDReasoner`'s format term (its eq 8).
const FORMAT_WEIGHT: f64 = 0.1;

/// What a rollout is worth: `{ singer = {} }`, `"accuracy"`, `{ sid_level = 0.5 }`, …
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    /// `NDCG` of the target in a slate: `1 / log2(rank + 1)`, 0 where the slate does not hold it.
    SlateNdcg,
    /// Entropy of a slate's second-level categories, nats (SAGE's diversity).
    SlateEntropy,
    /// Several, weighted and kept apart until advantages are formed (SAGE eq 1).
    Objectives(Vec<NamedReward>),
}

/// Parts of SINGER's reward.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct SingerReward {
    /// Penalty of wrong rollouts by their place in the group.
    pub rank: RankReward,
    /// Reward of a shared prefix on hard prompts.
    pub sid_level: SidLevel,
}

/// One of several objectives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NamedReward {
    /// Name in the log.
    pub name: String,
    /// Weight of its advantages, any number.
    pub weight: f64,
    /// What a rollout is worth by this objective.
    pub reward: RewardConfig,
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

/// What rewards know of the items.
#[derive(Debug, Clone, Copy)]
pub struct KnownItems<'a> {
    /// What is legal.
    pub catalog: &'a Catalog,
    /// What makes a slate diverse.
    pub categories: &'a Categories,
}

impl RewardConfig {
    /// The reward.
    ///
    /// # Errors
    /// [`TrainError::Rl`] for a weight that is not finite; [`TrainError::Setting`] for an entropy of
    /// categories where no item has any.
    pub fn build<'a>(&self, known: KnownItems<'a>) -> Result<BuiltReward<'a>, TrainError> {
        Ok(match self {
            Self::Objectives(objectives) => BuiltReward::Several(several(objectives, known)?),
            _ => BuiltReward::One(self.one(known)?),
        })
    }

    /// Accepts objectives that there are, with weights that are numbers, and settings of the training that
    /// fit the reward.
    ///
    /// # Errors
    /// [`TrainError::Setting`] names the field.
    pub fn check(&self, config: &RlConfig) -> Result<(), TrainError> {
        let refuse = |field: &str, found: String, needed| {
            Err(TrainError::Setting { field: field.to_owned(), found, needed })
        };
        let exact = config.exact_log || config.rollout == RolloutConfig::Exact;
        if let Some(of_groups) = self.of_groups().filter(|_| exact) {
            let needed = "a reward of each answer alone with `rollout = \"exact\"` and with `exact_log`, \
                          because places in a group and hard prompts are those of rollouts";
            return refuse("reward", format!("{of_groups:?}"), needed);
        }
        match self {
            Self::Objectives(all) if all.is_empty() => {
                refuse("reward.objectives", "none".to_owned(), "at least one")
            }
            Self::Objectives(all) => match all.iter().find(|one| !one.weight.is_finite()) {
                Some(one) => refuse("reward.objectives.weight", one.weight.to_string(), "a number"),
                None => Ok(()),
            },
            _ if matches!(config.advantage, AdvantageConfig::Decoupled(_)) => {
                let found = "`decoupled` with one reward".to_owned();
                refuse("rl.advantage", found, "a reward with several `objectives`")
            }
            _ => Ok(()),
        }
    }

    /// Accepts a reward that looks at categories if there are any.
    ///
    /// # Errors
    /// [`TrainError::Setting`] names the reward.
    pub fn check_categories(&self, categories: &Categories) -> Result<(), TrainError> {
        match self {
            Self::Objectives(all) => {
                all.iter().try_for_each(|one| one.reward.check_categories(categories))
            }
            Self::SlateEntropy if categories.is_empty() => Err(TrainError::Setting {
                field: "reward.slate_entropy".to_owned(),
                found: "used, and no item has a category".to_owned(),
                needed: "data whose items have categories, or another reward",
            }),
            _ => Ok(()),
        }
    }

    /// The reward, or the first of several objectives, that does not judge slates (`slates`), or
    /// that judges nothing else (not `slates`).
    #[must_use]
    pub fn unfit(&self, slates: bool) -> Option<&Self> {
        match self {
            Self::Objectives(all) => all.iter().find_map(|one| one.reward.unfit(slates)),
            Self::SlateNdcg | Self::SlateEntropy => (!slates).then_some(self),
            _ => slates.then_some(self),
        }
    }

    /// The reward, or the first of several objectives, that looks at the other rollouts of the group.
    fn of_groups(&self) -> Option<&Self> {
        match self {
            Self::Objectives(all) => all.iter().find_map(|one| one.reward.of_groups()),
            Self::Singer(_) | Self::AccuracyRank(_) => Some(self),
            _ => None,
        }
    }

    /// One number a rollout: several objectives as their weighted sum.
    fn one<'a>(&self, known: KnownItems<'a>) -> Result<Box<dyn Reward + 'a>, TrainError> {
        let KnownItems { catalog, categories } = known;
        Ok(match self {
            Self::SlateNdcg => Box::new(slate::ndcg_of_target.named("slate_ndcg")),
            Self::SlateEntropy => {
                self.check_categories(categories)?;
                let entropy = |group: &Group<'_>| slate::category_entropy(group, categories);
                Box::new(entropy.named("slate_entropy"))
            }
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
            Self::Objectives(objectives) => Box::new(several(objectives, known)?),
        })
    }
}

fn several<'a>(
    objectives: &[NamedReward],
    known: KnownItems<'a>,
) -> Result<Objectives<'a>, TrainError> {
    let mut built = Objectives::new();
    for NamedReward { name, weight, reward } in objectives {
        built = built.with(name.clone(), *weight, reward.one(known)?)?;
    }
    Ok(built)
}
