//! How much of which task an epoch of supervised fine-tuning holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sidereal_prompts::{Amount, CurriculumStage, Insertion, MixError, Mixture, Task};

use crate::TrainError;
use crate::setting::check_counts;

/// A mixture of tasks. Each task is a source of samples, with the prompts of the recipe.
///
/// ```
/// use sidereal_prompts::Task;
/// use sidereal_train::MixtureConfig;
///
/// let config: MixtureConfig = toml::from_str(
///     "tasks = ['next-item', 'sid-to-title', 'reasoning']\n\
///      order.gream = { late = ['reasoning'], gamma = 1.5 }\n\
///      chat = 0.1",
/// )?;
/// let mixture = config.mixture(&[600, 200, 300], 50)?;
/// assert_eq!(mixture.lens(), [600, 200, 300, 50]);
/// assert_eq!(mixture.stages().len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MixtureConfig {
    /// The tasks that are learned, each once.
    pub tasks: Vec<Task>,
    /// How the samples of the tasks are mixed.
    #[serde(default)]
    pub order: MixtureOrder,
    /// General conversations (`texts.chat` of the recipe) per sample of an epoch. They continue
    /// from epoch to epoch. Range `[0, ∞)`.
    #[serde(default)]
    pub chat: f64,
    /// The most tokens of a sample. Longer samples of events lose their earliest items until they fit.
    /// Samples that are still too long are cut at the end, and the cut part is not learned. The log
    /// says how many samples of an epoch were shortened and how many lost a part of their answer.
    /// Range `2..`.
    #[serde(default = "most_tokens")]
    pub max_tokens: usize,
}

const fn most_tokens() -> usize {
    512
}

/// How the samples of several tasks are mixed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MixtureOrder {
    /// Every sample of every task once per epoch, shuffled together.
    #[default]
    Uniform,
    /// A given number of samples per epoch; each task by its weight.
    Weighted(WeightedMixture),
    /// Two epochs in which batches of the late tasks become more and more frequent, then all tasks
    /// shuffled together (the curriculum of GREAM).
    Gream(Late),
    /// Several stages, one after the other.
    Staged(Vec<MixtureStage>),
}

/// Samples by weight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WeightedMixture {
    /// Weight of each task. A task that is not named has no samples. Range `[0, ∞)`.
    pub weights: BTreeMap<Task, f64>,
    /// Samples per epoch. Range `1..`.
    pub rows: usize,
}

/// Tasks that come late.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Late {
    /// The late tasks.
    pub late: Vec<Task>,
    /// Factor of the probability that a batch of a late task is inserted. Range `(0,
    /// ∞)`.
    pub gamma: f64,
}

/// One stage of several epochs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MixtureStage {
    /// Number of epochs. Only the last stage may leave it out; it then lasts until training ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u64>,
    /// Amount of each task: `"all"` or `{ rows = 1000 }`. A task that is not named has no samples.
    pub amounts: BTreeMap<Task, Amount>,
    /// Tasks whose batches come late in an epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insertion: Option<Late>,
}

