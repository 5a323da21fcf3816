//! Rewards, advantages and surrogate objectives over Semantic IDs.

mod advantage;
mod curriculum;
mod error;
mod group;
mod reward;
mod segments;
mod surrogate;

pub use error::RlError;
pub use group::Group;
pub use segments::Segments;

pub use reward::{
    Accuracy, ByHardness, Clipped, Named, Part, RankReward, Reward, Scores, SidLevel, Singer, Sum,
    Weighted, score_groups,
};

pub use advantage::{Advantages, ZScore, is_flat, leave_one_out_advantages, mean_only_advantages};

pub use surrogate::{
    Clip, Diagnostics, Grpo, Kl, KlEstimator, Normalise, Objective, RolloutBatch, StepSize,
};

pub use curriculum::{PrefixCap, PrefixSchedule};
