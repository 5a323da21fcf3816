//! Rows of a leaderboard that are stages and blends of a whole run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use sidereal_data::{Dataset, HeldOut as _, SampleId, Split};
use sidereal_files::{hash_json, read_json, write_json, write_json_line};
use sidereal_metrics::{RankingRun, SeenItems};
use sidereal_policy::read_safetensors;
use sidereal_train::{Binding, Observer, Record};
use tch::Device;

use super::cost::{Clock, Cost};
use super::recipe::SystemConfig;
use super::tested::{self, Placed, Tested};
use crate::compare::FinishedRun;
use crate::error::LabError;
use crate::parts::policy::weights_file;
use crate::parts::published_ids::Published;
use crate::pipeline::Pipeline;
use crate::recipe::Recipe;
use crate::run::part::{Folder, Part, PartFiles, Remarks};

/// The run of a recipe with one seed, and the rows that are taken from its evaluation.
pub(crate) struct RecipeRun<'a> {
    pub(crate) config: &'a SystemConfig,
    /// With the seed of this run.
    pub(crate) recipe: &'a Recipe,
    pub(crate) dataset: &'a Dataset,
    pub(crate) split: &'a Split,
    pub(crate) published: Option<Published<'a>>,
    pub(crate) made_of: &'a Binding,
    pub(crate) device: Device,
}

/// The recipe of a name, or of a path that ends with `.toml`.
///
/// # Errors
/// [`LabError::UnknownPreset`], and those of [`Recipe::load`].
pub(crate) fn recipe_named(name: &str) -> Result<Recipe, LabError> {
    let path = Path::new(name);
    let is_path = path.extension().is_some_and(|kind| kind == "toml");
    if is_path { Recipe::load(path) } else { Recipe::preset(name) }
}

/// Seconds after which what was spent is written down while a run goes on.
const WRITTEN_EVERY: f64 = 10.0;

/// Writes down what a run has cost, so that a start after an interruption adds to it.
struct Ledger<'o> {
    path: PathBuf,
    before: Cost,
    clock: Clock,
    written: f64,
    inner: &'o mut dyn Observer,
}

impl<'o> Ledger<'o> {
    fn open(path: PathBuf, inner: &'o mut dyn Observer) -> Result<Self, LabError> {
        let before = if path.exists() { read_json(&path)? } else { Cost::nothing() };
        Ok(Self { path, before, clock: Clock::start(), written: 0.0, inner })
    }

    fn spent(&self) -> Cost {
        self.before.plus(self.clock.cost())
    }

    fn write(&mut self) -> Result<Cost, LabError> {
        let spent = self.spent();
        write_json(&self.path, &spent)?;
        self.written = self.clock.cost().wall_seconds;
        Ok(spent)
    }

    /// Writes it down if the last time is long ago. A failure is told: the run itself is not in danger.
    fn note(&mut self) {
        if self.clock.cost().wall_seconds - self.written > WRITTEN_EVERY
            && let Err(error) = self.write()
        {
            tracing::warn!(%error, "the cost of the run is not written down");
        }
    }
}

impl Observer for Ledger<'_> {
    fn on_record(&mut self, record: &Record) {
        self.note();
        self.inner.on_record(record);
    }

    fn on_resume(&mut self, stage: &str, step: usize) {
        self.inner.on_resume(stage, step);
    }

    fn on_progress(&mut self, job: &str, unit: &str, done: usize, total: usize) {
        self.note();
        self.inner.on_progress(job, unit, done, total);
    }
}

impl RecipeRun<'_> {
    fn folder(&self, folder: &Folder) -> PathBuf {
        folder.path(&format!("systems/{}/run-{}", self.config.name, self.recipe.seed))
    }

    /// The row of each label, out of the folder of the finished run.
    fn rows(&self, dir: &Path) -> Result<BTreeMap<String, Placed>, LabError> {
        let kept = FinishedRun::read(dir, SeenItems::Kept)?;
        let removed = FinishedRun::read(dir, SeenItems::Removed)?;
        let expected: Vec<SampleId> = {
            let mut ids: Vec<_> = self.split.test.samples().map(|sample| sample.id).collect();
            ids.sort_unstable();
            ids
        };
        let mut rows = BTreeMap::new();
        for (label, row) in self.config.labels().into_iter().zip(&self.config.rows) {
            let of = |run: &FinishedRun| -> Result<RankingRun<SampleId>, LabError> {
                let placed = run.placements(row).ok_or_else(|| LabError::UnknownStage {
                    name: row.clone(),
                    found: run.labels().collect::<Vec<_>>().join(", "),
                })?;
                if !placed.placements().map(|(id, _)| *id).eq(expected.iter().copied()) {
                    return Err(LabError::BoardUsers { row: row.clone(), path: dir.to_owned() });
                }
                Ok(placed.clone())
            };
            let placed = Placed {
                kept: of(&kept)?,
                removed: of(&removed)?,
                num_parameters: self.num_parameters(dir, row)?,
                users_per_second: None,
            };
            rows.insert(label, placed);
        }
        Ok(rows)
    }

    /// The numbers in the weights of a stage, or in those of the policies of a blend.
    fn num_parameters(&self, dir: &Path, row: &str) -> Result<Option<usize>, LabError> {
        let stage = self.recipe.stages.iter().find(|stage| stage.label == row);
        let blend = self.recipe.blends.iter().find(|blend| blend.label() == row);
        let policies = match (stage, blend) {
            (Some(stage), _) => vec![stage.name.clone()],
            (None, Some(blend)) => blend.policies.clone(),
            (None, None) => return Ok(None),
        };
        let mut sum = 0;
        for policy in policies {
            let weights = read_safetensors(&dir.join(weights_file(&policy)))?;
            sum += weights.values().map(tch::Tensor::numel).sum::<usize>();
        }
        Ok(Some(sum))
    }
}

impl Part for RecipeRun<'_> {
    type Output = Tested;

    fn name(&self) -> String {
        tested::name(&self.config.name, self.recipe.seed)
    }

    fn inputs(&self) -> Result<Binding, LabError> {
        let mut inputs = self.made_of.clone();
        let settings = (self.recipe, &self.config.rows, self.config.labels());
        inputs.insert("system".to_owned(), hash_json(&settings)?);
        Ok(inputs)
    }

    fn files(&self) -> PartFiles {
        PartFiles::always([tested::file(&self.config.name, self.recipe.seed)])
    }

    fn make(
        &self,
        folder: &Folder,
        _: &Binding,
        observer: &mut dyn Observer,
    ) -> Result<Remarks, LabError> {
        let dir = self.folder(folder);
        fs::create_dir_all(&dir).map_err(|source| LabError::Io { path: dir.clone(), source })?;
        let mut ledger = Ledger::open(dir.join("cost.json"), observer)?;
        let Self { recipe, dataset, published, device, .. } = *self;
        let pipeline = Pipeline { recipe, dataset, published, baselines: &[], out: &dir, device };
        let run = pipeline.run(&mut ledger);
        let cost = ledger.write()?;
        run?;
        let tested = Tested { seed: recipe.seed, cost, rows: self.rows(&dir)? };
        let file = tested::file(&self.config.name, recipe.seed);
        write_json_line(&folder.path(&file), &tested)?;
        Ok(Remarks::default())
    }

    fn read(&self, folder: &Folder) -> Result<Tested, LabError> {
        Ok(read_json(&folder.path(&tested::file(&self.config.name, self.recipe.seed)))?)
    }
}
