//! Neural recommenders in a leaderboard.

use sidereal_baselines::neural::{
    Attributes, NEURAL_MODELS, NeuralConfig, TrainingEnd, TrainingView,
};
use sidereal_train::{Observer, Record};
use tch::Device;

use super::settings::{Settings, table_of};
use super::system::{BoardSystem, BoardTask, Fitted};
use crate::error::LabError;

/// A neural recommender. It chooses its weights by NDCG@10 on the validation users of the leaderboard.
pub(super) struct Neural {
    /// One of [`NEURAL_MODELS`].
    model: &'static str,
}

impl Neural {
    /// The kind of this name.
    pub(super) fn of(kind: &str) -> Option<Self> {
        let model = NEURAL_MODELS.into_iter().find(|name| *name == kind)?;
        Some(Self { model })
    }
}

impl BoardSystem for Neural {
    fn is_seeded(&self) -> bool {
        true
    }

    fn fit<'a>(
        &mut self,
        task: &BoardTask<'a>,
        settings: &Settings,
        observer: &mut dyn Observer,
    ) -> Result<Fitted<'a>, LabError> {
        let mut config = NeuralConfig::from_table(self.model, &table_of(settings))?;
        let attributes = Attributes::of(task.dataset.items());
        let view = TrainingView {
            num_items: task.dataset.num_items(),
            sequences: task.sequences,
            attributes: Some(&attributes),
        };
        let train = config.train_mut();
        train.minutes = Some(train.minutes.unwrap_or(task.minutes).min(task.minutes));
        let epochs = train.epochs;
        let fitted =
            config.fit(&view, task.valid, task.seed, &name_of(task.device), &mut |report| {
                let name = if report.pretraining { "pretraining" } else { self.model };
                let mut record =
                    Record::new(name, report.epoch + 1, epochs).with("loss", report.loss);
                if let Some(ndcg) = report.ndcg {
                    record = record.with("valid_ndcg@10", ndcg);
                }
                observer.on_record(&record);
            })?;
        let report = fitted.report();
        let (epochs, num_parameters) = (report.epochs, report.parameters);
        if report.end == TrainingEnd::Minutes {
            tracing::warn!(system = self.model, epochs, "the time of a training was used up");
        }
        Ok(Fitted::by_scores(fitted, num_parameters))
    }
}

/// The name of a device.
fn name_of(device: Device) -> String {
    match device {
        Device::Cuda(index) => format!("cuda:{index}"),
        _ => "cpu".to_owned(),
    }
}
