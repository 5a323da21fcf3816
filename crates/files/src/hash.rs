//! Hashes of files.

use std::fs::File;
use std::path::Path;

use crate::FileError;

/// BLAKE3 of a file's bytes, in hexadecimal.
///
/// # Errors
/// [`FileError::Io`] names the file.
pub fn hash_file(path: &Path) -> Result<String, FileError> {
    let file = File::open(path).map_err(FileError::io(path))?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file).map_err(FileError::io(path))?;
    Ok(hasher.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("empty");
        std::fs::write(&path, "").unwrap();
        // The first test vector of BLAKE3: no input.
        let expected = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(hash_file(&path).unwrap(), expected);
        let missing = hash_file(&dir.path().join("no such file")).unwrap_err();
        assert!(missing.to_string().contains("no such file"), "{missing}");
    }
}
