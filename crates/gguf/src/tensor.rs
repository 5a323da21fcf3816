//! Tensors: where they are in a file, and their numbers.

use crate::blocks;
use crate::cursor::Cursor;
use crate::element::{ElementType, other_name};
use crate::error::GgufError;

/// A tensor, with its bytes in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor<'a> {
    shape: Vec<usize>,
    kind: ElementType,
    bytes: &'a [u8],
}

/// What a file says of a tensor before its bytes.
#[derive(Debug)]
pub(crate) struct Stated<'a> {
    pub(crate) name: &'a str,
    pub(crate) shape: Vec<usize>,
    pub(crate) kind: ElementType,
    /// From the beginning of the tensors.
    pub(crate) offset: u64,
    /// Number of bytes.
    pub(crate) size: usize,
}

impl<'a> Stated<'a> {
    /// The fewest bytes that a file can state a tensor with: an empty name and one axis.
    pub(crate) const LEAST: usize = 8 + 4 + 8 + 4 + 8;

    pub(crate) fn read(cursor: &mut Cursor<'a>) -> Result<Self, GgufError> {
        const WHAT: &str = "the list of tensors";
        let name = cursor.text("the name of a tensor")?;
        let axes = cursor.u32(WHAT)?;
        if !(1..=4).contains(&axes) {
            return Err(GgufError::Axes { name: name.to_owned(), found: axes });
        }
        let mut stated = (0..axes).map(|_| cursor.u64(WHAT)).collect::<Result<Vec<_>, _>>()?;
        let number = cursor.u32(WHAT)?;
        let offset = cursor.u64(WHAT)?;
        stated.reverse();
        let kind = ElementType::of(number).ok_or_else(|| GgufError::ElementType {
            name: name.to_owned(),
            found: other_name(number),
        })?;
        let sizes = || {
            let shape: Vec<usize> =
                stated.iter().map(|axis| usize::try_from(*axis).ok()).collect::<Option<_>>()?;
            let elements = shape.iter().try_fold(1usize, |all, axis| all.checked_mul(*axis))?;
            // The most bytes that are needed: f32 in memory, or the blocks.
            let most = elements.checked_mul(4)?.checked_next_multiple_of(kind.block_size())?;
            isize::try_from(most).ok()?;
            let size = (elements / kind.block_len()).checked_mul(kind.block_size())?;
            (elements > 0).then_some((shape, size))
        };
        let Some((shape, size)) = sizes() else {
            return Err(GgufError::Shape { name: name.to_owned(), shape: stated });
        };
        let (row, block) = (shape.last().copied().unwrap_or(1), kind.block_len());
        if !row.is_multiple_of(block) {
            return Err(GgufError::Blocks { name: name.to_owned(), row, block });
        }
        Ok(Self { name, shape, kind, offset, size })
    }

    /// The tensor with its bytes in `data`, the part of the file that holds tensors.
    pub(crate) fn find(self, data: &'a [u8], alignment: u64) -> Result<Tensor<'a>, GgufError> {
        let Self { name, shape, kind, offset, size } = self;
        let name = || name.to_owned();
        if !offset.is_multiple_of(alignment) {
            return Err(GgufError::Offset { name: name(), offset, alignment });
        }
        let start = usize::try_from(offset).ok();
        let range = start.and_then(|start| Some(start..start.checked_add(size)?));
        let bytes = range.and_then(|range| data.get(range)).ok_or_else(|| {
            let (size, left) = (size as u64, data.len());
            GgufError::OutOfFile { name: name(), offset, size, left }
        })?;
        Ok(Tensor { shape, kind, bytes })
    }
}

impl<'a> Tensor<'a> {
    /// Sizes of the axes, outermost first, each at least 1.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of elements.
    #[must_use]
    pub fn num_elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// How its numbers are stored.
    #[must_use]
    pub const fn element_type(&self) -> ElementType {
        self.kind
    }

    /// Its bytes in the file.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Its numbers, the last axis fastest.
    ///
    /// They take at most 7.2 times as much memory as the tensor takes of the file. They equal those of `dequantize` in
    /// the Python package `gguf` to the bit.
    #[must_use]
    pub fn to_f32(&self) -> Vec<f32> {
        blocks::to_f32(self.kind, self.bytes)
    }
}
