//! The manifest of a run: from what its parts were made.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sidereal_files::{hash_file, read_json, write_json};
use sidereal_train::Binding;

use crate::error::LabError;
use crate::run::environment::Environment;
use crate::run::part::{Folder, PartFiles};
use crate::run::settled::Settled;

const MANIFEST: &str = "manifest.json";

/// The settings of all parts, and the record of those that are finished.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// The settings with which each part was last begun.
    #[serde(default)]
    pub(crate) settings: BTreeMap<String, Settled>,
    /// Finished parts.
    pub(crate) stages: BTreeMap<String, PartRecord>,
}

/// A finished part.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PartRecord {
    /// Hash of each thing that the part read, by name.
    pub(crate) inputs: Binding,
    /// Hash of each file that it wrote, by path within the folder.
    pub(crate) outputs: Binding,
    /// For a training that validates its start: the step whose weights it returned; 0 is its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) best_step: Option<usize>,
    /// What it was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) made_with: Option<Environment>,
}

/// Whether a part is done.
pub(crate) enum State {
    /// Done, with files that are there but not in its record.
    Done {
        unrecorded: Vec<String>,
    },
    /// Done before, and why this is not valid any more.
    Stale(String),
    New,
}

impl Manifest {
    /// The manifest of a folder; an empty one if there is none.
    pub(crate) fn read(folder: &Folder) -> Result<Self, LabError> {
        let path = folder.path(MANIFEST);
        if path.exists() { Ok(read_json(&path)?) } else { Ok(Self::default()) }
    }

    /// Writes the manifest of a folder.
    pub(crate) fn write(&self, folder: &Folder) -> Result<(), LabError> {
        Ok(write_json(&folder.path(MANIFEST), self)?)
    }

    /// Whether a part is done, or why it is not.
    pub(crate) fn state(
        &self,
        folder: &Folder,
        name: &str,
        inputs: &Binding,
        files: &PartFiles,
    ) -> State {
        let Some(record) = self.stages.get(name) else { return State::New };
        let names: BTreeSet<&String> = record.inputs.keys().chain(inputs.keys()).collect();
        if let Some(input) =
            names.into_iter().find(|key| record.inputs.get(*key) != inputs.get(*key))
        {
            return State::Stale(format!("its `{input}` is another one"));
        }
        for (file, hash) in &record.outputs {
            match hash_file(&folder.path(file)) {
                Ok(found) if found == *hash => {}
                Ok(_) => return State::Stale(format!("its file `{file}` was changed")),
                Err(_) => return State::Stale(format!("its file `{file}` is missing")),
            }
        }
        // Earlier versions only stored the hashes of some files.
        let unrecorded = |files: &[String]| -> Vec<String> {
            let files = files.iter().filter(|file| !record.outputs.contains_key(*file));
            files.cloned().collect()
        };
        let mut missing = unrecorded(&files.always);
        if let Some(file) = missing.iter().find(|file| !folder.path(file).exists()) {
            return State::Stale(format!("its file `{file}` is missing"));
        }
        missing.extend(
            unrecorded(&files.perhaps).into_iter().filter(|file| folder.path(file).exists()),
        );
        State::Done { unrecorded: missing }
    }

    /// Adds files to the record of a finished part; returns whether there was anything to add.
    pub(crate) fn record_files(
        &mut self,
        folder: &Folder,
        name: &str,
        files: &[String],
    ) -> Result<bool, LabError> {
        let hashes = hashes(folder, files)?;
        if let Some(record) = self.stages.get_mut(name) {
            record.outputs.extend(hashes);
        }
        Ok(!files.is_empty())
    }
}

/// Hash of each of these files.
pub(crate) fn hashes<'f>(
    folder: &Folder,
    files: impl IntoIterator<Item = &'f String>,
) -> Result<Binding, LabError> {
    files.into_iter().map(|file| Ok((file.clone(), hash_file(&folder.path(file))?))).collect()
}
