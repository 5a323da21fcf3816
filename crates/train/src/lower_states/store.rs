//! Blocks of states by number, in memory and in a file.

use std::path::{Path, PathBuf};

use tch::{Kind, Tensor};

use super::file::BlockFile;
use super::{LowerStatesConfig, i64_of, tensor};
use crate::TrainError;

/// Blocks that get their memory together.
const AT_ONCE: usize = 64;
const MIB: usize = 1 << 20;

/// Blocks `[B, D]`, of which the first are in memory and the others in a file. A block may be shorter than `B`; it takes
/// the room of a whole one.
#[derive(Debug)]
pub(super) struct Store {
    config: LowerStatesConfig,
    block: usize,
    path: PathBuf,
    /// Bytes of a block; 0 until a block has come.
    bytes: usize,
    width: i64,
    /// Memory of 64 blocks each.
    memory: Vec<Tensor>,
    file: Option<BlockFile>,
    len: usize,
}

impl Store {
    /// No blocks, each of `block` tokens at most; a file would be in `dir`.
    pub(super) fn new(config: &LowerStatesConfig, block: usize, dir: &Path) -> Self {
        let path = dir.join("lower-states.bin");
        let (memory, file) = (Vec::new(), None);
        Self { config: config.clone(), block, path, bytes: 0, width: 0, memory, file, len: 0 }
    }

    /// Width `D` of the states.
    pub(super) const fn width(&self) -> i64 {
        self.width
    }

    /// Memory and file that the blocks take, in MiB.
    pub(super) fn mib(&self) -> [f64; 2] {
        let in_memory = self.len.min(self.room(self.config.memory_mib));
        [in_memory, self.len - in_memory].map(|blocks| (blocks * self.bytes) as f64 / MIB as f64)
    }

    /// Adds a block `[n, D]` and returns its number; `None` if there is no room.
    pub(super) fn push(&mut self, block: &Tensor) -> Result<Option<usize>, TrainError> {
        if self.bytes == 0 {
            self.width = block.size()[1];
            let row = usize::try_from(self.width).unwrap_or(0) * self.kind().elt_size_in_bytes();
            self.bytes = self.block * row;
        }
        let number = self.len;
        let in_memory = self.room(self.config.memory_mib);
        if number < in_memory {
            if number.is_multiple_of(AT_ONCE) {
                let count = AT_ONCE.min(in_memory - number);
                let shape = [i64_of(count), i64_of(self.block), self.width];
                let options = (self.kind(), tch::Device::Cpu);
                self.memory.push(Tensor::f_empty(shape, options).map_err(tensor)?);
            }
            self.in_memory(number, block.size()[0]).f_copy_(block).map_err(tensor)?;
        } else if number - in_memory < self.room(self.config.file_mib) {
            let file = match &mut self.file {
                Some(file) => file,
                none => none.insert(BlockFile::create(&self.path)?),
            };
            file.write((number - in_memory) * self.bytes, block)?;
        } else {
            return Ok(None);
        }
        self.len += 1;
        Ok(Some(number))
    }

    /// Copies the first rows of a block into `part` `[n, D]`.
    pub(super) fn read(&mut self, number: usize, part: &mut Tensor) -> Result<(), TrainError> {
        let in_memory = self.room(self.config.memory_mib);
        if number < in_memory {
            return part.f_copy_(&self.in_memory(number, part.size()[0])).map_err(tensor);
        }
        match &mut self.file {
            Some(file) => file.read((number - in_memory) * self.bytes, part),
            None => Ok(()), // no block has such a number
        }
    }

    fn kind(&self) -> Kind {
        self.config.kind.kind()
    }

    /// Blocks that so much memory holds.
    fn room(&self, mib: usize) -> usize {
        mib.saturating_mul(MIB).checked_div(self.bytes).unwrap_or(0)
    }

    /// The first `rows` rows of a block in memory.
    fn in_memory(&self, number: usize, rows: i64) -> Tensor {
        self.memory[number / AT_ONCE].get(i64_of(number % AT_ONCE)).narrow(0, 0, rows)
    }
}
