//! Neural sequential recommenders on libtorch (feature `torch`), with one training loop for all.
//!
//! [`NeuralConfig::from_table`] makes settings from a name and a table, [`NeuralConfig::fit`] trains,
//! and the [`NeuralRecommender`] that it returns is a [`Recommender`](crate::Recommender) as any other.
//! A model of your own implements [`SequenceModel`] and is trained by the same [`Trainer`].
//!
//! | module | holds |
//! |---|---|
//! | `registry` | [`NEURAL_MODELS`], [`NeuralConfig`], [`NeuralRecommender`] |
//! | `view` | [`TrainingView`]: the training part of a dataset, [`Attributes`] of its items |
//! | `model` | [`SequenceModel`]: histories → states → scores of all items |
//! | `models` | a file for each model |
//! | `objective`, `loss`, `softmax` | [`LossKind`]: full and sampled softmax, BCE, BPR |
//! | `grouped` | rows of a batch in groups of similar length |
//! | `trainer` | [`Trainer`] with [`TrainConfig`]; an [`EpochReport`] after each epoch |
//! | `sequence_recommender` | [`SequenceRecommender`]: a model, trained or not, as a recommender |
//!
//! Shapes: `B` rows, `T` places, `D` width, `M` targets, `N` items, `H` heads.

mod adam;
mod attention;
mod batches;
mod error;
mod grouped;
mod layers;
mod loss;
mod model;
mod models;
mod objective;
mod padded;
mod parameters;
mod random;
mod registry;
mod sequence_recommender;
mod softmax;
mod train_config;
mod trainer;
mod transformer;
mod view;

pub use error::NeuralError;
pub use loss::LossKind;
pub use model::{Lesson, Pretraining, SequenceModel, Step};
pub use models::bert4rec::{Bert4Rec, Bert4RecConfig};
pub use models::bsarec::{BsaRec, BsaRecConfig};
pub use models::caser::{Caser, CaserConfig};
pub use models::fdsa::{Fdsa, FdsaConfig};
pub use models::gru4rec::{Gru4Rec, Gru4RecConfig};
pub use models::hgn::{Hgn, HgnConfig};
pub use models::hstu::{Hstu, HstuConfig};
pub use models::rearec::{ReaRec, ReaRecConfig, ReasoningMethod};
pub use models::s3rec::{S3Rec, S3RecConfig};
pub use models::sasrec::{PlacesFrom, SasRec, SasRecConfig};
pub use parameters::Parameters;
pub use registry::{NEURAL_MODELS, NeuralConfig, NeuralRecommender};
pub use sequence_recommender::SequenceRecommender;
pub use train_config::TrainConfig;
pub use trainer::{EpochReport, Trainer, TrainingEnd, TrainingReport};
pub use view::{Attributes, TrainingView};
