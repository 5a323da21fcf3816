//! Files of JSON, whole or not at all, and hashes.

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sidereal_files::write_whole;

use crate::TrainError;

/// BLAKE3 of a file, in hexadecimal.
pub(crate) fn hash_file(path: &Path) -> Result<String, TrainError> {
    Ok(sidereal_files::hash_file(path)?)
}

/// BLAKE3 of a value's JSON, in hexadecimal.
pub(crate) fn hash_of(value: &impl Serialize) -> Result<String, TrainError> {
    let text = serde_json::to_vec(value)
        .map_err(|source| TrainError::Json { path: "settings".into(), source })?;
    Ok(blake3::hash(&text).to_hex().to_string())
}

/// Writes a value as JSON, whole or not at all.
pub(crate) fn write_json(path: &Path, value: &(impl Serialize + ?Sized)) -> Result<(), TrainError> {
    let text = serde_json::to_vec_pretty(value)
        .map_err(|source| TrainError::Json { path: path.to_owned(), source })?;
    Ok(write_whole(path, |out| out.write_all(&text))?)
}

/// Reads a value back.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, TrainError> {
    let bytes = fs::read(path).map_err(io(path))?;
    serde_json::from_slice(&bytes)
        .map_err(|source| TrainError::Json { path: path.to_owned(), source })
}

/// The error of a path.
pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> TrainError {
    let path = path.to_owned();
    move |source| TrainError::Io { path, source }
}
