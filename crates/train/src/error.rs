//! Why a run could not start or go on.

use std::path::{Path, PathBuf};

use sidereal_data::{DataError, SampleId};
use sidereal_files::FileError;
use sidereal_metrics::MetricError;
use sidereal_policy::PolicyError;
use sidereal_prompts::{PromptError, Task};
use sidereal_rl::RlError;
use sidereal_sid::{ItemId, NotationError};

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
    /// A JSON file with unexpected contents.
    #[error("`{}` does not have the JSON content that is expected here", path.display())]
    Json {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    /// A line of a log that is not a record.
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
    /// A setting outside its range.
    #[error("configuration: `{field}` is {found}; expected {needed}")]
    Setting { field: String, found: String, needed: &'static str },
    /// A checkpoint that was written for something else.
    #[error("checkpoint `{}` belongs to another {part}: found {found}, expected {needed}", path.display())]
    Binding { path: PathBuf, part: String, found: String, needed: String },
    /// The state of an optimiser with an impossible number of steps.
    #[error(
        "the state of the optimiser is damaged: it has {found:?} in place of a number of steps; go on from an \
         earlier checkpoint, or delete them all to train the stage anew"
    )]
    OptimiserSteps { found: Vec<i64> },
    /// An assistant of a search that could not score the items.
    #[error("sample {id}: the assistant of the search could not score the items")]
    Assistant {
        id: SampleId,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A stage without anything to learn from or to evaluate.
    #[error("{what} has no samples")]
    NoSamples { what: &'static str },
    /// An item without a Semantic ID.
    #[error("item {item} has no Semantic ID in the catalogue")]
    UnknownItem { item: ItemId },
    /// A completion that the tokenizer does not split into the target's codes.
    #[error("sample {id}: the tokenizer does not read its Semantic ID as one token per code")]
    Codes { id: SampleId },
    /// Histories that should be varied, with prompts that do not continue one another.
    #[error(
        "task `{task}` uses several prefixes of one history, so it needs a prompt set whose prompts continue \
         one another and a policy that is a causal model; one of them is missing"
    )]
    Messages { task: Task },
    /// Prompts, or prompts with their answers, that are too long for the model.
    #[error(
        "{job}: sample {id} has {found} tokens, but the model has room for {limit}; {count} samples \
         are too long: shorten the histories (`max_history`) or texts, or use a model with more positions"
    )]
    TooLong { job: String, id: SampleId, found: usize, limit: usize, count: usize },
    /// A prompt for rewards that has no right answer among its items.
    #[error("sample {id} has no target item")]
    NoTarget { id: SampleId },
    /// A loss or gradient that is not a finite number, or a divergence or entropy outside its bounds.
    #[error("{stage} diverged at step {step}: {what} is {found}; {}; samples {samples}", last(checkpoint.as_deref()))]
    Diverged {
        stage: String,
        step: usize,
        what: &'static str,
        found: f64,
        /// The newest checkpoint from before the step.
        checkpoint: Option<PathBuf>,
        samples: String,
    },
    /// A file that could not be read or written whole, or a folder that another process works in.
    #[error(transparent)]
    File(#[from] FileError),
    /// The data.
    #[error(transparent)]
    Data(Box<DataError>),
    /// The prompts.
    #[error(transparent)]
    Prompt(Box<PromptError>),
    /// A mixture of tasks.
    #[error(transparent)]
    Mix(#[from] sidereal_prompts::MixError),
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
    /// An operation of libtorch failed.
    #[error("libtorch failed")]
    Torch(#[from] tch::TchError),
}

impl From<DataError> for TrainError {
    fn from(error: DataError) -> Self {
        Self::Data(Box::new(error))
    }
}

impl From<PromptError> for TrainError {
    fn from(error: PromptError) -> Self {
        Self::Prompt(Box::new(error))
    }
}

fn last(checkpoint: Option<&Path>) -> String {
    match checkpoint {
        Some(path) => format!("the last checkpoint is `{}`", path.display()),
        None => "there is no checkpoint before it".to_owned(),
    }
}

/// The error of a path.
pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> TrainError {
    let path = path.to_owned();
    move |source| TrainError::Io { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_is_wrong_where_and_what_was_expected() {
        let error = TrainError::Setting {
            field: "stage.rl.rl.rollout".to_owned(),
            found: "Beam".to_owned(),
            needed: "`sample`, because slates are drawn",
        };
        insta::assert_snapshot!(
            error.to_string(),
            @"configuration: `stage.rl.rl.rollout` is Beam; expected `sample`, because slates are drawn"
        );
    }
}
