//! From the rewards of a step to its advantages, by configuration.

use serde::{Deserialize, Serialize};
use sidereal_rl::{
    AdvantageEstimator, Advantages, Decoupled, Group, LeaveOneOut, MeanOnly, ObjectiveScores,
    Objectives, Reward, RewardBatch, RewardPart, Segments, Srpo, ZScore, score_groups,
};

use crate::TrainError;

/// How rewards become advantages.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AdvantageConfig {
    /// Standardised within the group (GRPO).
    ZScore(ZScore),
    /// Less the group's mean (Dr. GRPO).
    MeanOnly,
    /// Less the mean of the others of the group (RLOO).
    LeaveOneOut,
    /// Standardised, plus a bonus for exact hits (GREAM).
    Srpo(Srpo),
    /// Each of several objectives standardised within the group, their weighted sum over the batch
    /// (SAGE eq 7).
    Decoupled(ZScore),
}

impl Default for AdvantageConfig {
    fn default() -> Self {
        Self::ZScore(ZScore::POPULATION)
    }
}

/// What rollouts are worth: one reward, or several that are kept apart.
#[derive(Clone, Copy)]
pub enum StepReward<'a> {
    /// One number a rollout.
    One(&'a dyn Reward),
    /// Several, for [`AdvantageConfig::Decoupled`].
    Several(&'a Objectives<'a>),
}

impl std::fmt::Debug for StepReward<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::One(_) => "One",
            Self::Several(_) => "Several",
        })
    }
}

/// Rewards and advantages of some groups.
#[derive(Debug)]
pub(super) struct Judged {
    /// Of each rollout; the weighted sum where there are several objectives.
    pub(super) rewards: Vec<f64>,
    /// Named parts of the rewards and their means.
    pub(super) parts: Vec<(String, f64)>,
    /// Advantage of each rollout.
    pub(super) advantages: Advantages,
    /// Which rollouts belong to which group.
    pub(super) segments: Segments,
}

impl AdvantageConfig {
    /// The estimator that these settings name.
    #[must_use]
    pub fn estimator(&self) -> Box<dyn AdvantageEstimator> {
        match *self {
            Self::ZScore(z_score) => Box::new(z_score),
            Self::MeanOnly => Box::new(MeanOnly),
            Self::LeaveOneOut => Box::new(LeaveOneOut),
            Self::Srpo(srpo) => Box::new(srpo),
            Self::Decoupled(z_score) => Box::new(Decoupled(z_score)),
        }
    }
}

/// Judges groups of rollouts.
pub(super) fn judge(
    estimator: &dyn AdvantageEstimator,
    reward: StepReward<'_>,
    groups: &[Group<'_>],
) -> Result<Judged, TrainError> {
    let (rewards, parts, segments, apart) = match reward {
        StepReward::One(reward) => {
            let scores = score_groups(reward, groups.iter().copied())?;
            let parts = scores.parts.iter().map(|p: &RewardPart| (p.name.clone(), p.mean()));
            (scores.rewards, parts.collect(), scores.groups, None)
        }
        StepReward::Several(objectives) => {
            let scores = objectives.score_groups(groups.iter().copied())?;
            let (rewards, parts) = summed(&scores);
            (rewards, parts, scores.groups.clone(), Some(scores))
        }
    };
    let hits: Vec<bool> = groups.iter().flat_map(Group::hits).collect();
    let mut batch = RewardBatch::new(&rewards, &segments)?;
    if estimator.needs_hits() {
        batch = batch.with_hits(&hits)?;
    }
    match &apart {
        Some(scores) => batch = batch.with_objectives(scores)?,
        None if estimator.needs_objectives() => {
            return Err(TrainError::Setting {
                field: "rl.advantage".to_owned(),
                found: format!("`{}` with one reward", estimator.name()),
                needed: "a reward with several `objectives`",
            });
        }
        None => {}
    }
    let advantages = estimator.estimate(&batch)?;
    Ok(Judged { rewards, parts, advantages, segments })
}

/// Weighted sum of each rollout, and the mean of each objective.
fn summed(scores: &ObjectiveScores) -> (Vec<f64>, Vec<(String, f64)>) {
    let mut sum = vec![0.0; scores.groups.total()];
    let mut parts = Vec::new();
    for ((name, weight), rewards) in scores.names.iter().zip(&scores.weights).zip(&scores.rewards) {
        sum.iter_mut().zip(rewards).for_each(|(sum, reward)| *sum += weight * reward);
        let mean = rewards.iter().sum::<f64>() / rewards.len().max(1) as f64;
        parts.push((name.clone(), mean));
    }
    (sum, parts)
}
