//! States in a file. What was read or written lately is in the memory of the system, as for a mapped file.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use tch::Tensor;

use super::tensor;
use crate::TrainError;

/// A file of tensors' bytes, removed when it is dropped.
#[derive(Debug)]
pub(super) struct BlockFile {
    path: PathBuf,
    file: File,
    bytes: Vec<u8>,
}

impl BlockFile {
    /// An empty file; one that an interrupted run left is replaced.
    pub(super) fn create(path: &Path) -> Result<Self, TrainError> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).map_err(io(dir))?;
        }
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path);
        let file = file.map_err(io(path))?;
        Ok(Self { path: path.to_owned(), file, bytes: Vec::new() })
    }

    /// Writes the elements of a tensor at a place in bytes.
    pub(super) fn write(&mut self, at: usize, block: &Tensor) -> Result<(), TrainError> {
        let block = block.f_contiguous().map_err(tensor)?.to_device(tch::Device::Cpu);
        self.bytes.resize(block.numel() * block.kind().elt_size_in_bytes(), 0);
        block.f_copy_data_u8(&mut self.bytes, block.numel()).map_err(tensor)?;
        self.file.seek(SeekFrom::Start(at as u64)).map_err(io(&self.path))?;
        self.file.write_all(&self.bytes).map_err(io(&self.path))
    }

    /// Fills a tensor with the elements at a place in bytes.
    pub(super) fn read(&mut self, at: usize, part: &mut Tensor) -> Result<(), TrainError> {
        self.bytes.resize(part.numel() * part.kind().elt_size_in_bytes(), 0);
        self.file.seek(SeekFrom::Start(at as u64)).map_err(io(&self.path))?;
        self.file.read_exact(&mut self.bytes).map_err(io(&self.path))?;
        let found = Tensor::f_from_data_size(&self.bytes, &part.size(), part.kind());
        part.f_copy_(&found.map_err(tensor)?).map_err(tensor)
    }
}

impl Drop for BlockFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path); // best effort: the next run replaces it
    }
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> TrainError + '_ {
    move |source| TrainError::Io { path: path.to_owned(), source }
}
