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
    /// A file of JSON that does not hold what it should, or a value that JSON cannot hold.
    #[error("`{}` is not valid", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        #[source]
        source: serde_json::Error,
    },
}

impl FileError {
    pub(crate) fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn json(path: &Path) -> impl Fn(serde_json::Error) -> Self {
        move |source| Self::Json { path: path.to_owned(), source }
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
            Self::Json { path, source } => (path, source.into()),
        }
    }
}
