//! The answers of a system of one seed to the users of the test.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use sidereal_baselines::Case;
use sidereal_data::SampleId;
use sidereal_files::{hash_json, read_json, write_json_line};
use sidereal_metrics::{RankingRun, SeenItems};
use sidereal_train::{Binding, Observer, Record};

use super::cost::{Clock, Cost};
use super::recipe::SystemConfig;
use super::settings::Settings;
use super::system::{BoardSystem, BoardTask};
use crate::error::LabError;
use crate::run::part::{Folder, Part, PartFiles, Remarks};

/// Where the targets of all test users stand in the rankings of one row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Placed {
    /// With seen items among the ranked.
    pub(crate) kept: RankingRun<SampleId>,
    /// With seen items left out.
    pub(crate) removed: RankingRun<SampleId>,
    /// Numbers that the training chose; `None` if they were not counted.
    pub(crate) num_parameters: Option<usize>,
    /// Users scored and ranked a second, seen items kept; `None` if it was not measured.
    pub(crate) users_per_second: Option<f64>,
}

impl Placed {
    pub(crate) fn of(&self, seen_items: SeenItems) -> &RankingRun<SampleId> {
        match seen_items {
            SeenItems::Kept => &self.kept,
            SeenItems::Removed => &self.removed,
        }
    }
}

/// One training and its test: the rows by label, and what they cost together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tested {
    pub(crate) seed: u64,
    /// The training, without the choice of settings.
    pub(crate) cost: Cost,
    pub(crate) rows: BTreeMap<String, Placed>,
}

/// The file of a system and a seed.
pub(crate) fn file(system: &str, seed: u64) -> String {
    format!("systems/{system}/seed-{seed}.json")
}

/// The name of the part of a system and a seed.
pub(crate) fn name(system: &str, seed: u64) -> String {
    format!("test {system}, seed {seed}")
}

/// The training and the test of a system, as a part of the leaderboard's folder.
pub(crate) struct Test<'a> {
    pub(crate) config: &'a SystemConfig,
    /// The chosen settings.
    pub(crate) settings: &'a Settings,
    pub(crate) task: BoardTask<'a>,
    /// What the task is made of.
    pub(crate) made_of: &'a Binding,
    pub(crate) cases: &'a [Case<'a, SampleId>],
    pub(crate) system: RefCell<&'a mut dyn BoardSystem>,
}

impl Part for Test<'_> {
    type Output = Tested;

    fn name(&self) -> String {
        name(&self.config.name, self.task.seed)
    }

    fn inputs(&self) -> Result<Binding, LabError> {
        let mut inputs = self.made_of.clone();
        let settings = (&self.config.kind, self.settings, self.config.labels());
        inputs.insert("system".to_owned(), hash_json(&settings)?);
        inputs.insert("minutes".to_owned(), self.task.minutes.to_string());
        inputs.insert("seed".to_owned(), self.task.seed.to_string());
        Ok(inputs)
    }

    fn files(&self) -> PartFiles {
        PartFiles::always([file(&self.config.name, self.task.seed)])
    }

    fn make(
        &self,
        folder: &Folder,
        _: &Binding,
        observer: &mut dyn Observer,
    ) -> Result<Remarks, LabError> {
        let (SystemConfig { name, .. }, seed) = (self.config, self.task.seed);
        folder.within(&format!("systems/{name}"))?;
        let clock = Clock::start();
        let fitted = self.system.borrow_mut().fit(&self.task, self.settings, observer)?;
        let cost = clock.cost();
        let started = Instant::now();
        let kept = fitted.ranker.rank(self.cases, SeenItems::Kept)?;
        let seconds = started.elapsed().as_secs_f64();
        let removed = fitted.ranker.rank(self.cases, SeenItems::Removed)?;
        let placed = Placed {
            kept,
            removed,
            num_parameters: Some(fitted.num_parameters),
            users_per_second: (seconds > 0.0).then(|| self.cases.len() as f64 / seconds),
        };
        let rows = self.config.labels().into_iter().map(|label| (label, placed.clone())).collect();
        write_json_line(&folder.path(&file(name, seed)), &Tested { seed, cost, rows })?;
        observer.on_record(&Record::new(&self.name(), 1, 1));
        Ok(Remarks::default())
    }

    fn read(&self, folder: &Folder) -> Result<Tested, LabError> {
        Ok(read_json(&folder.path(&file(&self.config.name, self.task.seed)))?)
    }
}
