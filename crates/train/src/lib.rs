//! Training loops, evaluation and reports for generative recommendation.
//!
//! [`Pipeline`] carries out a [`Recipe`] over a dataset, stage by stage, into a folder that a second
//! start continues; the published systems are recipes. Its parts serve by themselves too: [`Sft`] learns sequences with targets,
//! [`Rl`] improves a policy by any [`Reward`](sidereal_rl::Reward), [`rank`] evaluates by
//! constrained decoding, [`Checkpoints`] resume on the same curve, [`Observer`]s watch.
//!
//! ```no_run
//! use std::path::Path;
//! use sidereal_data::read::recbole::{ReadOptions, read};
//! use sidereal_train::{Bars, Pipeline, Recipe};
//!
//! let recipe = Recipe::load(Path::new("examples/recipes/singer/small.toml"))?;
//! let options = ReadOptions::new(recipe.seed);
//! let dataset = read(Path::new("beauty.inter"), Path::new("beauty.item"), &options)?.dataset;
//! let pipeline = Pipeline {
//!     recipe: &recipe,
//!     dataset: &dataset,
//!     published: None,
//!     references: &[],
//!     out: Path::new("runs/beauty"),
//!     device: sidereal_policy::device("auto")?,
//! };
//! println!("{}", pipeline.run(&mut Bars::default())?.report);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `fold`, `encode`, `augment` | [`Sequence`], [`fold()`], [`Encoder`], [`AugmentConfig`] |
//! | `optim` | [`AdamW`], [`Schedule`], clipping |
//! | `trainable` | [`TrainableConfig`]: all weights, adapters, embeddings |
//! | `sft` | [`Sft`]: supervised fine-tuning; [`Lessons`]: [`Histories`], [`MixedTasks`] |
//! | `rl` | [`Rl`]: rollouts, [`RewardConfig`], [`AdvantageConfig`], updates |
//! | `reasoning` | [`Thinker`]: chains of thought with an answer behind each |
//! | `slate` | [`SlateAnswers`]: slates of titles out of pools |
//! | `preference` | [`PreferenceTraining`]: S-DPO and DPO |
//! | `evaluate` | [`rank`], [`Ranking`], [`placements`]; [`think`], [`Thought`] |
//! | `recommend` | [`TrainedStage`], [`Recommender`]: a trained policy that answers users |
//! | `categories` | [`Categories`] of items |
//! | `compare` | [`RunComparison`]: several runs side by side |
//! | `checkpoint` | [`Checkpoints`] bound to catalogue, prompts, tokenizer, split and settings |
//! | `observe` | [`Observer`], [`Record`], [`JsonLog`], [`TensorBoard`], [`Bars`] |
//! | `pipeline` | [`Pipeline`], [`Recipe`], [`Stage`], [`TrainedPolicy`], [`Outcome`] |
//!
//! # Conventions
//! One seed a run; libtorch's generator is seeded anew before every step from run and step, so that
//! a resumed run equals an unbroken one bit by bit on the CPU with the same number of threads.
//! Losses are in nats.

mod augment;
mod categories;
mod checkpoint;
mod compare;
mod encode;
mod error;
mod evaluate;
mod files;
mod fold;
mod learner;
mod lengths;
mod number;
mod observe;
mod optim;
mod pipeline;
mod preference;
mod reasoning;
mod recommend;
mod rl;
mod seed;
mod setting;
mod sft;
mod slate;
mod trainable;
mod trainer;

pub use augment::AugmentConfig;
pub use categories::Categories;
pub use checkpoint::{Binding, Checkpoints};
pub use compare::{ComparedSystem, FinishedRun, RunComparison};
pub use encode::{Encoder, Mode, Prompt};
pub use error::TrainError;
pub use evaluate::{Batching, Ranking, Ways, draw, placements, rank, think};
pub use fold::{Sequence, fold};
pub use observe::{Bars, JsonLog, Observer, Record, ShownGroup, ShownRollout, TensorBoard};
pub use optim::{AdamW, OptimConfig, Schedule};
pub use pipeline::{
    BucketRow, CandidatePools, Compute, DomainReport, EmbedConfig, EvaluateConfig,
    EvaluateReasoning, ModelConfig, Outcome, Pipeline, PretrainedConfig, Published, Recipe,
    Reference, Run, Showcase, SidConfig, SplitConfig, Stage, TeacherConfig, TextsConfig,
    ThoughtResult, TokenizerConfig, TrainedPolicy, Training, UserShare,
};
pub use preference::{NegativeSource, Preference, PreferenceConfig, PreferenceTraining};
pub use reasoning::{Thinker, Thinking, Thought, ThoughtRollout};
pub use recommend::{Explained, Recommended, Recommender, TrainedStage, Wanted};
pub use rl::{
    AdvantageConfig, BuiltReward, KnownItems, NamedReward, ReasoningConfig, RewardConfig, Rl,
    RlConfig, RlPrompt, RolloutConfig, SingerReward, StepReward,
};
pub use sft::{
    Epoch, Histories, Keep, Late, Lessons, MixedData, MixedTasks, MixtureConfig, MixtureOrder,
    MixtureStage, Sft, SftConfig, SftData, Weighted,
};
pub use slate::SlateAnswers;
pub use trainable::{Embeddings, Layers, TrainableConfig};
