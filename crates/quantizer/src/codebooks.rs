//! The fitted codebooks: rows to codes and back.

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use sidereal_sid::{Code, SidSpec};

use crate::QuantizerError;
use crate::assign::Scratch;
use crate::rows::{BLOCK, Residuals, Table, check, check_width};

/// A codebook `[K, D]` for each of `L` levels; each level quantises the residuals of the levels
/// before.
#[derive(Debug, Clone, PartialEq)]
pub struct Codebooks {
    tables: Vec<Table>,
    width: usize,
}

impl Codebooks {
    /// Codebooks of these centroids, coarsest first.
    ///
    /// # Shapes
    /// - `levels`: `[K_l, D]` each, one `D` for all
    ///
    /// # Errors
    /// [`QuantizerError::Sizes`] for no level or a size that a [`SidSpec`] rejects,
    /// [`QuantizerError::EmptyMatrix`] and [`QuantizerError::NotFinite`] for such centroids, and
    /// [`QuantizerError::Width`] if levels differ in `D`.
    pub fn new(levels: Vec<Array2<f32>>) -> Result<Self, QuantizerError> {
        SidSpec::new(levels.iter().map(Array2::nrows).collect(), 0)?;
        let expected = levels[0].ncols(); // a spec has at least one level
        let mut tables = Vec::with_capacity(levels.len());
        for level in levels {
            check(&level.view())?;
            if level.ncols() != expected {
                return Err(QuantizerError::Width { found: level.ncols(), expected });
            }
            tables.push(Table::new(level.iter().copied().collect(), expected));
        }
        Ok(Self { tables, width: expected })
    }

    pub(crate) fn from_tables(tables: Vec<Table>, width: usize) -> Self {
        Self { tables, width }
    }

    pub(crate) fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// Number of levels `L`.
    #[must_use]
    pub fn num_levels(&self) -> usize {
        self.tables.len()
    }

    /// Width `D` of rows and centroids.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Number of codes `K` of each level.
    #[must_use]
    pub fn sizes(&self) -> Vec<usize> {
        self.tables.iter().map(Table::len).collect()
    }

    /// The centroids `[K, D]` of a level; `None` beyond the last.
    #[must_use]
    pub fn level(&self, level: usize) -> Option<ArrayView2<'_, f32>> {
        let table = self.tables.get(level)?;
        ArrayView2::from_shape((table.len(), self.width), &table.values).ok()
    }

    /// The codes of each row, nearest centroid by nearest centroid, ties to the lowest code.
    ///
    /// ```text
    /// code[l] = argmin_k ‖r[l] - c[l, k]‖²        r[0] = x,  r[l + 1] = r[l] - c[l, code[l]]
    /// ```
    ///
    /// # Shapes
    /// - `rows`: `[N, D]`; returns `[N, L]`
    ///
    /// # Errors
    /// [`QuantizerError::EmptyMatrix`], [`QuantizerError::NotFinite`], which names the row, and
    /// [`QuantizerError::Width`].
    pub fn encode(&self, rows: ArrayView2<'_, f32>) -> Result<Array2<Code>, QuantizerError> {
        check(&rows)?;
        check_width(&rows, self)?;
        let mut codes = Array2::zeros((rows.nrows(), self.num_levels()));
        let residuals = Residuals { matrix: rows, before: &[] };
        codes
            .axis_chunks_iter_mut(ndarray::Axis(0), BLOCK)
            .into_par_iter()
            .enumerate()
            .for_each_init(
                || (Scratch::default(), Vec::new()),
                |(scratch, block), (index, mut codes)| {
                    let indices: Vec<usize> = residuals.block_range(index).collect();
                    residuals.gather(&indices, block);
                    for (table, mut codes) in self.tables.iter().zip(codes.columns_mut()) {
                        let nearest = scratch.nearest(block, table);
                        for ((row, code), nearest) in
                            block.chunks_exact_mut(self.width).zip(&mut codes).zip(nearest)
                        {
                            *code = to_code(*nearest);
                            let centroid = table.centroid(*code);
                            row.iter_mut().zip(centroid).for_each(|(v, c)| *v -= c);
                        }
                    }
                },
            );
        Ok(codes)
    }

    /// The sum of the chosen centroids of each row: the rows that the codes stand for.
    ///
    /// # Shapes
    /// - `codes`: `[N, L']` with `L' <= L`, the coarsest levels; returns `[N, D]`
    ///
    /// # Errors
    /// [`QuantizerError::Levels`] for more levels than there are codebooks, and
    /// [`QuantizerError::Code`].
    pub fn decode(&self, codes: ArrayView2<'_, Code>) -> Result<Array2<f32>, QuantizerError> {
        check_codes(codes, &self.sizes())?;
        let mut rows = Array2::zeros((codes.nrows(), self.width));
        for (mut row, codes) in rows.rows_mut().into_iter().zip(codes.rows()) {
            for (table, code) in self.tables.iter().zip(codes) {
                row.iter_mut().zip(table.centroid(*code)).for_each(|(v, c)| *v += c);
            }
        }
        Ok(rows)
    }
}

