//! A run's folder: resolved settings, manifest, finished parts.

pub(crate) mod environment;
pub(crate) mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sidereal_files::{FolderLock, write_whole};
use tch::Device;

use crate::LabError;
use crate::parts::foundation::encoder_settings;
use crate::run::environment::Environment;
use crate::run::settings::Settled;
use crate::{Recipe, Stage, Training};
use sidereal_files::{hash_file, read_json, write_json};
use sidereal_train::{Binding, Checkpoints};
use sidereal_train::{JsonLog, Record};

const CONFIG: &str = "config.toml";
const MANIFEST: &str = "manifest.json";
/// What every step showed.
pub(crate) const LOG: &str = "metrics.jsonl";
/// The name of a part's settings among its inputs.
pub(crate) const SETTINGS: &str = "settings";

/// The folder of a run, which one process at a time works in.
///
/// `config.toml` holds the resolved settings of the last start, `manifest.json` for each part its
/// settings and, once it is finished, the hashes of what it read and of the files that it wrote. A
/// further start skips the parts whose record still holds: whose settings and inputs are the same and
/// whose files are all there.
#[derive(Debug)]
pub struct Run {
    dir: PathBuf,
    manifest: Manifest,
    environment: Environment,
    /// Settings of parts that have not begun with them.
    new_settings: BTreeMap<String, Settled>,
    _lock: FolderLock,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Manifest {
    /// What each part was last begun with.
    #[serde(default)]
    settings: BTreeMap<String, Settled>,
    /// Finished parts.
    stages: BTreeMap<String, StageRecord>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct StageRecord {
    /// Hash of each thing that the part read, by name.
    inputs: Binding,
    /// Hash of each file that it wrote, by path within the folder.
    outputs: Binding,
    /// Of a training that validates its start: the step whose weights it returned; 0 is its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    best_step: Option<usize>,
    /// What it was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made_with: Option<Environment>,
}

impl Run {
    /// Opens the folder, creating it where there is none.
    ///
    /// Settings may differ from those of the last start where no training depends on them, and stages may
    /// be added and left out: what depends on a changed setting is done again.
    ///
    /// # Errors
    /// [`LabError::File`] where another process works in the folder; [`LabError::OtherRun`] where a
    /// stage was trained with another setting, naming the first; [`LabError::Io`].
    pub fn open(dir: &Path, recipe: &Recipe, device: Device) -> Result<Self, LabError> {
        let lock = FolderLock::acquire(dir)?;
        let manifest = read_manifest(dir)?;
        let environment = Environment::current(device);
        let new_settings = BTreeMap::new();
        let mut run =
            Self { dir: dir.to_owned(), manifest, environment, new_settings, _lock: lock };
        let path = run.path(CONFIG);
        // A run of several versions may have settings that this one does not know.
        let old = if path.exists() { Some(Recipe::load(&path)) } else { None };
        if let (true, Some(old)) = (run.manifest.settings.is_empty(), old.as_ref()) {
            match old {
                Ok(old) => run.adopt_settings(old)?,
                Err(_) if run.manifest.stages.is_empty() => {}
                Err(_) => {
                    return Err(LabError::OtherRun {
                        path: dir.to_owned(),
                        part: format!("{CONFIG}, which this version does not read"),
                    });
                }
            }
        }
        run.check_settings(recipe, old.and_then(Result::ok).as_ref())?;
        run.tell_environment();
        let text = toml::to_string_pretty(recipe)?;
        if fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            write_whole(&path, |out| out.write_all(text.as_bytes()))?;
        }
        Ok(run)
    }

    /// A path within the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Does `work`, which reads what `inputs` hashes and writes `outputs`, unless that was done
    /// before with the same inputs and all files are still the same.
    ///
    /// # Errors
    /// Those of `work`; [`LabError::File`] and [`LabError::Io`].
    pub fn stage(
        &mut self,
        name: &str,
        inputs: Binding,
        outputs: &[&str],
        work: impl FnOnce(&Self) -> Result<(), LabError>,
    ) -> Result<(), LabError> {
        self.part(name, inputs, Outputs { always: outputs, perhaps: &[] }, work).map(drop)
    }

    /// As [`stage`](Self::stage), where some files are written only under some settings; returns whether
    /// anything was done.
    pub(crate) fn part(
        &mut self,
        name: &str,
        inputs: Binding,
        outputs: Outputs<'_>,
        work: impl FnOnce(&Self) -> Result<(), LabError>,
    ) -> Result<bool, LabError> {
        match self.state(name, &inputs, outputs) {
            State::Done { unrecorded } => {
                tracing::info!(part = name, "already done");
                self.record_files(name, &unrecorded)?;
                return Ok(false);
            }
            State::Stale(what) => tracing::warn!(part = name, "is done again: {what}"),
            State::New => tracing::info!(part = name, "started"),
        }
        if let Some(settings) = self.new_settings.remove(name) {
            self.manifest.settings.insert(name.to_owned(), settings);
            self.write()?;
        }
        work(self)?;
        let there = outputs.perhaps.iter().filter(|file| self.path(file).exists());
        let outputs = outputs
            .always
            .iter()
            .chain(there)
            .map(|file| Ok(((*file).to_owned(), hash_file(&self.path(file))?)))
            .collect::<Result<Binding, LabError>>()?;
        let made_with = Some(self.environment.clone());
        let record = StageRecord { inputs, outputs, best_step: None, made_with };
        self.manifest.stages.insert(name.to_owned(), record);
        self.write()?;
        Ok(true)
    }

    /// Whether a part is done, or why it is not.
    fn state(&self, name: &str, inputs: &Binding, outputs: Outputs<'_>) -> State {
        let Some(record) = self.manifest.stages.get(name) else { return State::New };
        let names: BTreeSet<&String> = record.inputs.keys().chain(inputs.keys()).collect();
        if let Some(input) =
            names.into_iter().find(|key| record.inputs.get(*key) != inputs.get(*key))
        {
            return State::Stale(format!("its `{input}` is another one"));
        }
        for (file, hash) in &record.outputs {
            match hash_file(&self.path(file)) {
                Ok(found) if found == *hash => {}
                Ok(_) => return State::Stale(format!("its file `{file}` was changed")),
                Err(_) => return State::Stale(format!("its file `{file}` is missing")),
            }
        }
        // Earlier versions kept the hashes of some files only.
        let unrecorded = |files: &[&str]| -> Vec<String> {
            let files = files.iter().filter(|file| !record.outputs.contains_key(**file));
            files.map(|file| (*file).to_owned()).collect()
        };
        let mut files = unrecorded(outputs.always);
        if let Some(file) = files.iter().find(|file| !self.path(file).exists()) {
            return State::Stale(format!("its file `{file}` is missing"));
        }
        files.extend(
            unrecorded(outputs.perhaps).into_iter().filter(|file| self.path(file).exists()),
        );
        State::Done { unrecorded: files }
    }

    /// Adds files to the record of a finished part.
    fn record_files(&mut self, name: &str, files: &[String]) -> Result<(), LabError> {
        if files.is_empty() {
            return Ok(());
        }
        let hashes = files
            .iter()
            .map(|file| Ok((file.clone(), hash_file(&self.path(file))?)))
            .collect::<Result<Binding, LabError>>()?;
        if let Some(record) = self.manifest.stages.get_mut(name) {
            record.outputs.extend(hashes);
        }
        self.write()
    }

    fn write(&self) -> Result<(), LabError> {
        Ok(write_json(&self.path(MANIFEST), &self.manifest)?)
    }

    /// Hash of a file that a finished part wrote; empty where there is no such file.
    #[must_use]
    pub fn output_hash(&self, part: &str, file: &str) -> String {
        let record = self.manifest.stages.get(part);
        record.and_then(|record| record.outputs.get(file)).cloned().unwrap_or_default()
    }

    /// What stands for a part's settings among its inputs: what stood for them before, where they are
    /// the same.
    pub(crate) fn settings(&mut self, part: &str, recipe: &Recipe) -> Result<String, LabError> {
        if let Some(known) = self.manifest.settings.get(part).filter(|known| known.is(recipe)) {
            return Ok(known.id.clone());
        }
        let settled = Settled::new(recipe)?;
        let id = settled.id.clone();
        self.new_settings.insert(part.to_owned(), settled);
        Ok(id)
    }

    /// Keeps the step whose weights a finished training returned.
    pub(crate) fn record_best_step(
        &mut self,
        stage: &str,
        step: Option<usize>,
    ) -> Result<(), LabError> {
        if let Some(record) = self.manifest.stages.get_mut(stage) {
            record.best_step = step;
        }
        self.write()
    }

    /// Accepts a recipe whose stages were trained with it as far as they have been.
    fn check_settings(&self, recipe: &Recipe, old: Option<&Recipe>) -> Result<(), LabError> {
        let mut trained = false;
        for stage in &recipe.stages {
            let folder = self.path(&stage.name);
            let begun = ["model.safetensors", "checkpoints"].map(|name| folder.join(name).exists());
            if !begun.contains(&true) {
                continue;
            }
            trained = true;
            let Some(settled) = self.manifest.settings.get(&stage.name) else { continue };
            if let Some(part) = settled.difference(&recipe.for_training(stage))? {
                return Err(LabError::OtherSetting { path: folder, part });
            }
        }
        let gathered = old.is_some_and(|old| old.gathered() != recipe.gathered());
        if trained && gathered {
            let part =
                "set of tasks, on which its tokenizer or its teacher's texts depend".to_owned();
            return Err(LabError::OtherRun { path: self.dir.clone(), part });
        }
        Ok(())
    }

    /// Takes over the parts of a version that kept of their settings a hash alone, all of which were made
    /// with the recipe of the folder.
    fn adopt_settings(&mut self, old: &Recipe) -> Result<(), LabError> {
        for (part, recipe) in old.parts() {
            let record = self.manifest.stages.get(&part);
            let known = match record {
                Some(record) => record.inputs.get(SETTINGS).cloned(),
                None => Checkpoints::new(&self.path(&part).join("checkpoints"), Binding::new())
                    .bound_to(SETTINGS)?,
            };
            let settled = match known {
                Some(id) => Settled::known_as(id, &recipe)?,
                None if record.is_some() => Settled::new(&recipe)?,
                None => continue,
            };
            if let Some(record) = self.manifest.stages.get_mut(&part) {
                record.inputs.insert(SETTINGS.to_owned(), settled.id.clone());
            }
            self.manifest.settings.insert(part, settled);
        }
        if let (Some(embed), Some(record)) = (&old.embed, self.manifest.stages.get_mut("embed")) {
            record.inputs.extend(encoder_settings(&embed.encoder)?);
        }
        Ok(())
    }

    /// Says in the log what is other than when finished parts were made.
    fn tell_environment(&self) {
        let earlier = self.manifest.stages.values().filter_map(|record| record.made_with.as_ref());
        for (what, (before, now)) in self.environment.changes(earlier) {
            let before = before.into_iter().collect::<Vec<_>>().join(", ");
            tracing::warn!(
                what,
                before,
                now,
                "this start differs from those that made the run's finished parts; numbers may differ in \
                 their last digits"
            );
        }
    }
}

/// The files of a part.
#[derive(Clone, Copy)]
pub(crate) struct Outputs<'a> {
    pub(crate) always: &'a [&'a str],
    /// Files that some settings have it write.
    pub(crate) perhaps: &'a [&'a str],
}

