//! Every neural model by its name: from a table of settings to a trained recommender.

use std::fmt::Display;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sidereal_device::device;
use sidereal_files::{FileError, read_json, write_json};
use sidereal_sid::ItemId;
use tch::{Device, Kind};

use super::NeuralError;
use super::model::SequenceModel;
use super::models::bert4rec::{Bert4Rec, Bert4RecConfig};
use super::models::bsarec::{BsaRec, BsaRecConfig};
use super::models::caser::{Caser, CaserConfig};
use super::models::fdsa::{Fdsa, FdsaConfig};
use super::models::gru4rec::{Gru4Rec, Gru4RecConfig};
use super::models::hgn::{Hgn, HgnConfig};
use super::models::hstu::{Hstu, HstuConfig};
use super::models::rearec::{ReaRec, ReaRecConfig};
use super::models::s3rec::{S3Rec, S3RecConfig};
use super::models::sasrec::{SasRec, SasRecConfig};
use super::sequence_recommender::SequenceRecommender;
use super::train_config::TrainConfig;
use super::trainer::{EpochReport, Trainer, TrainingReport};
use super::view::{Attributes, TrainingView};
use crate::{BaselineError, Case, Recommender};

/// The names of all neural models, in the order of their papers.
pub const NEURAL_MODELS: [&str; 10] =
    ["gru4rec", "caser", "sasrec", "bert4rec", "hgn", "fdsa", "s3rec", "bsarec", "hstu", "rearec"];

/// Settings of a neural model. In a table, the key `model` has its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "lowercase")]
#[non_exhaustive]
pub enum NeuralConfig {
    /// `GRU4Rec`.
    Gru4Rec(Gru4RecConfig),
    /// `Caser`.
    Caser(CaserConfig),
    /// `SASRec`.
    SasRec(SasRecConfig),
    /// `BERT4Rec`.
    Bert4Rec(Bert4RecConfig),
    /// `HGN`.
    Hgn(HgnConfig),
    /// `FDSA`.
    Fdsa(FdsaConfig),
    /// `S3-Rec`.
    S3Rec(S3RecConfig),
    /// `BSARec`.
    BsaRec(BsaRecConfig),
    /// `HSTU`.
    Hstu(HstuConfig),
    /// `ReaRec`.
    ReaRec(ReaRecConfig),
}

impl NeuralConfig {
    /// The default settings of the model of this name.
    ///
    /// # Errors
    /// [`NeuralError::UnknownModel`].
    pub fn named(name: &str) -> Result<Self, NeuralError> {
        Ok(match name {
            "gru4rec" => Self::Gru4Rec(Gru4RecConfig::default()),
            "caser" => Self::Caser(CaserConfig::default()),
            "sasrec" => Self::SasRec(SasRecConfig::default()),
            "bert4rec" => Self::Bert4Rec(Bert4RecConfig::default()),
            "hgn" => Self::Hgn(HgnConfig::default()),
            "fdsa" => Self::Fdsa(FdsaConfig::default()),
            "s3rec" => Self::S3Rec(S3RecConfig::default()),
            "bsarec" => Self::BsaRec(BsaRecConfig::default()),
            "hstu" => Self::Hstu(HstuConfig::default()),
            "rearec" => Self::ReaRec(ReaRecConfig::default()),
            _ => {
                let (name, known) = (name.to_owned(), NEURAL_MODELS.join(", "));
                return Err(NeuralError::UnknownModel { name, known });
            }
        })
    }

    /// The settings of the model of this name, with the values of a table in the place of their
    /// defaults. A table within the table, such as `train`, may be partial too.
    ///
    /// ```
    /// use sidereal_baselines::neural::NeuralConfig;
    /// let table = serde_json::json!({ "layers": 1, "train": { "epochs": 3 } });
    /// let config = NeuralConfig::from_table("sasrec", &table)?;
    /// assert_eq!((config.train().epochs, config.train().batch_size), (3, 2048));
    /// assert!(NeuralConfig::from_table("sasrec", &serde_json::json!({ "layer": 1 })).is_err());
    /// # Ok::<(), sidereal_baselines::neural::NeuralError>(())
    /// ```
    ///
    /// # Errors
    /// [`NeuralError::UnknownModel`]; [`NeuralError::Settings`] for an unknown key or a value of the
    /// wrong kind.
    pub fn from_table(name: &str, table: &Value) -> Result<Self, NeuralError> {
        let bad = |source| NeuralError::Settings { model: name.to_owned(), source };
        let mut settings = serde_json::to_value(Self::named(name)?).map_err(bad)?;
        overlay(&mut settings, table);
        serde_json::from_value(settings).map_err(bad)
    }

