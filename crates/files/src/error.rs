//! Why a file or folder could not be used.

use std::io;
use std::path::{Path, PathBuf};

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// A file or folder could not be read or written.
    #[error("cannot access `{}`", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Another process works in the folder.
    #[error(
        "the folder `{}` is in use by another process: wait until that one has ended, or choose \
         another folder",
        path.display()
    )]
    Locked {
        /// The folder.
        path: PathBuf,
    },
}

impl FileError {
    pub(crate) fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    /// The file or folder, and what the system says of it, for a crate whose own error has both.
    #[must_use]
    pub fn into_parts(self) -> (PathBuf, io::Error) {
        match self {
            Self::Io { path, source } => (path, source),
            Self::Locked { path } => {
                let text = "it is in use by another process";
                (path, io::Error::new(io::ErrorKind::WouldBlock, text))
            }
        }
    }
}
