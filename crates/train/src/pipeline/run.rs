//! A run's folder: resolved settings, manifest, finished stages.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sidereal_corpus::write::write_whole;

use super::Recipe;
use crate::TrainError;
use crate::checkpoint::Binding;
use crate::files::{hash_file, io, write_json};

const CONFIG: &str = "config.toml";
/// The setting on which no result depends.
const FREE: &str = "keep_checkpoints";
const MANIFEST: &str = "manifest.json";

/// The folder of a run.
///
/// `config.toml` holds the resolved settings, `manifest.json` for each finished stage the hashes of
/// what it read and of the files that it wrote. A second start skips stages whose record still
/// holds.
#[derive(Debug)]
pub struct Run {
    dir: PathBuf,
    manifest: Manifest,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    stages: BTreeMap<String, StageRecord>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StageRecord {
    /// Hash of each thing that the stage read, by name.
    inputs: Binding,
    /// Hash of each file that it wrote, by path within the folder.
    outputs: Binding,
}

impl Run {
    /// Opens the folder, creating it where there is none.
    ///
    /// # Errors
    /// [`TrainError::OtherRun`] where the folder holds a run with other settings, naming the first
    /// that differs; [`TrainError::Io`].
    pub fn open(dir: &Path, recipe: &Recipe) -> Result<Self, TrainError> {
        fs::create_dir_all(dir).map_err(io(dir))?;
        let path = dir.join(CONFIG);
        let text = toml::to_string_pretty(recipe)?;
        if path.exists() {
            let mut old: toml::Table =
                fs::read_to_string(&path).map_err(io(&path))?.parse().map_err(|source| {
                    TrainError::Toml { path: path.clone(), source: Box::new(source) }
                })?;
            let mut new: toml::Table = text.parse().map_err(|source| TrainError::Toml {
                path: path.clone(),
                source: Box::new(source),
            })?;
            for settings in [&mut old, &mut new] {
                settings.remove(FREE);
            }
            if let Some(part) = first_difference(&old, &new, "") {
                return Err(TrainError::OtherRun { path: dir.to_owned(), part });
            }
        } else {
            write_whole(&path, |out| out.write_all(text.as_bytes()))?;
        }
        let path = dir.join(MANIFEST);
        let manifest = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map_err(|source| TrainError::Json { path: path.clone(), source })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Manifest::default(),
            Err(source) => return Err(TrainError::Io { path, source }),
        };
        Ok(Self { dir: dir.to_owned(), manifest })
    }

    /// A path within the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Does `work`, which reads what `inputs` hashes and writes `outputs`, unless that was done
    /// before with the same inputs and the files are still the same.
    ///
    /// # Errors
    /// Those of `work`; [`TrainError::Io`].
    pub fn stage(
        &mut self,
        name: &str,
        inputs: Binding,
        outputs: &[&str],
        work: impl FnOnce(&Self) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        if self.is_done(name, &inputs, outputs) {
            tracing::info!(stage = name, "already done");
            return Ok(());
        }
        tracing::info!(stage = name, "started");
        work(self)?;
        let outputs = outputs
            .iter()
            .map(|file| Ok(((*file).to_owned(), hash_file(&self.path(file))?)))
            .collect::<Result<Binding, TrainError>>()?;
        self.manifest.stages.insert(name.to_owned(), StageRecord { inputs, outputs });
        write_json(&self.path(MANIFEST), &self.manifest)
    }

    fn is_done(&self, name: &str, inputs: &Binding, outputs: &[&str]) -> bool {
        self.manifest.stages.get(name).is_some_and(|record| {
            record.inputs == *inputs
                && outputs.iter().all(|file| {
                    hash_file(&self.path(file)).ok().as_ref() == record.outputs.get(*file)
                })
        })
    }

    /// Hash of a file that a finished stage wrote; empty where there is no such file.
    #[must_use]
    pub fn output_hash(&self, stage: &str, file: &str) -> String {
        let record = self.manifest.stages.get(stage);
        record.and_then(|record| record.outputs.get(file)).cloned().unwrap_or_default()
    }
}

/// Dotted name of the first setting that differs.
fn first_difference(old: &toml::Table, new: &toml::Table, prefix: &str) -> Option<String> {
    let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    keys.into_iter().find_map(|key| {
        let name = format!("{prefix}{key}");
        match (old.get(key), new.get(key)) {
            (Some(toml::Value::Table(old)), Some(toml::Value::Table(new))) => {
                first_difference(old, new, &format!("{name}."))
            }
            (Some(toml::Value::Array(old)), Some(toml::Value::Array(new)))
                if old.len() == new.len() =>
            {
                old.iter().zip(new).find_map(|(old, new)| match (old.as_table(), new.as_table()) {
                    (Some(old), Some(new)) => {
                        let of = old.get("name").and_then(toml::Value::as_str).unwrap_or_default();
                        first_difference(old, new, &format!("{name}.{of}."))
                    }
                    _ => (old != new).then(|| name.clone()),
                })
            }
            (old, new) => (old != new).then_some(name),
        }
    })
}
