//! Scores of blocks of rows, and the two cheapest codes of each row at given prices.

use rayon::prelude::*;

use super::prices::Tally;
use crate::product::scaled_dots;
use crate::rows::{BLOCK, Residuals, Table};

/// Largest number of scores that are held at once.
pub(super) const SCORES: usize = 1 << 22;
/// Scores of a block that is not held: they stay in the second-level cache.
const BLOCK_SCORES: usize = 1 << 17;

/// Costs `‖c‖² - 2 x·c` of some rows, block after block, each `[K, B]`: prices are found on them
/// without another matrix product.
#[derive(Debug, Default)]
pub(super) struct Held {
    scores: Vec<f32>,
    codes: usize,
}

impl Held {
    /// Scores the rows of `order` against every code.
    pub(super) fn fill(&mut self, rows: &Residuals<'_>, order: &[usize], table: &Table) {
        self.codes = table.len();
        self.scores.resize(order.len() * self.codes, 0.0);
        let blocks = self.scores.par_chunks_mut(BLOCK * self.codes).zip(order.par_chunks(BLOCK));
        blocks.for_each_init(Vec::new, |values, (scores, order)| {
            rows.gather(order, values);
            score(values, table, scores);
        });
    }

    /// How rows choose at these prices.
    pub(super) fn tally(&self, prices: &[f32], band: f64) -> Tally {
        let blocks = self.scores.par_chunks(BLOCK * self.codes);
        let parts = blocks.map_init(Cheapest::default, |cheapest, scores| {
            let mut part = Tally::new(self.codes, band);
            cheapest.find(scores, prices);
            cheapest.count(scores, prices, &mut part);
            part
        });
        Tally::total(self.codes, band, parts.collect())
    }

    /// The cheapest code of each row.
    pub(super) fn cheapest(&self, prices: &[f32], chosen: &mut [u32]) {
        let blocks = self.scores.par_chunks(BLOCK * self.codes).zip(chosen.par_chunks_mut(BLOCK));
        blocks.for_each_init(Cheapest::default, |cheapest, (scores, chosen)| {
            cheapest.find(scores, prices);
            chosen.copy_from_slice(&cheapest.code);
        });
    }
}

/// Writes the cheapest code of each row at these prices, in one pass that holds no scores.
pub(super) fn stream(
    rows: &Residuals<'_>,
    order: &[usize],
    table: &Table,
    prices: &[f32],
    chosen: &mut [u32],
) {
    let codes = table.len();
    let block = (BLOCK_SCORES / codes).clamp(8, BLOCK);
    let blocks = order.par_chunks(block).zip(chosen.par_chunks_mut(block));
    blocks.for_each_init(
        || (Vec::new(), vec![0.0; block * codes], Cheapest::default()),
        |(values, scores, cheapest), (order, chosen)| {
            let scores = &mut scores[..order.len() * codes];
            rows.gather(order, values);
            score(values, table, scores);
            cheapest.find(scores, prices);
            chosen.copy_from_slice(&cheapest.code);
        },
    );
}

/// Writes `‖c‖² - 2 x·c` of each row and code to `scores` `[K, B]`.
fn score(values: &[f32], table: &Table, scores: &mut [f32]) {
    scaled_dots(-2.0, &table.values, values, table.width, scores);
    let block = values.len() / table.width;
    for (scores, norm) in scores.chunks_exact_mut(block).zip(&table.norms) {
        for score in scores {
            // Squares near the largest f32 may have overflowed.
            *score = (*score + norm).clamp(f32::MIN / 8.0, f32::MAX / 8.0);
        }
    }
}

/// The cheapest code of each row of a block, and how cheap the second is.
#[derive(Debug, Default)]
struct Cheapest {
    first: Vec<f32>,
    second: Vec<f32>,
    code: Vec<u32>,
}

impl Cheapest {
    /// Ties go to the lowest code.
    fn find(&mut self, scores: &[f32], prices: &[f32]) {
        let block = scores.len() / prices.len();
        for values in [&mut self.first, &mut self.second] {
            values.clear();
            values.resize(block, f32::INFINITY);
        }
        self.code.clear();
        self.code.resize(block, 0);
        for ((name, scores), price) in (0u32..).zip(scores.chunks_exact(block)).zip(prices) {
            let best = self.first.iter_mut().zip(&mut self.code);
            for ((score, (first, code)), second) in scores.iter().zip(best).zip(&mut self.second) {
                // Minima and selections, so that a register of rows is handled at a time.
                let cost = score + price;
                let behind = if cost < *first { *first } else { cost };
                *second = if behind < *second { behind } else { *second };
                *code = if cost < *first { name } else { *code };
                *first = if cost < *first { cost } else { *first };
            }
        }
    }

    /// Adds this block's rows to a tally.
    fn count(&self, scores: &[f32], prices: &[f32], tally: &mut Tally) {
        let block = self.code.len();
        for (row, ((code, first), second)) in
            self.code.iter().zip(&self.first).zip(&self.second).enumerate()
        {
            if tally.add(*code, second - first) {
                // Few rows are near a border: theirs is the only second code that is looked for.
                let costs = scores[row..].iter().step_by(block).zip(prices);
                let mut costs = (0u32..).zip(costs.map(|(score, price)| score + price));
                if let Some((other, _)) = costs.find(|(name, c)| name != code && c <= second) {
                    tally.meet(*code, other);
                }
            }
        }
    }
}
