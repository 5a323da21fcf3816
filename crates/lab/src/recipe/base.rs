//! Where a pretrained model is.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::LabError;

/// Models that have a name, and their folders in a checkout, where `cargo xtask model NAME` puts them.
const NAMED: [(&str, &str); 1] = [("smollm2", "target/smollm2")];

/// The folder or the GGUF file of a pretrained model that is given by a path or by a name.
///
/// What exists at the path comes first. `smollm2` is `target/smollm2` of the working directory, like the encoder of the
/// presets.
///
/// ```
/// use std::path::Path;
///
/// assert_eq!(sidereal_lab::base_folder(Path::new("smollm2")), Path::new("target/smollm2"));
/// assert_eq!(sidereal_lab::base_folder(Path::new("models/own")), Path::new("models/own"));
/// ```
#[must_use]
pub fn base_folder(base: &Path) -> PathBuf {
    if base.exists() {
        return base.to_owned();
    }
    let named = NAMED.into_iter().find(|(name, _)| base == Path::new(name));
    named.map_or_else(|| base.to_owned(), |(_, folder)| PathBuf::from(folder))
}

/// Whether this is the name of a model that `cargo xtask model` fetches.
#[must_use]
pub fn is_named_base(base: &Path) -> bool {
    NAMED.into_iter().any(|(name, _)| base == Path::new(name))
}

/// The files of a model's folder, or the one file of a model in GGUF.
///
/// # Errors
/// [`LabError::Io`].
pub(crate) fn files_of_base(base: &Path) -> Result<Vec<PathBuf>, LabError> {
    if base.is_file() {
        return Ok(vec![base.to_owned()]);
    }
    let io = |source| LabError::Io { path: base.to_owned(), source };
    let entries = fs::read_dir(base).map_err(io)?;
    let paths = entries.map(|entry| Ok(entry.map_err(io)?.path()));
    let paths = paths.collect::<Result<Vec<_>, LabError>>()?;
    Ok(paths.into_iter().filter(|path| path.is_file()).collect())
}
