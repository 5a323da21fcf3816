//! The settings of a system, chosen on validation users.

use std::cell::RefCell;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sidereal_baselines::walk;
use sidereal_files::{hash_json, read_json, write_json};
use sidereal_metrics::{Mean, MetricError};
use sidereal_train::{Binding, Observer, Record};

use super::cost::{Clock, Cost};
use super::recipe::{SystemConfig, TuneConfig};
use super::settings::Settings;
use super::system::{BoardSystem, BoardTask};
use crate::error::LabError;
use crate::run::part::{Folder, Part, PartFiles, Remarks};

/// One point of the grid of a system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BoardTrial {
    /// The settings, those that are not chosen included.
    pub settings: Settings,
    /// The mean of the metric over the validation users.
    pub value: f64,
    /// Training and ranking.
    pub cost: Cost,
}

/// Why a walk over a grid ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TuningEnd {
    /// No setting alone improves the result.
    Best,
    /// All points that a system may try were tried.
    Points,
    /// The time of a system was used up.
    Minutes,
    /// There was nothing to choose.
    NoGrid,
}

/// The settings that were chosen for a system, and what that cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Tuned {
    /// The settings of the first of the best trials, or those that the recipe gives.
    pub settings: Settings,
    /// Every trial, in the order of the walk; none without a grid.
    pub trials: Vec<BoardTrial>,
    /// Why the walk ended.
    pub end: TuningEnd,
    /// Validation users.
    pub num_users: usize,
}

impl Tuned {
    /// The cost of all trials.
    #[must_use]
    pub fn cost(&self) -> Cost {
        self.trials.iter().fold(Cost::nothing(), |sum, trial| sum.plus(trial.cost))
    }

    /// The value of the chosen settings on the validation users.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        self.best().map(|trial| trial.value)
    }

    fn best(&self) -> Option<&BoardTrial> {
        best_of(&self.trials)
    }
}

fn best_of(trials: &[BoardTrial]) -> Option<&BoardTrial> {
    trials.iter().reduce(|best, next| if next.value > best.value { next } else { best })
}

/// The choice of a system's settings, as a part of the leaderboard's folder.
pub(crate) struct Tuning<'a> {
    pub(crate) config: &'a SystemConfig,
    pub(crate) tune: &'a TuneConfig,
    pub(crate) task: BoardTask<'a>,
    /// What the task is made of.
    pub(crate) made_of: &'a Binding,
    pub(crate) system: RefCell<&'a mut dyn BoardSystem>,
}

/// The trials of a walk that has not ended, and of what they are.
#[derive(Serialize, Deserialize)]
struct Begun {
    inputs: Binding,
    trials: Vec<BoardTrial>,
}