enum State {
    /// With files that are there and not in its record.
    Done {
        unrecorded: Vec<String>,
    },
    /// Done once, and why that does not hold any more.
    Stale(String),
    New,
}

fn read_manifest(dir: &Path) -> Result<Manifest, LabError> {
    let path = dir.join(MANIFEST);
    if path.exists() { Ok(read_json(&path)?) } else { Ok(Manifest::default()) }
}

/// Names of the stages of a run that returned their start, no step having been better on validation.
/// What the manifest does not say, the log of the run does.
pub(crate) fn returned_their_start(
    dir: &Path,
    stages: &[Stage],
) -> Result<BTreeSet<String>, LabError> {
    let manifest = read_manifest(dir)?;
    let log = dir.join(LOG);
    let mut records: Option<Vec<Record>> = None;
    let mut names = BTreeSet::new();
    for stage in stages {
        // Supervised fine-tuning does not validate its start.
        if matches!(stage.training, Training::Sft(_)) {
            continue;
        }
        let recorded = manifest.stages.get(&stage.name).and_then(|record| record.best_step);
        let best = match (recorded, &mut records) {
            (Some(step), _) => Some(step),
            (None, Some(records)) => best_step(records, &stage.name),
            (None, none) => {
                let read = if log.exists() { JsonLog::read(&log)? } else { Vec::new() };
                best_step(none.insert(read), &stage.name)
            }
        };
        if best == Some(0) {
            names.insert(stage.name.clone());
        }
    }
    Ok(names)
}

/// The step of a stage's best validation, the first of equal ones.
fn best_step(records: &[Record], stage: &str) -> Option<usize> {
    let of_stage = records.iter().filter(|record| record.stage == stage);
    let validated =
        of_stage.filter_map(|record| Some((record.step, *record.values.get("valid_ndcg")?)));
    let best = validated.reduce(|best, next| if next.1 > best.1 { next } else { best });
    best.map(|(step, _)| step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_step_is_the_first_of_equal_ones() {
        let record = |stage: &str, step: usize, ndcg: f64| {
            Record::new(stage, step, 9).with("valid_ndcg", ndcg)
        };
        let records = [
            record("a", 0, 0.2),
            Record::new("a", 1, 9).with("loss", 0.9),
            record("a", 2, 0.2),
            record("b", 0, 0.1),
            record("b", 2, 0.3),
            record("b", 4, 0.3),
        ];
        let found = ["a", "b", "c"].map(|stage| best_step(&records, stage));
        assert_eq!(found, [Some(0), Some(2), None]);
    }
}
