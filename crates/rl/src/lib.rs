//! Rewards, advantages and surrogate objectives over Semantic IDs.

mod advantage;
mod curriculum;
mod error;
mod group;
#[cfg(feature = "proptest")]
pub mod laws;
mod preference;
mod reward;
mod segments;
#[cfg(feature = "proptest")]
pub mod strategies;
mod surrogate;

pub use error::RlError;
pub use group::Group;
pub use segments::Segments;

pub use reward::{
    Accuracy, ByHardness, Clipped, Legal, Named, ObjectiveScores, Objectives, OverlongPenalty,
    Part, RankReward, ResidualSensitive, Reward, Scores, SidLevel, Singer, Stepwise, Sum,
    TaggedFormat, TextReward, Weighted, find_sid, score_groups,
};

pub use advantage::{
    Advantages, Srpo, SrpoBonus, ZScore, decoupled_advantages, is_flat, leave_one_out_advantages,
    mean_only_advantages,
};

pub use surrogate::{
    Clip, Diagnostics, EntropyBonus, Gbpo, Grpo, Gspo, Kl, KlEstimator, Normalise, Objective,
    RolloutBatch, Sage, SageReading, StepSize, Surrogate, entropy_bonus,
};

pub use preference::{PreferenceBatch, PreferenceLoss, Sdpo};

pub use curriculum::{
    PrefixCap, PrefixSchedule, ReasoningInsertion, RunningEntropy, VarianceGuidedSampling,
    select_distinct,
};
