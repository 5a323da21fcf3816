//! Files that appear whole or not at all.

use std::io::{self, Write};
use std::path::Path;

use crate::DataError;

/// Writes a file beside its place, flushes it to the disk and renames it: a reader sees the old
/// file or the new one, never a part, and a failed write leaves nothing behind.
///
/// # Errors
/// [`DataError::Io`]; the message names `path`.
pub fn write_whole(
    path: &Path,
    contents: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), DataError> {
    sidereal_files::write_whole(path, contents)
        .map_err(|error| DataError::io(path, error.into_parts().1))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_part() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        fs::write(&path, "old").unwrap();
        let failed = write_whole(&path, |out| {
            out.write_all(b"new")?;
            Err(io::Error::other("disk on fire"))
        });
        assert!(matches!(failed, Err(DataError::Io { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        write_whole(&path, |out| out.write_all(b"new")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    }
}
