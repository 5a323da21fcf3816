//! Why a run could not start or go on.

use std::path::PathBuf;

use sidereal_baselines::{BaselineError, PpmiError};
use sidereal_corpus::{CorpusError, SampleId};
use sidereal_files::FileError;
use sidereal_metrics::MetricError;
use sidereal_page::PageError;
use sidereal_policy::PolicyError;
use sidereal_quantizer::QuantizerError;
use sidereal_sid::{CatalogError, ItemId, NotationError};
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
    /// A JSON value that is not what it should be.
    #[error("`{}` is not valid", path.display())]
    Json {
        path: PathBuf,
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
    /// A recipe that does not come with the library.
    #[error("there is no preset `{name}`; there are {found}")]
    UnknownPreset { name: String, found: String },
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
    /// A policy that was made for something else.
    #[error("the policy of `{}` was made for another {part}: found {found}, needed {needed}", path.display())]
    Binding { path: PathBuf, part: String, found: String, needed: String },
    /// A stage without anything to learn from or to evaluate.
    #[error("{what} has no samples")]
    NoSamples { what: &'static str },
    /// An item without a Semantic ID.
    #[error("item {item} has no semantic id in the catalogue")]
    UnknownItem { item: ItemId },
    /// A Semantic ID that no item has.
    #[error("no item has the semantic id {sid}")]
    UnknownSid { sid: String },
    /// A system that ranks other candidates in another of several runs.
    #[error("`{system}` ranks other candidates in run `{run}` than in the first run that has it")]
    Pools { system: String, run: String },
    /// The training of a stage.
    #[error(transparent)]
    Train(TrainError),
    /// A file that could not be read or written whole, or a folder that another process works in.
    #[error(transparent)]
    File(#[from] FileError),
    /// The corpus.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// The prompts.
    #[error(transparent)]
    Prompt(#[from] sidereal_corpus::PromptError),
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

impl From<TrainError> for LabError {
    /// A setting of a training is a setting of its recipe.
    fn from(error: TrainError) -> Self {
        match error {
            TrainError::Setting { field, found, needed } => Self::Setting { field, found, needed },
            other => Self::Train(other),
        }
    }
}
