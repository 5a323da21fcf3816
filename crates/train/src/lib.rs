//! Training loops, evaluation and reports for generative recommendation.

mod augment;
mod checkpoint;
mod encode;
mod error;
mod evaluate;
mod fold;
mod observe;
mod optim;
pub mod page;
mod pipeline;
mod rl;
mod sft;

pub use augment::AugmentConfig;
pub use checkpoint::{Binding, Checkpoints};
pub use encode::{Encoder, Prompt};
pub use error::TrainError;
pub use evaluate::{Ranking, placements, rank};
pub use fold::{Sequence, fold};
pub use observe::{Bars, JsonLog, Observer, Record};
pub use optim::{AdamW, OptimConfig};
pub use pipeline::{
    EmbedConfig, EvaluateConfig, ModelConfig, Outcome, Reference, RewardConfig, Run, RunConfig,
    Showcase, SidConfig, Singer, TokenizerConfig,
};
pub use rl::{Rl, RlConfig, RlPrompt};
pub use sft::{Sft, SftConfig, SftData};