impl MixtureConfig {
    /// The mixture of sources of these lengths, in the order of `tasks`, and of `chats`
    /// conversations after them.
    ///
    /// # Errors
    /// [`TrainError::Mix`], such as for a task without samples; [`TrainError::Setting`] for an
    /// order that names a task outside `tasks`, or for conversations if there are none.
    pub fn mixture(&self, lens: &[usize], chats: usize) -> Result<Mixture, TrainError> {
        let lens = lens.to_vec();
        let tasks = match &self.order {
            MixtureOrder::Uniform => Mixture::uniform(lens)?,
            MixtureOrder::Weighted(WeightedMixture { weights, rows }) => {
                self.check_named(weights.keys())?;
                let weight = |task| weights.get(task).copied().unwrap_or(0.0);
                let weights: Vec<f64> = self.tasks.iter().map(weight).collect();
                Mixture::weighted(lens, &weights, *rows)?
            }
            MixtureOrder::Gream(late) => {
                let Insertion { late, gamma } = self.insertion(late)?;
                Mixture::gream(lens, late, gamma)?
            }
            MixtureOrder::Staged(stages) => {
                let stages = stages.iter().map(|stage| self.stage(stage));
                Mixture::staged(lens, stages.collect::<Result<_, TrainError>>()?)?
            }
        };
        if self.chat <= 0.0 {
            return Ok(tasks);
        }
        let mut lens = tasks.lens().to_vec();
        let with_chats = |stage: &CurriculumStage| {
            let rows = stage.amounts.iter().zip(&lens).map(|(amount, len)| match amount {
                Amount::All => *len as f64,
                Amount::Rows(rows) => *rows as f64,
            });
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "above 0; what is too much saturates, and is refused as too many rows"
            )]
            let rows = Amount::Rows((self.chat * rows.sum::<f64>()).round() as usize);
            let mut stage = stage.clone();
            stage.amounts.push(rows);
            stage
        };
        let stages = tasks.stages().iter().map(with_chats).collect();
        lens.push(chats);
        Ok(Mixture::staged(lens, stages)?)
    }

    /// Accepts settings with which a mixture is possible for some data.
    ///
    /// # Errors
    /// [`TrainError::Setting`] names the field.
    pub(crate) fn check(&self) -> Result<(), TrainError> {
        let refuse = |field: &str, found: String, needed| {
            Err(TrainError::Setting { field: format!("sft.mixture.{field}"), found, needed })
        };
        check_counts(&[("sft.mixture.tasks", self.tasks.len())])?;
        let twice = |(index, task)| self.tasks[..index].contains(task);
        if self.tasks.contains(&Task::Chat) || self.tasks.iter().enumerate().any(twice) {
            let found = self.tasks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            return refuse("tasks", found, "each task only once, and conversations through `chat`");
        }
        if !(self.chat >= 0.0 && self.chat.is_finite()) {
            return refuse("chat", self.chat.to_string(), "a number that is at least 0");
        }
        if self.max_tokens < 2 {
            return refuse("max_tokens", self.max_tokens.to_string(), "at least 2");
        }
        // Every source gets a sample, so that the errors that remain hold for any data.
        self.mixture(&vec![1; self.tasks.len()], 1).map(drop)
    }

    fn stage(&self, stage: &MixtureStage) -> Result<CurriculumStage, TrainError> {
        self.check_named(stage.amounts.keys())?;
        let amount = |task| stage.amounts.get(task).copied().unwrap_or(Amount::Rows(0));
        Ok(CurriculumStage {
            epochs: stage.epochs,
            amounts: self.tasks.iter().map(amount).collect(),
            insertion: stage.insertion.as_ref().map(|late| self.insertion(late)).transpose()?,
        })
    }

    fn insertion(&self, late: &Late) -> Result<Insertion, TrainError> {
        self.check_named(late.late.iter())?;
        let place = |task| self.tasks.iter().position(|other| other == task);
        Ok(Insertion { late: late.late.iter().filter_map(place).collect(), gamma: late.gamma })
    }

    fn check_named<'t>(&self, mut tasks: impl Iterator<Item = &'t Task>) -> Result<(), TrainError> {
        match tasks.find(|task| !self.tasks.contains(task)) {
            Some(task) => Err(TrainError::Setting {
                field: "sft.mixture.order".to_owned(),
                found: format!("`{task}`"),
                needed: "a task of `sft.mixture.tasks`",
            }),
            None => Ok(()),
        }
    }
}

/// Rejects a mixture that ends before training does.
pub(super) fn check_epochs(mixture: &Mixture, epochs: usize) -> Result<(), TrainError> {
    let last = epochs.saturating_sub(1) as u64;
    if mixture.stage(last).is_some() {
        return Ok(());
    }
    let stages = mixture.stages().len();
    let (found, expected) = (format!("training lasts {epochs}"), "as many as training has");
    Err(MixError::Epochs { stage: stages - 1, stages, found, expected }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> MixtureConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn conversations_come_by_their_ratio_to_the_rows_of_each_stage() {
        let staged = config(
            "tasks = ['next-item', 'reasoning']\nchat = 0.5\n[[order.staged]]\nepochs = 1\n\
             amounts = { next-item = 'all' }\n[[order.staged]]\n\
             amounts = { next-item = { rows = 4 }, reasoning = 'all' }\n\
             insertion = { late = ['reasoning'], gamma = 1.5 }",
        );
        let mixture = staged.mixture(&[10, 6], 100).unwrap();
        let amounts: Vec<_> = mixture.stages().iter().map(|stage| stage.amounts.clone()).collect();
        assert_eq!(amounts[0], [Amount::All, Amount::Rows(0), Amount::Rows(5)]);
        assert_eq!(amounts[1], [Amount::Rows(4), Amount::All, Amount::Rows(5)]);
        assert_eq!(mixture.stages()[1].insertion.as_ref().unwrap().late, [1]);
        assert!(check_epochs(&mixture, 9).is_ok());
        let ends = config(
            "tasks = ['next-item']\n[[order.staged]]\nepochs = 2\namounts = { next-item = 'all' }",
        );
        let mixture = ends.mixture(&[3], 0).unwrap();
        assert!(check_epochs(&mixture, 2).is_ok() && check_epochs(&mixture, 3).is_err());
    }

    #[test]
    fn what_no_data_can_mend_is_refused() {
        for text in [
            "tasks = []",
            "tasks = ['next-item', 'next-item']",
            "tasks = ['chat']",
            "tasks = ['next-item']\nchat = -1.0",
            "tasks = ['next-item']\nmax_tokens = 1",
            "tasks = ['next-item']\norder.gream = { late = ['reasoning'], gamma = 1.5 }",
            "tasks = ['next-item']\norder.gream = { late = ['next-item'], gamma = 0.0 }",
            "tasks = ['next-item']\norder.weighted = { weights = { reasoning = 1.0 }, rows = 5 }",
            "tasks = ['next-item']\norder.weighted = { weights = { next-item = 1.0 }, rows = 0 }",
        ] {
            assert!(config(text).check().is_err(), "{text}");
        }
        assert!(config("tasks = ['next-item']\nchat = 0.1").check().is_ok());
    }
}
