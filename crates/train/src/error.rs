//! Why a run could not start or go on.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use sidereal_baselines::{BaselineError, PpmiError};
use sidereal_data::{DataError, SampleId};
use sidereal_files::FileError;
use sidereal_metrics::MetricError;
use sidereal_page::PageError;
use sidereal_policy::PolicyError;
use sidereal_prompts::{MixError, PromptError, Task};
use sidereal_quantizer::QuantizerError;
use sidereal_rl::RlError;
use sidereal_sid::{CatalogError, ItemId, NotationError};
use sidereal_teacher::TeacherError;

use crate::checkpoint::Checkpoints;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each message names its fields")]
pub enum TrainError {
    /// A file could not be read or written.
    #[error("cannot access `{}`", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// A JSON file that is not what it should be.
    #[error("`{}` is not valid", path.display())]
    Json {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    /// A line of a log that is no record.
    #[error(
        "`{}`, line {line}, is not a record of a training: repair the line or remove it, and start again",
        path.display()
    )]
    LogLine {
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        #[source]
        source: serde_json::Error,
    },
    /// A configuration file that is not what it should be.
    #[error("configuration `{}` is not valid", path.display())]
    Toml {
        path: PathBuf,
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A configuration that cannot be written.
    #[error("configuration cannot be written")]
    TomlOut(#[from] toml::ser::Error),
    /// A setting outside its range.
    #[error("configuration: `{field}` is {found}, needed {needed}")]
    Setting { field: String, found: String, needed: &'static str },
    /// A stage that the recipe does not have.
    #[error("the recipe has no stage `{name}`; it has {found}")]
    UnknownStage { name: String, found: String },
    /// A stage of a domain that the data do not have.
    #[error("stage `{stage}` learns from domain `{name}`; the data have {found}")]
    UnknownDomain { stage: String, name: String, found: String },
    /// A stage of domains or users of whom there is nothing to learn from or to validate on.
    #[error("stage `{stage}`: {part} has no {set} samples")]
    NothingInScope { stage: String, part: String, set: &'static str },
    /// The run's folder holds a run with other settings.
    #[error("`{}` holds a run with another `{part}`: choose another folder or delete it", path.display())]
    OtherRun { path: PathBuf, part: String },
    /// A stage of the run's folder was trained with another setting.
    #[error(
        "`{}` was trained with another `{part}`: give the run another folder or the stage another name, or \
         delete this folder to have the stage trained anew",
        path.display()
    )]
    OtherSetting { path: PathBuf, part: String },
    /// Rankings without an order.
    #[error(
        "an answer of stage `{stage}` to sample {id} has a score that is not a number: delete the stage's \
         file in `rankings` or `thoughts` to have it answer again, or, where its weights are damaged, \
         its folder to have it trained anew"
    )]
    Scores { stage: String, id: SampleId },
    /// A checkpoint that was written for something else.
    #[error("checkpoint `{}` belongs to another {part}: found {found}, needed {needed}", path.display())]
    Binding { path: PathBuf, part: String, found: String, needed: String },
    /// The state of an optimiser with a number of steps that is none.
    #[error(
        "the optimiser's state has {found:?} in place of a number of steps: it is damaged; go on from an \
         earlier checkpoint, or delete them all to train the stage anew"
    )]
    OptimiserSteps { found: Vec<i64> },
    /// A stage without anything to learn from or to evaluate.
    #[error("{what} has no samples")]
    NoSamples { what: &'static str },
    /// An item without a Semantic ID.
    #[error("item {item} has no semantic id in the catalogue")]
    UnknownItem { item: ItemId },
    /// A Semantic ID that no item has.
    #[error("no item has the semantic id {sid}")]
    UnknownSid { sid: String },
    /// A completion that the tokenizer does not split into the target's codes.
    #[error("sample {id}: the tokenizer does not read its semantic id as one token per code")]
    Codes { id: SampleId },
    /// Histories that are to be varied, under prompts that do not continue one another.
    #[error(
        "task `{task}` varies its histories, needed a set of prompts that continue one another"
    )]
    Messages { task: Task },
    /// Prompts, or prompts with their answers, that the model cannot read.
    #[error(
        "{job}: sample {id} has {found} tokens where the model has room for {limit}; {count} samples \
         are too long: shorten histories (`max_history`) or texts, or take a model with more positions"
    )]
    TooLong { job: String, id: SampleId, found: usize, limit: usize, count: usize },
    /// A prompt to judge answers to, without an item that is the right answer.
    #[error("sample {id} has no target item")]
    NoTarget { id: SampleId },
    /// A system that ranks other candidates in another of several runs.
    #[error("`{system}` ranks other candidates in run `{run}` than in the first run that has it")]
    Pools { system: String, run: String },
    /// A loss or gradient that is not a finite number, or a divergence or entropy outside its bounds.
    #[error("{stage} diverged at step {step}: {what} is {found}; {}; samples {samples}", last(checkpoint.as_deref()))]
    Diverged {
        stage: String,
        step: usize,
        what: &'static str,
        found: f64,
        /// The newest, from before the step.
        checkpoint: Option<PathBuf>,
        samples: String,
    },
    /// A file that could not be read or written whole, or a folder that another process works in.
    #[error(transparent)]
    File(#[from] FileError),
    /// The data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The prompts.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// A mixture of tasks.
    #[error(transparent)]
    Mix(#[from] MixError),
    /// Texts by a teacher.
    #[error(transparent)]
    Teacher(#[from] TeacherError),
    /// The quantiser.
    #[error(transparent)]
    Quantizer(#[from] QuantizerError),
    /// The catalogue.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A Semantic ID.
    #[error(transparent)]
    Notation(#[from] NotationError),
    /// The policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A reward or an objective.
    #[error(transparent)]
    Rl(#[from] RlError),
    /// A metric.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// A baseline.
    #[error(transparent)]
    Baseline(#[from] BaselineError),
    /// Collaborative item vectors.
    #[error(transparent)]
    Ppmi(#[from] PpmiError),
    /// The report.
    #[error(transparent)]
    Page(#[from] PageError),
    /// libtorch refused an operation.
    #[error("libtorch failed")]
    Torch(#[from] tch::TchError),
}

impl TrainError {
    /// The error of step `step`, counted from 1, from which training should not go on, or why the
    /// checkpoints before it could not be listed. `samples` are those of the update.
    pub(crate) fn diverged(
        stage: &str,
        step: usize,
        (what, found): (&'static str, f64),
        checkpoints: &Checkpoints,
        samples: impl IntoIterator<Item = impl Display>,
    ) -> Self {
        let checkpoint = match checkpoints.newest() {
            Ok(checkpoint) => checkpoint,
            Err(error) => return error,
        };
        let samples: Vec<String> = samples.into_iter().map(|id| id.to_string()).collect();
        let samples = samples.join(" ");
        Self::Diverged { stage: stage.to_owned(), step, what, found, checkpoint, samples }
    }
}

fn last(checkpoint: Option<&Path>) -> String {
    match checkpoint {
        Some(path) => format!("the last checkpoint is `{}`", path.display()),
        None => "there is no checkpoint before it".to_owned(),
    }
}
