//! The items that each user of the test had chosen before, in the folder of a run, which holds no histories.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sidereal_data::{HeldOut as _, ItemId, SampleId, Split};
use sidereal_files::{read_json, write_json_line};

use crate::error::LabError;
use crate::run::part::Folder;

/// The file within the folder of the run.
pub(crate) const FILE: &str = "seen.json";

/// The seen items of each user of the test, by sample.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct SeenOfUsers(BTreeMap<SampleId, Vec<ItemId>>);

impl SeenOfUsers {
    /// Those of a split's test.
    pub(crate) fn of(split: &Split) -> Self {
        Self(split.test.samples().map(|sample| (sample.id, sample.seen.to_vec())).collect())
    }

    /// The seen items of a sample; none for a sample of another test.
    pub(crate) fn of_sample(&self, id: SampleId) -> &[ItemId] {
        self.0.get(&id).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn write(&self, folder: &Folder) -> Result<(), LabError> {
        Ok(write_json_line(&folder.path(FILE), self)?)
    }

    /// Those of a finished run.
    ///
    /// # Errors
    /// [`LabError::NoSeen`] for a run of a version that kept none; a damaged file by name.
    pub(crate) fn read(folder: &Folder) -> Result<Self, LabError> {
        let path = folder.path(FILE);
        if !path.exists() {
            return Err(LabError::NoSeen { path: folder.dir().to_owned() });
        }
        Ok(read_json(&path)?)
    }
}
