//! The result of a run, read back from its folder.

use std::path::Path;

use sidereal_files::{read_json, write_json};
use sidereal_sid::Catalog;
use sidereal_train::JsonLog;

use crate::evaluation::{CHANGED, DESCRIPTIONS, DOMAINS, EXERCISES, LABELS, TARGETS, TESTED};
use crate::resume::recipe_of;
use crate::run::log::LOG;
use crate::{LabError, RunResult, Showcase};

/// A few users' recommendations, by title.
const SHOWCASES: &str = "showcases.json";

impl RunResult {
    /// Reads the result of a finished run from its folder, without its data.
    ///
    /// A run of an earlier version did not store [`showcases`](Self::showcases), so here it has
    /// none.
    ///
    /// # Errors
    /// Missing and damaged files by name.
    pub fn read(dir: &Path) -> Result<Self, LabError> {
        let recipe = recipe_of(dir)?;
        let optional = |name: &str| Some(dir.join(name)).filter(|path| path.exists());
        let domains = optional(DOMAINS).map_or(Ok(Vec::new()), |path| read_json(&path))?;
        let exercises = optional(EXERCISES).map_or(Ok(Vec::new()), |path| read_json(&path))?;
        let descriptions =
            optional(DESCRIPTIONS).map_or(Ok(Vec::new()), |path| read_json(&path))?;
        let targets = optional(TARGETS).map_or(Ok(Vec::new()), |path| read_json(&path))?;
        let labels = optional(LABELS).map_or(Ok(Vec::new()), |path| read_json(&path))?;
        let changed = optional(CHANGED).map_or(Ok(Vec::new()), |path| read_json(&path))?;
        let tested = optional(TESTED).map(|path| read_json(&path)).transpose()?;
        let showcases = optional(SHOWCASES).map_or(Ok(Vec::new()), |path| read_json(&path))?;
        Ok(Self {
            stages: recipe.stages.clone(),
            report: read_json(&dir.join("evaluation.json"))?,
            buckets: read_json(&dir.join("buckets.json"))?,
            domains,
            exercises,
            descriptions,
            targets,
            labels,
            changed,
            tested,
            scaling_of: recipe.evaluate.scaling.clone(),
            collisions: recipe.sids.as_ref().map(|sids| sids.collisions),
            quality: read_json(&dir.join("quality.json"))?,
            records: JsonLog::read(&dir.join(LOG))?,
            showcases,
            catalog: Catalog::load(&dir.join("catalog.json"))?,
        })
    }

    /// Stores the titles of the showcases in the folder of a run, for [`read`](Self::read), because
    /// the folder has no other titles.
    ///
    /// # Errors
    /// [`LabError::File`].
    pub fn save_showcases(&self, dir: &Path) -> Result<(), LabError> {
        let showcases: &[Showcase] = &self.showcases;
        Ok(write_json(&dir.join(SHOWCASES), showcases)?)
    }
}
