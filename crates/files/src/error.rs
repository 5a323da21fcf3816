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
        "the folder `{}` is in use by another process: wait until it has ended, or choose \
         another folder",
        path.display()
    )]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// A file of JSON that does not hold what it should, or a value that JSON cannot hold.
    #[error("`{}` does not have the JSON content that is expected here", path.display())]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_is_wrong_where_and_what_was_expected() {
        let error = FileError::Locked { path: "runs/demo".into() };
        insta::assert_snapshot!(
            error.to_string(),
            @"the folder `runs/demo` is in use by another process: wait until it has ended, or choose another folder"
        );
    }
}
