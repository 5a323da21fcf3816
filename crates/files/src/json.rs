//! Values as files of JSON.

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{FileError, write_whole};

/// Writes a value as indented JSON, whole or not at all.
///
/// # Errors
/// [`FileError::Json`] for a value that JSON cannot hold; [`FileError::Io`].
pub fn write_json(path: &Path, value: &(impl Serialize + ?Sized)) -> Result<(), FileError> {
    let text = serde_json::to_vec_pretty(value).map_err(FileError::json(path))?;
    write_whole(path, |out| out.write_all(&text))
}

/// Writes a value as JSON in one line, whole or not at all, and creates the folder if there is
/// none.
///
/// # Errors
/// As [`write_json`].
pub fn write_json_line(path: &Path, value: &(impl Serialize + ?Sized)) -> Result<(), FileError> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(FileError::io(dir))?;
    }
    let text = serde_json::to_vec(value).map_err(FileError::json(path))?;
    write_whole(path, |out| out.write_all(&text))
}

/// Reads a value back.
///
/// # Errors
/// [`FileError::Io`] if the file cannot be read, [`FileError::Json`] if it holds something else.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, FileError> {
    let bytes = fs::read(path).map_err(FileError::io(path))?;
    serde_json::from_slice(&bytes).map_err(FileError::json(path))
}

/// BLAKE3 of a value's JSON, in hexadecimal: the same for equal values, in any process.
///
/// # Errors
/// [`FileError::Json`] for a value that JSON cannot hold.
pub fn hash_json(value: &(impl Serialize + ?Sized)) -> Result<String, FileError> {
    let text = serde_json::to_vec(value).map_err(FileError::json(Path::new("settings")))?;
    Ok(blake3::hash(&text).to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_and_its_hash_depends_on_the_value_alone() {
        let dir = tempfile::tempdir().unwrap();
        let value = vec![("a".to_owned(), 0.1), ("b".to_owned(), -2.0)];
        let (long, short) = (dir.path().join("long.json"), dir.path().join("new/short.json"));
        write_json(&long, &value).unwrap();
        write_json_line(&short, &value).unwrap();
        let read: Vec<(String, f64)> = read_json(&short).unwrap();
        assert_eq!(read, value);
        assert_eq!(read_json::<Vec<(String, f64)>>(&long).unwrap(), value);
        assert_eq!(hash_json(&read).unwrap(), hash_json(&value).unwrap());
        assert_ne!(hash_json(&read[..1]).unwrap(), hash_json(&value).unwrap());
    }

    #[test]
    fn a_file_that_holds_something_else_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("numbers.json");
        fs::write(&path, "[1, 2").unwrap();
        let error = read_json::<Vec<u8>>(&path).unwrap_err();
        assert!(matches!(error, FileError::Json { .. }) && error.to_string().contains("numbers"));
        let missing = read_json::<Vec<u8>>(&dir.path().join("none.json")).unwrap_err();
        assert!(matches!(missing, FileError::Io { .. }), "{missing}");
    }
}