/// Codebooks have at most 65536 codes: every index of one fits.
pub(crate) fn to_code(index: u32) -> Code {
    Code::try_from(index).unwrap_or(Code::MAX)
}

/// Rejects codes outside codebooks of these sizes, or with more levels than there are codebooks.
pub(crate) fn check_codes(
    codes: ArrayView2<'_, Code>,
    sizes: &[usize],
) -> Result<(), QuantizerError> {
    if codes.ncols() > sizes.len() {
        return Err(QuantizerError::Levels { found: codes.ncols(), expected: sizes.len() });
    }
    for (row, codes) in codes.rows().into_iter().enumerate() {
        for (level, (code, size)) in codes.iter().zip(sizes).enumerate() {
            if usize::from(*code) >= *size {
                return Err(QuantizerError::Code { row, level, code: *code, size: *size });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn codebooks() -> Codebooks {
        Codebooks::new(vec![array![[0.0, 0.0], [10.0, 0.0]], array![[1.0, 0.0], [0.0, 1.0]]])
            .unwrap()
    }

    #[test]
    fn codes_follow_residuals() {
        // (10.2, 0.9): nearest of level 0 is (10, 0), leaving (0.2, 0.9), nearest (0, 1).
        let codes = codebooks().encode(array![[10.2, 0.9], [0.8, 0.1]].view()).unwrap();
        assert_eq!(codes, array![[1, 1], [0, 0]]);
        assert_eq!(codebooks().decode(codes.view()).unwrap(), array![[10.0, 1.0], [1.0, 0.0]]);
    }

    #[test]
    fn ties_go_to_the_lowest_code() {
        let codebooks = Codebooks::new(vec![array![[1.0], [1.0], [-1.0]]]).unwrap();
        assert_eq!(codebooks.encode(array![[1.0], [0.0]].view()).unwrap(), array![[0], [0]]);
    }

    #[test]
    fn a_code_outside_its_codebook_is_named() {
        assert!(matches!(
            codebooks().decode(array![[0, 1], [1, 2]].view()),
            Err(QuantizerError::Code { row: 1, level: 1, code: 2, size: 2 })
        ));
    }

    #[test]
    fn a_row_that_is_not_finite_is_named() {
        assert!(matches!(
            codebooks().encode(array![[0.0, 1.0], [1.0, f32::NAN]].view()),
            Err(QuantizerError::NotFinite { row: 1, column: 1, .. })
        ));
    }

    #[test]
    fn rows_of_another_width_are_refused() {
        assert!(matches!(
            codebooks().encode(array![[0.0]].view()),
            Err(QuantizerError::Width { found: 1, expected: 2 })
        ));
    }
}
