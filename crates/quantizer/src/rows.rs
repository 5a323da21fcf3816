//! Rows of a matrix, minus what earlier levels already explain.

use std::ops::Range;

use ndarray::{ArrayView2, Axis};
use rayon::prelude::*;
use sidereal_sid::Code;

use crate::{Codebooks, QuantizerError};

/// Rows handled together: large enough for the matrix product, small enough for the cache.
pub(crate) const BLOCK: usize = 512;

/// A level's residuals, computed block by block: `x[i] - Σ_l codebook_l[code_l[i]]`.
///
/// Nothing of the size of the matrix is held, so a mapped matrix may exceed memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Residuals<'a> {
    pub(crate) matrix: ArrayView2<'a, f32>,
    /// Codebooks of the levels before, with the codes of all rows at each of them.
    pub(crate) before: &'a [(Table, Vec<Code>)],
}

/// A codebook with the squared norms of its centroids.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Table {
    pub(crate) values: Vec<f32>,
    pub(crate) norms: Vec<f32>,
    pub(crate) width: usize,
}

impl Table {
    pub(crate) fn new(values: Vec<f32>, width: usize) -> Self {
        let norms = values.chunks_exact(width).map(square).collect();
        Self { values, norms, width }
    }

    pub(crate) fn len(&self) -> usize {
        self.norms.len()
    }

    /// The centroid of a code of the codebook, which codes from outside are checked to be.
    pub(crate) fn centroid(&self, code: Code) -> &[f32] {
        let start = usize::from(code) * self.width;
        &self.values[start..start + self.width]
    }
}

/// Squared norm of a row, summed in `f64`.
#[allow(clippy::cast_possible_truncation, reason = "a norm of f32 values is wanted as f32")]
pub(crate) fn square(row: &[f32]) -> f32 {
    square_f64(row) as f32
}

/// Squared norm of a row, summed in `f64`.
pub(crate) fn square_f64(row: &[f32]) -> f64 {
    sum_lanes(row, row, |a, b| f64::from(a) * f64::from(b))
}

/// Squared distance of two rows, summed in `f64`.
pub(crate) fn distance(a: &[f32], b: &[f32]) -> f64 {
    sum_lanes(a, b, |a, b| f64::from(a - b) * f64::from(a - b))
}

/// `Σ term(a[d], b[d])` in eight running sums, which the compiler keeps in registers.
fn sum_lanes(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f64) -> f64 {
    const LANES: usize = 8;
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f64 =
        a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(a, b)| term(*a, *b)).sum();
    let mut lanes = [0.0; LANES];
    for (a, b) in a_chunks.zip(b_chunks) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += term(*a, *b);
        }
    }
    lanes.iter().sum::<f64>() + rest
}

impl<'a> Residuals<'a> {
    pub(crate) fn num_rows(&self) -> usize {
        self.matrix.nrows()
    }

    pub(crate) fn width(&self) -> usize {
        self.matrix.ncols()
    }

    pub(crate) fn num_blocks(&self) -> usize {
        self.num_rows().div_ceil(BLOCK)
    }

    pub(crate) fn block_range(&self, block: usize) -> Range<usize> {
        block * BLOCK..((block + 1) * BLOCK).min(self.num_rows())
    }

    /// The residuals of a range of rows, row after row; `buffer` is used if they are not already
    /// stored in this form.
    pub(crate) fn block<'b>(&self, range: Range<usize>, buffer: &'b mut Vec<f32>) -> &'b [f32]
    where
        'a: 'b,
    {
        let matrix = self.matrix;
        let rows = matrix.slice_move(ndarray::s![range.clone(), ..]);
        if self.before.is_empty()
            && let Some(slice) = rows.to_slice()
        {
            return slice;
        }
        buffer.clear();
        for (offset, row) in rows.axis_iter(Axis(0)).enumerate() {
            self.push_residual(range.start + offset, &row, buffer);
        }
        buffer
    }

    /// The residuals of chosen rows, in their order.
    pub(crate) fn gather(&self, rows: &[usize], buffer: &mut Vec<f32>) {
        buffer.clear();
        for row in rows {
            self.push_residual(*row, &self.matrix.row(*row), buffer);
        }
    }

    fn push_residual(&self, row: usize, values: &ndarray::ArrayView1<'_, f32>, out: &mut Vec<f32>) {
        let start = out.len();
        match values.as_slice() {
            Some(slice) => out.extend_from_slice(slice),
            None => out.extend(values.iter()),
        }
        for (table, codes) in self.before {
            for (value, part) in out[start..].iter_mut().zip(table.centroid(codes[row])) {
                *value -= part;
            }
        }
    }

    /// Columns `start..` of one residual, as many as `out` holds.
    pub(crate) fn stripe(&self, row: usize, start: usize, out: &mut [f32]) {
        let values = self.matrix.row(row);
        match values.as_slice() {
            Some(slice) => out.copy_from_slice(&slice[start..start + out.len()]),
            None => out.iter_mut().zip(values.iter().skip(start)).for_each(|(o, v)| *o = *v),
        }
        for (table, codes) in self.before {
            for (value, part) in out.iter_mut().zip(&table.centroid(codes[row])[start..]) {
                *value -= part;
            }
        }
    }
}

/// Rejects a matrix that has no rows or columns, or holds a value that cannot be squared.
pub(crate) fn check(matrix: &ArrayView2<'_, f32>) -> Result<(), QuantizerError> {
    let (rows, columns) = matrix.dim();
    if rows == 0 || columns == 0 {
        return Err(QuantizerError::EmptyMatrix { rows, columns });
    }
    let finite = |row: usize| -> Result<(), QuantizerError> {
        let values = matrix.row(row);
        let norm: f32 = values.iter().map(|v| v * v).sum();
        if norm.is_finite() {
            return Ok(());
        }
        let largest = |a: &(usize, f32), b: &(usize, f32)| a.1.abs().total_cmp(&b.1.abs());
        let worst = values.iter().copied().enumerate().max_by(largest).unwrap_or((0, norm));
        Err(QuantizerError::NotFinite { row, column: worst.0, value: worst.1 })
    };
    let first = (0..rows.div_ceil(BLOCK)).into_par_iter().find_map_first(|block| {
        (block * BLOCK..((block + 1) * BLOCK).min(rows)).find_map(|row| finite(row).err())
    });
    first.map_or(Ok(()), Err)
}

/// Rejects rows whose width is not that of the codebooks.
pub(crate) fn check_width(
    matrix: &ArrayView2<'_, f32>,
    codebooks: &Codebooks,
) -> Result<(), QuantizerError> {
    let (found, expected) = (matrix.ncols(), codebooks.width());
    if found == expected { Ok(()) } else { Err(QuantizerError::Width { found, expected }) }
}