    /// The name of the model.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Gru4Rec(_) => "gru4rec",
            Self::Caser(_) => "caser",
            Self::SasRec(_) => "sasrec",
            Self::Bert4Rec(_) => "bert4rec",
            Self::Hgn(_) => "hgn",
            Self::Fdsa(_) => "fdsa",
            Self::S3Rec(_) => "s3rec",
            Self::BsaRec(_) => "bsarec",
            Self::Hstu(_) => "hstu",
            Self::ReaRec(_) => "rearec",
        }
    }

    /// The settings of the training loop.
    #[must_use]
    pub const fn train(&self) -> &TrainConfig {
        match self {
            Self::Gru4Rec(config) => &config.train,
            Self::Caser(config) => &config.train,
            Self::SasRec(config) => &config.train,
            Self::Bert4Rec(config) => &config.train,
            Self::Hgn(config) => &config.train,
            Self::Fdsa(config) => &config.train,
            Self::S3Rec(config) => &config.train,
            Self::BsaRec(config) => &config.train,
            Self::Hstu(config) => &config.train,
            Self::ReaRec(config) => &config.train,
        }
    }

    /// The settings of the training loop, to change them.
    pub const fn train_mut(&mut self) -> &mut TrainConfig {
        match self {
            Self::Gru4Rec(config) => &mut config.train,
            Self::Caser(config) => &mut config.train,
            Self::SasRec(config) => &mut config.train,
            Self::Bert4Rec(config) => &mut config.train,
            Self::Hgn(config) => &mut config.train,
            Self::Fdsa(config) => &mut config.train,
            Self::S3Rec(config) => &mut config.train,
            Self::BsaRec(config) => &mut config.train,
            Self::Hstu(config) => &mut config.train,
            Self::ReaRec(config) => &mut config.train,
        }
    }

    /// The model with fresh weights of f32.
    ///
    /// # Errors
    /// [`NeuralError::Setting`]; [`NeuralError::Attributes`] if the model needs attributes and there
    /// are none; [`NeuralError::Torch`].
    pub fn build(
        &self,
        num_items: usize,
        attributes: Option<&Attributes>,
        seed: u64,
        device: Device,
    ) -> Result<Box<dyn SequenceModel>, NeuralError> {
        self.build_as(Kind::Float, num_items, attributes, seed, device)
    }

    /// As [`build`](Self::build), with weights of f32 or f64.
    ///
    /// # Errors
    /// Those of [`build`](Self::build).
    pub fn build_as(
        &self,
        kind: Kind,
        num_items: usize,
        attributes: Option<&Attributes>,
        seed: u64,
        device: Device,
    ) -> Result<Box<dyn SequenceModel>, NeuralError> {
        Ok(match self.clone() {
            Self::Gru4Rec(config) => Box::new(Gru4Rec::new(config, num_items, seed, device, kind)?),
            Self::Caser(config) => Box::new(Caser::new(config, num_items, seed, device, kind)?),
            Self::SasRec(config) => Box::new(SasRec::new(config, num_items, seed, device, kind)?),
            Self::Bert4Rec(config) => {
                Box::new(Bert4Rec::new(config, num_items, seed, device, kind)?)
            }
            Self::Hgn(config) => Box::new(Hgn::new(config, num_items, seed, device, kind)?),
            Self::Fdsa(config) => {
                Box::new(Fdsa::new(config, num_items, attributes, seed, device, kind)?)
            }
            Self::S3Rec(config) => {
                Box::new(S3Rec::new(config, num_items, attributes, seed, device, kind)?)
            }
            Self::BsaRec(config) => Box::new(BsaRec::new(config, num_items, seed, device, kind)?),
            Self::Hstu(config) => Box::new(Hstu::new(config, num_items, seed, device, kind)?),
            Self::ReaRec(config) => Box::new(ReaRec::new(config, num_items, seed, device, kind)?),
        })
    }

    /// Trains the model.
    ///
    /// `valid` chooses the weights: pass validation cases, never test cases. `device` is a name such
    /// as `cpu` or `cuda`. `observe` is called after each epoch.
    ///
    /// # Errors
    /// Those of [`build`](Self::build) and [`Trainer::train`]; [`NeuralError::Device`].
    pub fn fit<S>(
        &self,
        view: &TrainingView<'_>,
        valid: &[Case<'_, S>],
        seed: u64,
        device_name: &str,
        observe: &mut dyn FnMut(&EpochReport),
    ) -> Result<NeuralRecommender, NeuralError>
    where
        S: Clone + Ord + Display + Sync,
    {
        let trainer = Trainer::new(self.train().clone(), seed)?;
        let model = self.build(view.num_items, view.attributes, seed, device(device_name)?)?;
        let mut recommender = SequenceRecommender::new(model);
        let report = trainer.train(&mut recommender, view, valid, observe)?;
        let (config, attributes) = (self.clone(), view.attributes.cloned());
        Ok(NeuralRecommender { recommender, config, report, attributes })
    }
}