impl Tuning<'_> {
    fn file(&self) -> String {
        format!("systems/{}/tuned.json", self.config.name)
    }

    fn begun(&self, folder: &Folder) -> PathBuf {
        folder.path(&format!("systems/{}/trials.json", self.config.name))
    }

    /// Trains with these settings and ranks the validation users.
    fn trial(
        &self,
        settings: &Settings,
        observer: &mut dyn Observer,
    ) -> Result<BoardTrial, LabError> {
        let Self { tune, task, .. } = self;
        let clock = Clock::start();
        let mut system = self.system.borrow_mut();
        let fitted = system.fit(task, settings, observer)?;
        let run = fitted.ranker.rank(task.valid, tune.seen_items)?;
        let mean: Mean = run.values(tune.metric)?.into_iter().collect();
        let value = mean.value().ok_or(MetricError::NoUsers)?;
        Ok(BoardTrial { settings: settings.clone(), value, cost: clock.cost() })
    }

    /// The settings at a place of the grid.
    fn settings(&self, axes: &[(&String, &Vec<Value>)], at: &[usize]) -> Settings {
        let chosen = axes.iter().zip(at).filter_map(|((name, values), place)| {
            Some(((*name).clone(), values.get(*place)?.clone()))
        });
        self.config.settings.clone().into_iter().chain(chosen).collect()
    }

    /// Walks over the grid. Trials of an earlier start are not done again.
    fn search(
        &self,
        folder: &Folder,
        inputs: &Binding,
        observer: &mut dyn Observer,
    ) -> Result<Tuned, LabError> {
        let axes: Vec<_> = self.config.grid.iter().collect();
        let lengths: Vec<usize> = axes.iter().map(|(_, values)| values.len()).collect();
        let path = self.begun(folder);
        // A file that cannot be read is one of another version: its trials are done again.
        let begun: Option<Begun> = read_json(&path).ok();
        let known = begun.filter(|begun| begun.inputs == *inputs).map(|begun| begun.trials);
        let known = known.unwrap_or_default();
        let mut trials: Vec<BoardTrial> = Vec::new();
        let mut end = TuningEnd::Best;
        walk(&lengths, vec![0; lengths.len()], |at| {
            let spent = trials.iter().map(|trial| trial.cost.wall_seconds).sum::<f64>();
            if trials.len() == self.tune.points {
                end = TuningEnd::Points;
                return Ok(None);
            }
            if !trials.is_empty() && spent >= 60.0 * self.tune.minutes {
                end = TuningEnd::Minutes;
                return Ok(None);
            }
            let settings = self.settings(&axes, at);
            let trial = match known.iter().find(|trial| trial.settings == settings) {
                Some(trial) => trial.clone(),
                None => self.trial(&settings, observer)?,
            };
            let value = trial.value;
            tracing::info!(system = self.config.name, ?settings, value, "tried");
            trials.push(trial);
            if trials.len() > known.len() {
                write_json(&path, &Begun { inputs: inputs.clone(), trials: trials.clone() })?;
            }
            let record = Record::new(&self.name(), trials.len(), self.tune.points);
            observer.on_record(&record.with(&format!("valid_{}", self.tune.metric), value));
            Ok::<_, LabError>(Some(value))
        })?;
        let settings = best_of(&trials).map(|trial| trial.settings.clone()).unwrap_or_default();
        Ok(Tuned { settings, trials, end, num_users: self.task.valid.len() })
    }
}

impl Part for Tuning<'_> {
    type Output = Tuned;

    fn name(&self) -> String {
        format!("tune {}", self.config.name)
    }

    fn inputs(&self) -> Result<Binding, LabError> {
        let SystemConfig { kind, settings, grid, .. } = self.config;
        let mut inputs = self.made_of.clone();
        inputs.insert("system".to_owned(), hash_json(&(kind, settings, grid))?);
        inputs.insert("tune".to_owned(), hash_json(self.tune)?);
        inputs.insert("seed".to_owned(), self.task.seed.to_string());
        Ok(inputs)
    }

    fn files(&self) -> PartFiles {
        PartFiles::always([self.file()])
    }

    fn make(
        &self,
        folder: &Folder,
        inputs: &Binding,
        observer: &mut dyn Observer,
    ) -> Result<Remarks, LabError> {
        folder.within(&format!("systems/{}", self.config.name))?;
        let tuned = if self.config.grid.is_empty() {
            let (settings, num_users) = (self.config.settings.clone(), self.task.valid.len());
            Tuned { settings, trials: Vec::new(), end: TuningEnd::NoGrid, num_users }
        } else {
            self.search(folder, inputs, observer)?
        };
        write_json(&folder.path(&self.file()), &tuned)?;
        Ok(Remarks::default())
    }

    fn tidy(&self, folder: &Folder) -> Result<(), LabError> {
        let path = self.begun(folder);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(LabError::Io { path, source })
            }
            _ => Ok(()),
        }
    }

    fn read(&self, folder: &Folder) -> Result<Tuned, LabError> {
        Ok(read_json(&folder.path(&self.file()))?)
    }
}
