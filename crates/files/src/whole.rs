//! Files and folders that appear whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::FileError;

/// Writes a file beside its place, flushes it to the disk, renames it and flushes its folder.
///
/// A reader sees the old file or the new one, never a part, also after a kill or a power cut; a failed
/// write leaves the old file and nothing else.
///
/// # Errors
/// [`FileError::Io`] names `path`, with the error of `contents` or of the system.
pub fn write_whole(
    path: &Path,
    contents: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), FileError> {
    write_whole_by(path, |partial| {
        let write = || {
            let mut file = BufWriter::new(File::create(partial)?);
            contents(&mut file)?;
            file.into_inner()?;
            Ok(())
        };
        write().map_err(FileError::io(path))
    })
}

/// As [`write_whole`], for a writer that takes a path: `write` writes the file that it is given.
///
/// # Errors
/// Those of `write`; [`FileError::Io`] names `path`.
pub fn write_whole_by<E: From<FileError>>(
    path: &Path,
    write: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let place = || {
        OpenOptions::new().write(true).open(&partial)?.sync_all()?;
        fs::rename(&partial, path)?;
        sync_folder(parent(path))
    };
    let written =
        write(&partial).and_then(|()| place().map_err(|error| FileError::io(path)(error).into()));
    if written.is_err() {
        let _ = fs::remove_file(&partial); // best effort: the write's own error is the news
    }
    written
}

/// Moves a finished folder to its place, which must be empty or missing. The list of its files is
/// flushed before the move, and the folder that it is now in after the move. The files themselves
/// were written by [`write_whole`].
///
/// # Errors
/// [`FileError::Io`] names `to`; the folder then is where it was, or at `to`.
pub fn move_folder(from: &Path, to: &Path) -> Result<(), FileError> {
    let place = || {
        sync_folder(from)?;
        fs::rename(from, to)?;
        sync_folder(parent(to))
    };
    place().map_err(FileError::io(to))
}

/// The folder of a file; the current one for a bare name.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Flushes the names in a folder to the disk. Without this, a rename may be lost in a power cut.
/// Only Unix can open folders for this; on other systems the file system is trusted.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_part() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        fs::write(&path, "old").unwrap();
        let failed = write_whole(&path, |out| {
            out.write_all(b"new")?;
            Err(io::Error::other("disk on fire"))
        });
        let FileError::Io { path: named, source } = failed.unwrap_err() else { unreachable!() };
        assert!(named == path && source.to_string() == "disk on fire");
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(dir.path()), ["x"]);
        write_whole(&path, |out| out.write_all(b"new")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(names(dir.path()), ["x"]);
    }

    #[test]
    fn a_file_that_cannot_be_placed_leaves_no_part() {
        let dir = tempfile::tempdir().unwrap();
        let taken = dir.path().join("taken");
        fs::create_dir(&taken).unwrap();
        let failed = write_whole(&taken, |out| out.write_all(b"new")).unwrap_err();
        assert!(failed.to_string().contains("taken"), "{failed}");
        assert_eq!(names(dir.path()), ["taken"]);
    }

    #[test]
    fn a_writer_that_takes_a_path_keeps_its_own_error() {
        #[derive(Debug, thiserror::Error)]
        #[error("own")]
        enum Own {
            Mine,
            File(#[from] FileError),
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let failed = write_whole_by(&path, |partial| {
            fs::write(partial, "half").unwrap();
            Err(Own::Mine)
        });
        assert!(matches!(failed, Err(Own::Mine)) && names(dir.path()).is_empty());
        let written = write_whole_by(&path, |partial| {
            fs::write(partial, "whole").map_err(|source| Own::File(FileError::io(partial)(source)))
        });
        written.unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole");
    }

    #[test]
    fn a_folder_moves_with_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let [from, to] = ["partial", "00000007"].map(|name| dir.path().join(name));
        fs::create_dir(&from).unwrap();
        write_whole(&from.join("x"), |out| out.write_all(b"x")).unwrap();
        move_folder(&from, &to).unwrap();
        assert_eq!((names(dir.path()), names(&to)), (vec!["00000007".into()], vec!["x".into()]));
        assert!(move_folder(&from, &to).is_err());
    }

    #[test]
    fn a_bare_name_is_in_the_current_folder() {
        assert_eq!(parent(Path::new("x")), Path::new("."));
        assert_eq!(parent(Path::new("a/x")), Path::new("a"));
    }
}
