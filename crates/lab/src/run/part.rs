//! What a part of a run is.

use std::path::{Path, PathBuf};

use sidereal_train::{Binding, Observer};

use crate::error::LabError;
use crate::recipe::Recipe;

/// A part of a run: something that is made once from inputs that are known by their hashes, and kept in
/// files of the run's folder.
///
/// [`RunFolder::carry_out`](crate::RunFolder::carry_out) makes it, or finds that it was made before
/// with the same settings and inputs and that its files are still the same. A part only knows what it
/// is given: what it needs from an earlier part is the [`Made`] of that part.
pub trait Part {
    /// What later parts get from it.
    type Output;

    /// Its name in the manifest.
    fn name(&self) -> String;

    /// The settings that it depends on, in a recipe whose other settings are fixed; `None` for a
    /// part whose inputs cover everything, with a hash for its settings.
    fn settings(&self) -> Option<Recipe> {
        None
    }

    /// The hash of each thing that it reads, by name.
    ///
    /// # Errors
    /// Those of reading files that do not belong to a part.
    fn inputs(&self) -> Result<Binding, LabError>;

    /// The files that it writes.
    fn files(&self) -> PartFiles;

    /// Makes it. `inputs` are those of [`inputs`](Self::inputs) and, under [`SETTINGS`], an id of
    /// its settings. Checkpoints are bound to them.
    ///
    /// # Errors
    /// Those of the work. Then the files that it wrote do not count.
    fn make(
        &self,
        folder: &Folder,
        inputs: &Binding,
        observer: &mut dyn Observer,
    ) -> Result<Remarks, LabError>;

    /// Removes files that are not needed after the part is made and in the manifest, such as
    /// checkpoints.
    ///
    /// # Errors
    /// Those of removing files.
    fn tidy(&self, _folder: &Folder) -> Result<(), LabError> {
        Ok(())
    }

    /// Reads what was made: a value, or a handle of a file that is read when it is needed.
    ///
    /// # Errors
    /// Those of files that are missing or damaged.
    fn read(&self, folder: &Folder) -> Result<Self::Output, LabError>;
}

/// The name of a part's settings among its inputs.
pub const SETTINGS: &str = "settings";

/// The folder of a run, as its parts see it.
#[derive(Debug, Clone)]
pub struct Folder {
    dir: PathBuf,
}

impl Folder {
    /// The folder at this path.
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// A folder within this one, which is created if it is missing.
    ///
    /// # Errors
    /// [`LabError::Io`].
    pub(crate) fn within(&self, name: &str) -> Result<Self, LabError> {
        let dir = self.dir.join(name);
        std::fs::create_dir_all(&dir)
            .map_err(|source| LabError::Io { path: dir.clone(), source })?;
        Ok(Self { dir })
    }

    /// A path within the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The path of the folder itself.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// The files of a part, by their paths within the folder of the run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartFiles {
    pub(crate) always: Vec<String>,
    pub(crate) perhaps: Vec<String>,
}

impl PartFiles {
    /// Files that the part always writes.
    pub fn always<S: Into<String>>(files: impl IntoIterator<Item = S>) -> Self {
        Self { always: files.into_iter().map(Into::into).collect(), perhaps: Vec::new() }
    }

    /// Adds files that the part writes only under some settings.
    #[must_use]
    pub fn perhaps<S: Into<String>>(mut self, files: impl IntoIterator<Item = S>) -> Self {
        self.perhaps.extend(files.into_iter().map(Into::into));
        self
    }
}

/// What the manifest stores about a part besides its hashes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remarks {
    /// For a training that validates its start: the step whose weights it returned; 0 is its start.
    pub best_step: Option<usize>,
}

/// A part that is made.
#[derive(Debug, Clone)]
pub struct Made<T> {
    /// The value.
    pub value: T,
    pub(crate) outputs: Binding,
}

impl<T> Made<T> {
    /// The hash of a file that the part wrote, for the inputs of later parts.
    ///
    /// # Errors
    /// [`LabError::NotWritten`] for a file that is none of its.
    pub fn hash(&self, file: &str) -> Result<String, LabError> {
        let written = || self.outputs.keys().cloned().collect::<Vec<_>>().join(", ");
        let none = || LabError::NotWritten { file: file.to_owned(), written: written() };
        self.outputs.get(file).cloned().ok_or_else(none)
    }
}
