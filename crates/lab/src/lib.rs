//! Recipes of whole runs: from a dataset to trained, evaluated and reported policies.
//!
//! [`Pipeline`] carries out a [`Recipe`] over a dataset, part by part, into a folder that a second
//! start continues. The published systems are recipes.
//!
//! ```no_run
//! use std::path::Path;
//! use sidereal_corpus::read::recbole::{ReadOptions, read};
//! use sidereal_lab::{Pipeline, Recipe};
//! use sidereal_train::Bars;
//!
//! let recipe = Recipe::preset("singer/small")?;
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
//! | `recipe` | [`Recipe`], [`Stage`]: the settings of a run; [`Preset`]: those that come with the library |
//! | `run` | [`Run`]: the folder of a run and its manifest |
//! | `pipeline` | [`Pipeline`]: the parts of a run, one after the other |
//! | `parts` | what each part does: vectors, Semantic IDs, texts, vocabulary, training |
//! | `evaluation` | what policies answer to the users of the test, and the tables |
//! | `outcome`, `finished` | [`Outcome`]: the result of a run, its report, and both read back from a folder |
//! | `policy_folder` | [`TrainedPolicy`]: the policy of a stage on the disk |
//! | `recommend` | [`TrainedStage`], [`Recommender`]: a trained policy that answers users |
//! | `compare` | [`RunComparison`]: several runs side by side |

mod compare;
mod error;
mod evaluation;
mod finished;
mod outcome;
mod parts;
mod pipeline;
mod policy_folder;
mod recipe;
mod recommend;
mod run;
mod seed;
mod setting;

pub use compare::{ComparedSystem, FinishedRun, RunComparison};
pub use error::LabError;
pub use evaluation::{BucketRow, DomainReport, EvaluateReasoning, ThoughtResult};
pub use outcome::{Outcome, Showcase};
pub use parts::texts::{TeacherConfig, TextsConfig};
pub use pipeline::{Pipeline, Published, Reference};
pub use policy_folder::TrainedPolicy;
pub use recipe::compute::Compute;
pub use recipe::pool::CandidatePools;
pub use recipe::presets::Preset;
pub use recipe::stage::{Stage, Training, UserShare};
pub use recipe::{
    EmbedConfig, EvaluateConfig, ModelConfig, PretrainedConfig, Recipe, SidConfig, SplitConfig,
    TokenizerConfig,
};
pub use recommend::{Explained, Recommended, Recommender, TrainedStage, Wanted};
pub use run::Run;
