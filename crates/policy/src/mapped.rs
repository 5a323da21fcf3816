//! Files in memory without a copy.

use std::fs;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

use crate::PolicyError;

/// A map, or nothing, since an empty file cannot be mapped.
pub(crate) struct Mapped(Option<Mmap>);

impl Mapped {
    /// The bytes of a file; an empty file has none.
    #[allow(unsafe_code, reason = "mapping a file")]
    pub(crate) fn open(path: &Path) -> Result<Self, PolicyError> {
        let io = |source| PolicyError::Io { path: path.to_owned(), source };
        let file = fs::File::open(path).map_err(io)?;
        if file.metadata().map_err(io)?.len() == 0 {
            return Ok(Self(None));
        }
        // SAFETY: the map is read-only and lives only while its tensors are copied out. If the file is
        // cut short at that moment, this process ends, as with every mapped checkpoint.
        Ok(Self(Some(unsafe { Mmap::map(&file) }.map_err(io)?)))
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}
