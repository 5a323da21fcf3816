//! A GGUF file that is open.

use std::path::Path;

use sidereal_gguf::{Gguf, GgufError};

use crate::PolicyError;
use crate::mapped::Mapped;

/// A file that is open, with its path for messages.
#[derive(Debug)]
pub(super) struct Model<'a> {
    pub(super) path: &'a Path,
    pub(super) file: Gguf<'a>,
}

impl Model<'_> {
    /// What is wrong with the file.
    fn fail(&self, source: GgufError) -> PolicyError {
        PolicyError::Gguf { path: self.path.to_owned(), source }
    }

    /// A setting that must be there.
    pub(super) fn need<T>(
        &self,
        key: &str,
        found: Result<Option<T>, GgufError>,
    ) -> Result<T, PolicyError> {
        let missing = || GgufError::MissingKey { key: key.to_owned() };
        found.and_then(|found| found.ok_or_else(missing)).map_err(|source| self.fail(source))
    }

    /// A setting that may be missing.
    pub(super) fn may<T>(
        &self,
        found: Result<Option<T>, GgufError>,
    ) -> Result<Option<T>, PolicyError> {
        found.map_err(|source| self.fail(source))
    }
}

/// What `read` makes of a file that is mapped.
pub(super) fn with<T>(
    path: &Path,
    read: impl FnOnce(&Model<'_>) -> Result<T, PolicyError>,
) -> Result<T, PolicyError> {
    let bytes = Mapped::open(path)?;
    let fail = |source| PolicyError::Gguf { path: path.to_owned(), source };
    read(&Model { path, file: Gguf::parse(&bytes).map_err(fail)? })
}
