//! The folder of a run, in which parts are carried out.

pub(crate) mod environment;
pub(crate) mod log;
pub(crate) mod manifest;
pub(crate) mod part;
pub(crate) mod settled;
pub(crate) mod starts;

use std::path::{Path, PathBuf};

use sidereal_files::FolderLock;
use sidereal_train::Observer;
use tch::Device;

use crate::error::LabError;
use crate::run::environment::Environment;
use crate::run::manifest::{Manifest, PartRecord, State, hashes};
use crate::run::part::{Folder, Made, Part, SETTINGS};
use crate::run::settled::Settled;

/// The folder of a run, in which one process at a time works.
///
/// `manifest.json` holds for each part its settings and, once it is finished, the hashes of what it read
/// and of the files that it wrote. A further start skips the parts whose record is still valid: their
/// settings and inputs are the same, and all their files are there.
#[derive(Debug)]
pub struct RunFolder {
    folder: Folder,
    manifest: Manifest,
    environment: Environment,
    _lock: FolderLock,
}

impl RunFolder {
    /// Opens the folder, and creates it if there is none.
    ///
    /// # Errors
    /// [`LabError::File`] if another process works in the folder, or for a damaged manifest.
    pub fn open(dir: &Path, device: Device) -> Result<Self, LabError> {
        let lock = FolderLock::acquire(dir)?;
        let folder = Folder::new(dir);
        let manifest = Manifest::read(&folder)?;
        let environment = Environment::current(device);
        Ok(Self { folder, manifest, environment, _lock: lock })
    }

    /// The folder.
    #[must_use]
    pub const fn folder(&self) -> &Folder {
        &self.folder
    }

    /// A path within the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }

    /// Makes a part and reads it. It is only made if it was not made before with the same settings
    /// and inputs, or if one of its files is not the same any more.
    ///
    /// # Errors
    /// Those of the part; [`LabError::File`] and [`LabError::Io`].
    pub fn carry_out<P: Part>(
        &mut self,
        part: &P,
        observer: &mut dyn Observer,
    ) -> Result<Made<P::Output>, LabError> {
        let name = part.name();
        let mut inputs = part.inputs()?;
        let mut new_settings = None;
        if let Some(settings) = part.settings() {
            let known = self.manifest.settings.get(&name).filter(|known| known.is(&settings));
            let id = if let Some(known) = known {
                known.id.clone()
            } else {
                new_settings.insert(Settled::new(&settings)?).id.clone()
            };
            inputs.insert(SETTINGS.to_owned(), id);
        }
        let files = part.files();
        let done = match self.manifest.state(&self.folder, &name, &inputs, &files) {
            State::Done { unrecorded } => {
                tracing::info!(part = name, "already done");
                if self.manifest.record_files(&self.folder, &name, &unrecorded)? {
                    self.manifest.write(&self.folder)?;
                }
                true
            }
            State::Stale(what) => {
                tracing::warn!(part = name, "is done again: {what}");
                false
            }
            State::New => {
                tracing::info!(part = name, "started");
                false
            }
        };
        if !done {
            if let Some(settings) = new_settings {
                self.manifest.settings.insert(name.clone(), settings);
                self.manifest.write(&self.folder)?;
            }
            let remarks = part.make(&self.folder, &inputs, observer)?;
            let there = files.perhaps.iter().filter(|file| self.folder.path(file).exists());
            let outputs = hashes(&self.folder, files.always.iter().chain(there))?;
            let (best_step, made_with) = (remarks.best_step, Some(self.environment.clone()));
            let record = PartRecord { inputs, outputs, best_step, made_with };
            self.manifest.stages.insert(name.clone(), record);
            self.manifest.write(&self.folder)?;
        }
        part.tidy(&self.folder)?;
        let record = self.manifest.stages.get(&name);
        let outputs = record.map(|record| record.outputs.clone()).unwrap_or_default();
        Ok(Made { value: part.read(&self.folder)?, outputs })
    }

    /// The manifest of the parts.
    pub(crate) const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The manifest of the parts, to be changed.
    pub(crate) const fn manifest_mut(&mut self) -> &mut Manifest {
        &mut self.manifest
    }

