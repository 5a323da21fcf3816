//! Files that are on the disk whole or not at all, their hashes, and locks on folders.
//!
//! ```
//! use sidereal_files::{FileError, FolderLock, hash_file, write_whole};
//!
//! let dir = tempfile::tempdir()?;
//! let lock = FolderLock::acquire(dir.path())?;
//! assert!(matches!(FolderLock::acquire(dir.path()), Err(FileError::Locked { .. })));
//!
//! let path = dir.path().join("greeting");
//! write_whole(&path, |out| out.write_all(b"hello"))?;
//! let hash = hash_file(&path)?;
//! let failed = write_whole(&path, |_| Err(std::io::Error::other("no more ink")));
//! assert!(failed.is_err() && hash_file(&path)? == hash); // the old file is still there
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `whole` | [`write_whole`], [`write_whole_by`], [`move_folder`] |
//! | `hash` | [`hash_file`] |
//! | `json` | [`write_json`], [`write_json_line`], [`read_json`], [`hash_json`] |
//! | `lock` | [`FolderLock`] |

mod error;
mod hash;
mod json;
mod lock;
mod whole;

pub use error::FileError;
pub use hash::hash_file;
pub use json::{hash_json, read_json, write_json, write_json_line};
pub use lock::FolderLock;
pub use whole::{move_folder, write_whole, write_whole_by};
