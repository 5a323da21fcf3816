//! From a dataset to a trained, evaluated and reported policy, stage by stage.

mod config;
mod outcome;
mod run;
mod singer;
mod test;

pub use config::{
    EmbedConfig, EvaluateConfig, ModelConfig, RewardConfig, RunConfig, SidConfig, TokenizerConfig,
};
pub use outcome::{Outcome, Showcase};
pub use run::Run;
pub use singer::{Reference, Singer};