    /// Logs what differs from when the finished parts were made.
    pub(crate) fn tell_environment(&self) {
        let earlier = self.manifest.stages.values().filter_map(|record| record.made_with.as_ref());
        for (what, (before, now)) in self.environment.changes(earlier) {
            let before = before.into_iter().collect::<Vec<_>>().join(", ");
            tracing::warn!(
                what,
                before,
                now,
                "this start differs from earlier starts of the run; numbers may differ in \
                 their last digits"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;

    use sidereal_train::{Binding, Record};

    use super::*;
    use crate::recipe::Recipe;
    use crate::run::part::{PartFiles, Remarks};

    /// A part that counts how often it is made, and writes what it counts.
    struct Toy {
        seed: Option<u64>,
        input: &'static str,
        made: Cell<usize>,
        tidied: Cell<usize>,
    }

    impl Part for Toy {
        type Output = String;

        fn name(&self) -> String {
            "toy".to_owned()
        }

        fn settings(&self) -> Option<Recipe> {
            self.seed.map(|seed| Recipe { seed, ..Recipe::blank() })
        }

        fn inputs(&self) -> Result<Binding, LabError> {
            Ok(Binding::from([("input".to_owned(), self.input.to_owned())]))
        }

        fn files(&self) -> PartFiles {
            PartFiles::always(["toy.txt"]).perhaps(["note.txt"])
        }

        fn make(
            &self,
            folder: &Folder,
            inputs: &Binding,
            _: &mut dyn Observer,
        ) -> Result<Remarks, LabError> {
            assert_eq!(inputs.contains_key(SETTINGS), self.seed.is_some());
            self.made.set(self.made.get() + 1);
            fs::write(folder.path("toy.txt"), format!("{} {:?}", self.input, self.seed)).unwrap();
            if self.input == "noted" {
                fs::write(folder.path("note.txt"), "noted").unwrap();
            }
            Ok(Remarks { best_step: Some(3) })
        }

        fn tidy(&self, _: &Folder) -> Result<(), LabError> {
            self.tidied.set(self.tidied.get() + 1);
            Ok(())
        }

        fn read(&self, folder: &Folder) -> Result<String, LabError> {
            Ok(fs::read_to_string(folder.path("toy.txt")).unwrap())
        }
    }

    /// Carries out a toy in the folder of a run that is opened for it; returns what was read, how often it
    /// was made, and the hash of its file.
    fn carry_out(dir: &Path, seed: Option<u64>, input: &'static str) -> (String, usize, String) {
        let toy = Toy { seed, input, made: Cell::new(0), tidied: Cell::new(0) };
        let mut run = RunFolder::open(dir, Device::Cpu).unwrap();
        let made = run.carry_out(&toy, &mut |_: &Record| {}).unwrap();
        assert_eq!(toy.tidied.get(), 1);
        let error = made.hash("other.txt").unwrap_err().to_string();
        assert!(error.contains("`other.txt`") && error.contains("toy.txt"), "{error}");
        (made.value.clone(), toy.made.get(), made.hash("toy.txt").unwrap())
    }

    #[test]
    fn a_part_is_done_once_and_again_where_settings_inputs_or_files_changed() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let (value, made, hash) = carry_out(dir, Some(1), "a");
        assert_eq!((value.as_str(), made), ("a Some(1)", 1));
        assert_eq!(hash, sidereal_files::hash_file(&dir.join("toy.txt")).unwrap());
        assert_eq!(carry_out(dir, Some(1), "a"), (value, 0, hash));
        let (value, made, other) = carry_out(dir, Some(1), "b");
        assert!(value == "b Some(1)" && made == 1);
        let (value, made, hash) = carry_out(dir, Some(2), "b");
        assert!(value == "b Some(2)" && made == 1 && hash != other);
        assert_eq!(carry_out(dir, None, "b").1, 1);
        assert_eq!(carry_out(dir, None, "b").1, 0);

        fs::write(dir.join("toy.txt"), "damaged").unwrap();
        assert_eq!(carry_out(dir, None, "b").0, "b None");
        fs::remove_file(dir.join("toy.txt")).unwrap();
        assert_eq!(carry_out(dir, None, "b").1, 1);

        // A file that it writes under some settings alone counts where it was written.
        assert_eq!(carry_out(dir, None, "noted").1, 1);
        assert_eq!(carry_out(dir, None, "noted").1, 0);
        fs::remove_file(dir.join("note.txt")).unwrap();
        assert_eq!(carry_out(dir, None, "noted").1, 1);
    }

    #[test]
    fn a_failed_part_is_not_recorded_in_the_manifest() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        carry_out(dir, Some(1), "a");
        let manifest = dir.join("manifest.json");
        let read = || fs::read_to_string(&manifest).unwrap();
        assert!(read().contains("\"best_step\": 3") && read().contains("\"made_with\""));

        // A record of an earlier version, which hashed no file of this name.
        let mut parts: serde_json::Value = serde_json::from_str(&read()).unwrap();
        parts["stages"]["toy"]["outputs"] = serde_json::json!({});
        fs::write(&manifest, parts.to_string()).unwrap();
        let (_, made, hash) = carry_out(dir, Some(1), "a");
        assert!(made == 0 && !hash.is_empty() && read().contains(&hash));

        let mut run = RunFolder::open(dir, Device::Cpu).unwrap();
        assert!(run.carry_out(&Failing, &mut |_: &Record| {}).is_err());
        assert!(!read().contains("failing"));
        // Another process would have to wait.
        assert!(RunFolder::open(dir, Device::Cpu).is_err());
    }

    /// A part that cannot be made.
    struct Failing;

    impl Part for Failing {
        type Output = ();

        fn name(&self) -> String {
            "failing".to_owned()
        }

        fn inputs(&self) -> Result<Binding, LabError> {
            Ok(Binding::new())
        }

        fn files(&self) -> PartFiles {
            PartFiles::default()
        }

        fn make(&self, _: &Folder, _: &Binding, _: &mut dyn Observer) -> Result<Remarks, LabError> {
            Err(LabError::NoSamples { what: "the test" })
        }

        fn read(&self, _: &Folder) -> Result<(), LabError> {
            Ok(())
        }
    }
}
