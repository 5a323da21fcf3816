//! What can go wrong with a neural recommender.

use sidereal_device::DeviceError;
use sidereal_files::FileError;
use sidereal_metrics::MetricError;
use sidereal_sid::ItemId;
use tch::TchError;

/// Why a neural recommender could not be trained, used, written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each message names its fields")]
pub enum NeuralError {
    /// A name that is not in [`NEURAL_MODELS`](super::NEURAL_MODELS).
    #[error("there is no neural model `{name}`: use one of {known}")]
    UnknownModel { name: String, known: String },
    /// A table of settings that does not fit its model.
    #[error("the settings of `{model}` cannot be read")]
    Settings {
        model: String,
        #[source]
        source: serde_json::Error,
    },
    /// A setting outside its range.
    #[error("{field} is {value}; expected {needed}")]
    Setting { field: &'static str, value: f64, needed: &'static str },
    /// No sequence has a target.
    #[error("no training sequence has two items or more, so there is nothing to learn from")]
    NoTargets,
    /// There is nobody to choose the weights on.
    #[error("no validation case has a history: training needs at least one to choose the weights")]
    NoValidation,
    /// A training sequence or a history holds an item outside the catalogue.
    #[error("item {item} is outside the catalogue of {num_items} items")]
    Item { item: ItemId, num_items: usize },
    /// The attributes of the items are missing or do not fit.
    #[error("{model} needs the attributes of the items: {problem}")]
    Attributes { model: &'static str, problem: String },
    /// The loss is not a number any more.
    #[error(
        "the loss of epoch {epoch}, step {step} is {loss}: training has diverged; use a lower \
         learning rate"
    )]
    Diverged { epoch: usize, step: usize, loss: f64 },
    /// The device cannot be used.
    #[error("no tensors can be made")]
    Device(#[from] DeviceError),
    /// A file cannot be read or written.
    #[error("the model cannot be read or written")]
    File(#[from] FileError),
    /// A stored model whose tensors are not those of its settings.
    #[error("stored weights: {problem}")]
    Stored { problem: String },
    /// The ranking of the validation cases cannot be evaluated.
    #[error("the validation cases cannot be evaluated")]
    Metric(#[from] MetricError),
    /// The validation cases cannot be ranked.
    #[error("the validation cases cannot be ranked")]
    Ranking(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// libtorch refused an operation.
    #[error("libtorch failed")]
    Torch(#[from] TchError),
}

/// Fails with [`NeuralError::Setting`] where a value is outside its range.
///
/// # Errors
/// [`NeuralError::Setting`].
pub(crate) fn need(
    holds: bool,
    field: &'static str,
    value: f64,
    needed: &'static str,
) -> Result<(), NeuralError> {
    if holds { Ok(()) } else { Err(NeuralError::Setting { field, value, needed }) }
}