/// Puts the values of a table in the place of those of the same keys, tables within it likewise.
fn overlay(settings: &mut Value, table: &Value) {
    match (settings, table) {
        (Value::Object(settings), Value::Object(table)) => {
            for (key, value) in table {
                overlay(settings.entry(key).or_insert_with(|| Value::Object(Map::new())), value);
            }
        }
        (settings, value) => *settings = value.clone(),
    }
}

/// A trained neural model with its settings.
#[derive(Debug)]
pub struct NeuralRecommender {
    recommender: SequenceRecommender,
    config: NeuralConfig,
    report: TrainingReport,
    attributes: Option<Attributes>,
}

/// The file `config.json` of a stored model.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    settings: NeuralConfig,
    num_items: usize,
    report: TrainingReport,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attributes: Option<(usize, Vec<Vec<u32>>)>,
}

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";

impl NeuralRecommender {
    /// The settings that it was trained with.
    #[must_use]
    pub const fn config(&self) -> &NeuralConfig {
        &self.config
    }

    /// What its training was like.
    #[must_use]
    pub const fn report(&self) -> &TrainingReport {
        &self.report
    }

    /// Writes `config.json` and `model.safetensors` into a folder, which is made if it is missing.
    ///
    /// # Errors
    /// [`NeuralError::File`] and [`NeuralError::Torch`].
    pub fn save(&mut self, folder: &Path) -> Result<(), NeuralError> {
        let io = |source| FileError::Io { path: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(io)?;
        let stored = Stored {
            settings: self.config.clone(),
            num_items: self.recommender.num_items(),
            report: self.report.clone(),
            attributes: self.attributes.as_ref().map(|a| (a.count(), a.of_items().to_vec())),
        };
        self.recommender.model().parameters().write(&folder.join(WEIGHTS))?;
        Ok(write_json(&folder.join(CONFIG), &stored)?)
    }

    /// Reads what [`save`](Self::save) wrote, onto a device of this name.
    ///
    /// # Errors
    /// [`NeuralError::File`] for the settings; [`NeuralError::Stored`] for weights that do not fit
    /// them; [`NeuralError::Device`]; those of [`NeuralConfig::build`].
    pub fn load(folder: &Path, device_name: &str) -> Result<Self, NeuralError> {
        let Stored { settings: config, num_items, report, attributes } =
            read_json(&folder.join(CONFIG))?;
        let attributes =
            attributes.map(|(count, of_item)| Attributes::numbered(of_item, count)).transpose()?;
        let model = config.build(num_items, attributes.as_ref(), 0, device(device_name)?)?;
        model.parameters().read(&folder.join(WEIGHTS))?;
        Ok(Self { recommender: SequenceRecommender::new(model), config, report, attributes })
    }
}

impl Recommender for NeuralRecommender {
    fn num_items(&self) -> usize {
        self.recommender.num_items()
    }

    fn score(&self, history: &[ItemId], scores: &mut [f32]) -> Result<(), BaselineError> {
        self.recommender.score(history, scores)
    }

    fn scored_together(&self) -> usize {
        self.recommender.scored_together()
    }

    fn score_all(&self, histories: &[&[ItemId]], scores: &mut [f32]) -> Result<(), BaselineError> {
        self.recommender.score_all(histories, scores)
    }
}
