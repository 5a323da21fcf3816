//! Why a run could not start or go on.

use std::path::PathBuf;

use sidereal_baselines::neural::NeuralError;
use sidereal_baselines::{BaselineError, VectorError};
use sidereal_data::{DataError, SampleId};
use sidereal_files::FileError;
use sidereal_metrics::{Metric, MetricError};
use sidereal_page::PageError;
use sidereal_policy::PolicyError;
use sidereal_prompts::PromptError;
use sidereal_quantizer::QuantizerError;
use sidereal_sid::{CatalogError, ItemId, NotationError};
use sidereal_teacher::{Stopped, TeacherError};
use sidereal_train::TrainError;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each message names its fields")]
pub enum LabError {
    /// A file could not be read or written.
    #[error("cannot access `{}`", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// A JSON value with unexpected contents.
    #[error("`{}` does not have the JSON content that is expected here", path.display())]
    Json {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    /// A configuration file that cannot be read.
    #[error("configuration `{}` is not valid", path.display())]
    Toml {
        path: PathBuf,
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A key of a configuration file with a wrong value.
    #[error("configuration `{}` is not valid at `{key}`", path.display())]
    TomlKey {
        path: PathBuf,
        key: String,
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A configuration that cannot be written.
    #[error("configuration cannot be written")]
    TomlOut(#[from] toml::ser::Error),
    /// A setting outside its range.
    #[error("configuration: `{field}` is {found}; expected {needed}")]
    Setting { field: String, found: String, needed: &'static str },
    /// A key that no recipe has.
    #[error("recipes have no key `{key}`; {} has {found}", place(table))]
    UnknownKey { key: String, table: String, found: String },
    /// A metric that no compared run has.
    #[error(
        "no system of these runs has {metric}; a metric of lists is there if it is a column of their reports \
         (`evaluate.metrics`), one of drawn answers if they were tested with reasoning"
    )]
    NoColumn { metric: Metric },
    /// A stage that the recipe does not have.
    #[error("the recipe has no stage `{name}`; its stages are {found}")]
    UnknownStage { name: String, found: String },
    /// A recipe that does not come with the library.
    #[error("there is no preset `{name}`; the presets are {found}")]
    UnknownPreset { name: String, found: String },
    /// A leaderboard that does not come with the library.
    #[error("there is no leaderboard `{name}`; the leaderboards are {found}")]
    UnknownBoard { name: String, found: String },
    /// A kind of systems that no leaderboard knows.
    #[error("there is no kind of systems `{kind}`; the kinds are {found}")]
    UnknownKind { kind: String, found: String },
    /// Settings that a kind of systems does not have.
    #[error("the settings of a system of the kind `{kind}` cannot be read")]
    BoardSettings {
        kind: &'static str,
        #[source]
        source: serde_json::Error,
    },
    /// A system that needs something that the leaderboard does not have.
    #[error("a system of the kind `{kind}` needs {what}")]
    BoardNeeds { kind: &'static str, what: &'static str },
    /// A run that was tested on other users.
    #[error(
        "`{row}` of the run in `{}` was tested on other users than the leaderboard, so they cannot share a \
         table: take a row over all items and all users of the test",
        path.display()
    )]
    BoardUsers { row: String, path: PathBuf },
    /// A blend that a folder does not have.
    #[error("`{}` has no blend `{name}`: {found}", path.display())]
    UnknownBlend { path: PathBuf, name: String, found: String },
    /// A blend whose weights were chosen for another policy than the one in the run's folder.
    #[error(
        "the weights of the blend `{blend}` were chosen for another policy `{stage}` than the one in `{}`: \
         start the run again with its recipe, which makes the blend anew",
        path.display()
    )]
    OtherPolicy { path: PathBuf, blend: String, stage: String },
    /// A stage for a domain that the data do not have.
    #[error("stage `{stage}` learns from the domain `{name}`, but the data has only {found}")]
    UnknownDomain { stage: String, name: String, found: String },
    /// A stage for domains or users without samples for training or validation.
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
    /// A tensor whose shape does not fit its contents.
    #[error(
        "tensor `{tensor}` of `{}` has the shape {found:?}; expected {needed}: delete the file to have it \
         made again",
        path.display()
    )]
    Shape { path: PathBuf, tensor: &'static str, found: Vec<i64>, needed: &'static str },
    /// Rankings with scores that have no order.
    #[error(
        "an answer of stage `{stage}` to sample {id} has a score that is not a number: delete the stage's \
         file in `rankings` or `reasoning` to have it answer again, or, where its weights are damaged, \
         its folder to have it trained anew"
    )]
    Scores { stage: String, id: SampleId },
    /// A policy that was made for something else.
    #[error("the policy in `{}` was made for another {part}: found {found}, expected {needed}", path.display())]
    Binding { path: PathBuf, part: String, found: String, needed: String },
    /// A stage without anything to learn from or to evaluate.
    #[error("{what} has no samples")]
    NoSamples { what: &'static str },
    /// Words that were asked of a policy that reads items.
    #[error("a policy that reads items has no words, and {what} is made of words: leave it out")]
    NoWords { what: &'static str },
    /// An item without a Semantic ID.
    #[error("item {item} has no Semantic ID in the catalogue")]
    UnknownItem { item: ItemId },
    /// A Semantic ID that no item has.
    #[error("no item has the Semantic ID {sid}")]
    UnknownSid { sid: String },
    /// The folder of a policy that was made before items were kept in it.
    #[error(
        "`{}` holds no items: give the data of its run, or train the policy again with this version",
        path.display()
    )]
    NoItems { path: PathBuf },
    /// The folder of a policy outside a run, which does not have the data of a run.
    #[error(
        "`{}` is the folder of a policy, not of a run, so it holds no split: ask the policy without data, or \
         give the split that the data was published with",
        path.display()
    )]
    NoRun { path: PathBuf },
    /// A system that ranks different candidates in different runs.
    #[error(
        "`{system}` ranks other candidates in run `{run}` than in the first run that contains it: compare runs with the same pools"
    )]
    Pools { system: String, run: String },
    /// A file that a later part depends on and that the part did not write.
    #[error(
        "a later part depends on `{file}`, but the part wrote only {written}: name one of these files"
    )]
    NotWritten { file: String, written: String },
    /// Runs that were read under different rules for seen items.
    #[error(
        "some runs were read with seen items kept and some with seen items removed: read all under one rule"
    )]
    SeenRules,
    /// A finished run of a version that did not keep which items its users had seen.
    #[error(
        "`{}` does not say which items the users of its test had seen, because an earlier version made it: start \
         its recipe once more into this folder, which trains nothing again",
        path.display()
    )]
    NoSeen { path: PathBuf },
    /// The training of a stage.
    #[error(transparent)]
    Train(Box<TrainError>),
    /// A file that could not be read or written whole, or a folder that another process works in.
    #[error(transparent)]
    File(#[from] FileError),
    /// The data.
    #[error(transparent)]
    Data(Box<DataError>),
    /// The prompts.
    #[error(transparent)]
    Prompt(Box<PromptError>),
    /// The texts of a teacher.
    #[error(transparent)]
    Teacher(Box<TeacherError>),
    /// A teacher that stopped before its last text.
    #[error("the teacher stopped before its last text: start the run again to go on")]
    TeacherStopped(#[source] Stopped),
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
    /// A metric.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// A baseline.
    #[error(transparent)]
    Baseline(#[from] BaselineError),
    /// A neural recommender.
    #[error(transparent)]
    Neural(#[from] NeuralError),
    /// Collaborative item vectors.
    #[error(transparent)]
    Vectors(#[from] VectorError),
    /// The report.
    #[error(transparent)]
    Page(#[from] PageError),
    /// An operation of libtorch failed.
    #[error("libtorch failed")]
    Torch(#[from] tch::TchError),
}

/// The name of a table of a recipe.
fn place(table: &str) -> String {
    if table.is_empty() { "the file itself".to_owned() } else { format!("`{table}`") }
}

impl From<TrainError> for LabError {
    /// A setting of a training is a setting of its recipe.
    fn from(error: TrainError) -> Self {
        match error {
            TrainError::Setting { field, found, needed } => Self::Setting { field, found, needed },
            other => Self::Train(Box::new(other)),
        }
    }
}

impl From<DataError> for LabError {
    fn from(error: DataError) -> Self {
        Self::Data(Box::new(error))
    }
}

impl From<PromptError> for LabError {
    fn from(error: PromptError) -> Self {
        Self::Prompt(Box::new(error))
    }
}

impl From<TeacherError> for LabError {
    fn from(error: TeacherError) -> Self {
        Self::Teacher(Box::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_is_wrong_where_and_what_was_expected() {
        let error = LabError::Setting {
            field: "evaluate.reasoning".to_owned(),
            found: "set but not used".to_owned(),
            needed: "a stage that learns to reason; without one, remove `[evaluate.reasoning]`",
        };
        insta::assert_snapshot!(
            error.to_string(),
            @"configuration: `evaluate.reasoning` is set but not used; expected a stage that learns to reason; without one, remove `[evaluate.reasoning]`"
        );
        let error =
            LabError::OtherSetting { path: "runs/demo/sft".into(), part: "sft.epochs".to_owned() };
        insta::assert_snapshot!(
            error.to_string(),
            @"`runs/demo/sft` was trained with another `sft.epochs`: give the run another folder or the stage another name, or delete this folder to have the stage trained anew"
        );
    }
}
