//! Locks on folders.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use crate::FileError;

/// The file that is locked, within the folder.
const NAME: &str = ".lock";

/// The right to work in a folder, which one process at a time has.
///
/// This is a lock of the operating system on the file `.lock` in the folder. It ends with this
/// value, or with the process, however the process ends, so nothing has to be cleaned up after a
/// killed process. The file itself stays and is empty; only the lock on it counts.
#[derive(Debug)]
pub struct FolderLock {
    path: PathBuf,
    /// Holds the lock for as long as it is open.
    _file: File,
}

impl FolderLock {
    /// Takes the folder, which is created if there is none.
    ///
    /// # Errors
    /// [`FileError::Locked`] if another holder has it; [`FileError::Io`].
    pub fn acquire(folder: &Path) -> Result<Self, FileError> {
        fs::create_dir_all(folder).map_err(FileError::io(folder))?;
        let path = folder.join(NAME);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(FileError::io(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path: folder.to_owned(), _file: file }),
            Err(TryLockError::WouldBlock) => Err(FileError::Locked { path: folder.to_owned() }),
            Err(TryLockError::Error(source)) => Err(FileError::Io { path, source }),
        }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_holder_at_a_time_and_is_free_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("new");
        let first = FolderLock::acquire(&folder).unwrap();
        assert_eq!(first.path(), folder);
        let error = FolderLock::acquire(&folder).unwrap_err();
        let named = format!("the folder `{}` is in use", folder.display());
        assert!(error.to_string().starts_with(&named), "{error}");
        drop(first);
        FolderLock::acquire(&folder).unwrap();
    }
}
