//! Nearest centroids of a block of rows.

use rayon::prelude::*;

use crate::product::scaled_dots;
use crate::rows::{Residuals, Table};

/// Codes that one product covers: with a block of rows, the scores stay in the second-level cache.
const CODES: usize = 256;

/// Memory that a thread reuses from block to block.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    rows: Vec<f32>,
    scores: Vec<f32>,
    /// `‖c‖² - 2 x·c` of each row's nearest centroid: its squared distance minus `‖x‖²`.
    best: Vec<f32>,
    code: Vec<u32>,
}

impl Scratch {
    /// The nearest centroid of each row, ties to the lowest code.
    pub(crate) fn nearest(&mut self, rows: &[f32], table: &Table) -> &[u32] {
        let width = table.width;
        let block = rows.len() / width;
        self.best.clear();
        self.best.resize(block, f32::INFINITY);
        self.code.clear();
        self.code.resize(block, 0);
        for (chunk, centroids) in table.values.chunks(CODES * width).enumerate() {
            let codes = centroids.len() / width;
            self.scores.resize(codes * block, 0.0);
            scaled_dots(-2.0, centroids, rows, width, &mut self.scores);
            let norms = &table.norms[chunk * CODES..];
            for ((code, scores), norm) in (0u32..).zip(self.scores.chunks_exact(block)).zip(norms) {
                let code = code + u32::try_from(chunk * CODES).unwrap_or(u32::MAX);
                for ((score, best), nearest) in
                    scores.iter().zip(&mut self.best).zip(&mut self.code)
                {
                    let score = score + norm;
                    let closer = score < *best;
                    *best = if closer { score } else { *best };
                    *nearest = if closer { code } else { *nearest };
                }
            }
        }
        &self.code
    }
}

/// The code of every row: the index of its nearest centroid, ties to the lowest.
///
/// Blocks of rows go to threads; a row's code does not depend on which.
pub(crate) fn nearest_codes(rows: &Residuals<'_>, table: &Table) -> Vec<u32> {
    let blocks: Vec<Vec<u32>> = (0..rows.num_blocks())
        .into_par_iter()
        .map_init(Scratch::default, |scratch, block| {
            let mut buffer = std::mem::take(&mut scratch.rows);
            let codes = scratch.nearest(rows.block(rows.block_range(block), &mut buffer), table);
            let codes = codes.to_vec();
            scratch.rows = buffer;
            codes
        })
        .collect();
    blocks.concat()
}
