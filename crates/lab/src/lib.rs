//! Whole runs by recipe: a dataset becomes trained and evaluated policies, with a report.
//!
//! [`Pipeline`] carries out a [`Recipe`] over a dataset, part by part, in a folder. After an
//! interruption a second start goes on in this folder. There is a recipe for each published system.
//!
//! ```no_run
//! use std::path::Path;
//! use sidereal_data::read::recbole::{ReadOptions, read};
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
//!     baselines: &[],
//!     out: Path::new("runs/beauty"),
//!     device: sidereal_policy::device("auto")?,
//! };
//! println!("{}", pipeline.run(&mut Bars::default())?.report);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `recipe`, `split` | [`Recipe`], [`Stage`], [`SplitConfig`]: the settings of a run; [`Preset`]: those that come with the library |
//! | `run` | [`RunFolder`], [`Part`]: the folder of a run, and what is carried out in it |
//! | `parts` | the parts: item vectors, Semantic IDs, texts, vocabulary, policies, answers |
//! | `workbench` | what the parts after the vocabulary share: prompts, and the legal answers |
//! | `judged_codes` | [`judged`]: how well Semantic IDs say which item follows |
//! | `evaluation` | the part that makes the tables of all answers |
//! | `pipeline` | [`Pipeline`]: the parts of a run, put together |
//! | `resume` | whether the folder of an earlier start may go on |
//! | `outcome`, `finished` | [`RunResult`]: the result of a run, its report, and both read back from a folder |
//! | `policy_folder` | [`TrainedPolicy`]: the policy of a stage on the disk |
//! | `recommend` | [`TrainedStage`], [`PolicyRecommender`]: a trained policy that answers users |
//! | `blend` | [`ServedBlend`]: several policies and a prior that answer users together |
//! | `compare` | [`RunComparison`]: several runs side by side |
//! | `local_teacher` | [`LocalTeacher`]: a language model on this machine that writes texts about items and users |
//! | `leaderboard` | [`Leaderboard`]: many systems under one protocol, by a [`BoardRecipe`], into a [`Board`] |

mod blend;
mod cold;
mod compare;
mod error;
mod evaluation;
mod finished;
mod judged_codes;
mod leaderboard;
mod local_teacher;
mod outcome;
mod parts;
mod pipeline;
mod policy_folder;
mod pool_task;
mod recipe;
mod recommend;
mod resume;
mod run;
mod seed;
mod setting;
mod split;
mod tested_users;
mod workbench;

pub use blend::served::{BlendExplanation, ServedBlend};
pub use blend::weights::BlendWeights;
pub use compare::{ComparedSystem, FinishedRun, RunComparison};
pub use error::LabError;
pub use evaluation::recommenders::Baseline;
pub use evaluation::{
    BucketRow, ChangedAnswers, ChangedCase, DescriptionRow, DomainReport, ExerciseRow, LabelRow,
    TargetsRow, TargetsValue,
};
pub use judged_codes::judged;
pub use leaderboard::{
    Board, BoardData, BoardPreset, BoardRecipe, BoardRow, BoardTrial, BoardValue, Cost, CountedBy,
    Leaderboard, LeftOut, PublishedNumbers, PublishedResult, Settings, SystemConfig, TuneConfig,
    Tuned, TuningEnd,
};
pub use local_teacher::LocalTeacher;
pub use outcome::RunResult;
pub use outcome::scaling::Scaling;
pub use outcome::showcase::Showcase;
pub use parts::descriptions::Description;
pub use parts::exercises::ExerciseAnswer;
pub use parts::labels::LabelAnswer;
pub use parts::published_ids::Published;
pub use parts::reasoning::ReasoningResult;
pub use pipeline::Pipeline;
pub use policy_folder::{PolicyCard, PolicyParts, TrainedPolicy};
pub use recipe::Recipe;
pub use recipe::answering::{Answering, AssistedConfig, GroundedConfig};
pub use recipe::base::{base_folder, is_named_base};
pub use recipe::blend::{BlendConfig, ChooseBy, PriorSource};
pub use recipe::compute::Compute;
pub use recipe::embed::{EmbedConfig, ItemField};
pub use recipe::evaluate::{
    EvaluateConfig, EvaluateDescriptions, EvaluateExercises, EvaluateLabels, EvaluateTargets,
};
pub use recipe::evaluate_reasoning::{EvaluateReasoning, RankedAfter};
pub use recipe::hierarchical::HierarchicalConfig;
pub use recipe::linfa_kmeans::LinfaKMeansConfig;
pub use recipe::model::{ModelConfig, PretrainedConfig, TokenizerConfig};
pub use recipe::pool::CandidatePools;
pub use recipe::presets::Preset;
pub use recipe::rq_kmeans::RqKMeansConfig;
pub use recipe::rq_vae::{LetterConfig, RqVaeConfig};
pub use recipe::scaling::ScalingConfig;
pub use recipe::shape::{DecoderShape, ItemShape, T5Shape};
pub use recipe::sids::{SidConfig, SidMethod};
pub use recipe::slate::SlateConfig;
pub use recipe::spectral::SpectralConfig;
pub use recipe::stage::{EventPart, Stage, Training, UserShare};
pub use recipe::texts::{LocalTeacherConfig, TeacherConfig, TextsConfig};
pub use recipe::token_style::{StyleTemplate, TokenStyleConfig};
pub use recipe::two_streams::TwoStreamsConfig;
pub use recipe::untrained::UntrainedConfig;
pub use recommend::{
    Explained, HowToReason, PolicyRecommender, ReasonedChain, ReasonedItems, Recommended,
    TrainedStage, Wanted,
};
pub use run::RunFolder;
pub use run::part::{Folder, Made, Part, PartFiles, Remarks, SETTINGS};
pub use split::SplitConfig;
pub use tested_users::TestedUsers;
