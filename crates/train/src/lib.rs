//! Training loops, evaluation and reports for generative recommendation.
//!
//! [`Singer`] runs the whole of SINGER over a dataset, stage by stage, into a folder that a second
//! start continues. Its parts serve other systems too: [`Sft`] learns sequences with targets,
//! [`Rl`] improves a policy by any [`Reward`](sidereal_rl::Reward), [`rank`] evaluates by
//! constrained decoding, [`Checkpoints`] resume on the same curve, [`Observer`]s watch.
//!
//! ```no_run
//! use std::path::Path;
//! use sidereal_corpus::read::recbole::{ReadOptions, read};
//! use sidereal_train::{Bars, RunConfig, Singer};
//!
//! let config = RunConfig::load(Path::new("examples/singer.toml"))?;
//! let options = ReadOptions::new(config.seed);
//! let dataset = read(Path::new("beauty.inter"), Path::new("beauty.item"), &options)?.dataset;
//! let singer = Singer {
//!     config: &config,
//!     dataset: &dataset,
//!     references: &[],
//!     out: Path::new("runs/beauty"),
//!     device: sidereal_policy::device("auto")?,
//! };
//! println!("{}", singer.run(&mut Bars::default())?.report);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `fold`, `encode`, `augment` | [`Sequence`], [`fold()`], [`Encoder`], [`AugmentConfig`] |
//! | `optim` | [`AdamW`], schedule, clipping |
//! | `sft` | [`Sft`]: supervised fine-tuning |
//! | `rl` | [`Rl`]: rollouts, rewards, advantages, updates |
//! | `evaluate` | [`rank`], [`Ranking`], [`placements`] |
//! | `checkpoint` | [`Checkpoints`] bound to catalogue, prompts, tokenizer, split and settings |
//! | `observe` | [`Observer`], [`Record`], [`JsonLog`], [`Bars`] |
//! | `pipeline` | [`Singer`], [`RunConfig`], [`Run`], [`Outcome`] |
//!
//! # Conventions
//! One seed a run; libtorch's generator is seeded anew before every step from run and step, so that
//! a resumed run equals an unbroken one bit by bit on the CPU with the same number of threads.
//! Losses are in nats.

mod augment;
mod checkpoint;
mod encode;
mod error;
mod evaluate;
mod fold;
mod observe;
mod optim;
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
