//! From a dataset to trained, evaluated and reported policies, stage by stage.

mod compute;
mod foundation;
mod like;
mod outcome;
#[allow(clippy::module_inception, reason = "the folder holds the parts of the type of its name")]
mod pipeline;
mod pool;
mod recipe;
mod run;
mod scope;
mod stage;
mod test;
mod texts;
mod trained;
mod training;

use self::pipeline::Context;
pub(crate) use self::pool::is_over_pool;
pub(crate) use self::run::read_json;
pub(crate) use self::test::{rankings_file, thinking, thoughts_file};

pub use compute::Compute;
pub use outcome::{Outcome, Showcase};
pub use pipeline::{Pipeline, Published, Reference};
pub use pool::CandidatePools;
pub use recipe::{
    EmbedConfig, EvaluateConfig, ModelConfig, PretrainedConfig, Recipe, SidConfig, SplitConfig,
    TokenizerConfig,
};
pub use run::Run;
pub use stage::{Stage, Training, UserShare};
pub use test::{BucketRow, DomainReport, EvaluateReasoning, ThoughtResult};
pub use texts::{TeacherConfig, TextsConfig};
pub use trained::TrainedPolicy;
