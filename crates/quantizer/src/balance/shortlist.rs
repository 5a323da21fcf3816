//! The cheapest codes of each row: all that an assignment under capacities looks at.

use std::ops::Range;

use rayon::prelude::*;

use super::groups::{Group, Prices};
use super::prices::Tally;
use crate::product::scaled_dots;
use crate::rows::{Residuals, Table};

/// Smallest number of codes kept for each row. All codes are kept if this takes no more than
/// `ENTRIES` in total.
const LEAST: usize = 32;
const ENTRIES: usize = 1 << 18;
/// Scores held at once by a thread: they stay in the second-level cache.
const SCORES: usize = 1 << 17;
/// Largest number of steps of the search for the bound of a list.
const STEPS: usize = 24;

/// `len` entries for each row, a fixed multiple of the rows whatever the number of codes.
#[derive(Debug)]
pub(super) struct Shortlist {
    /// `‖c‖² - 2 x·c`: the squared distance minus `‖x‖²`, `[N, len]`.
    costs: Vec<f32>,
    /// The code of each entry, `[N, len]`.
    codes: Vec<u16>,
    /// Lower bound of the cost, with its price, of a code that is not on the list of a row, `[N]`.
    floor: Vec<f32>,
    len: usize,
}

/// The entries of a group's rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lists<'a> {
    costs: &'a [f32],
    codes: &'a [u16],
    floor: &'a [f32],
    len: usize,
}

impl Shortlist {
    pub(super) fn new(rows: usize, codes: usize) -> Self {
        let len = codes.min(LEAST.max(ENTRIES / rows));
        let entries = rows * len;
        Self { costs: vec![0.0; entries], codes: vec![0; entries], floor: vec![0.0; rows], len }
    }

    pub(super) fn lists(&self, rows: Range<usize>) -> Lists<'_> {
        let entries = rows.start * self.len..rows.end * self.len;
        Lists {
            costs: &self.costs[entries.clone()],
            codes: &self.codes[entries],
            floor: &self.floor[rows],
            len: self.len,
        }
    }

    /// Scores every row against every code and keeps the entries that are cheapest with the
    /// prices of its group.
    pub(super) fn fill(
        &mut self,
        rows: &Residuals<'_>,
        order: &[usize],
        groups: &[Group],
        table: &Table,
    ) {
        let (codes, len) = (table.len(), self.len);
        let block = (SCORES / codes).clamp(8, 512);
        self.costs
            .par_chunks_mut(block * len)
            .zip(self.codes.par_chunks_mut(block * len))
            .zip(self.floor.par_chunks_mut(block))
            .zip(order.par_chunks(block))
            .enumerate()
            .for_each_init(
                || (Vec::new(), vec![0.0; block * codes], Selection::default()),
                |(values, scores, selection), (index, (((costs, names), floor), order))| {
                    rows.gather(order, values);
                    let scores = &mut scores[..order.len() * codes];
                    scaled_dots(-2.0, values, &table.values, table.width, scores);
                    selection.width = 0.0;
                    let mut group = groups.partition_point(|g| g.rows.end <= index * block);
                    selection.price(groups[group].prices.as_ref(), codes);
                    for (at, scores) in scores.chunks_exact_mut(codes).enumerate() {
                        if groups[group].rows.end <= index * block + at {
                            group += 1;
                            selection.price(groups[group].prices.as_ref(), codes);
                        }
                        for (score, norm) in scores.iter_mut().zip(&table.norms) {
                            // Squares near the largest f32 may have overflowed.
                            *score = (*score + norm).clamp(f32::MIN / 8.0, f32::MAX / 8.0);
                        }
                        let entries = at * len..(at + 1) * len;
                        let (costs, names) = (&mut costs[entries.clone()], &mut names[entries]);
                        floor[at] = selection.keep(scores, costs, names);
                    }
                },
            );
    }
}

/// Memory to choose the entries of a row with.
#[derive(Debug, Default)]
struct Selection {
    prices: Vec<f32>,
    priced: Vec<f32>,
    /// How far above the least score the list of the row before reaches.
    width: f32,
}

impl Selection {
    #[allow(clippy::cast_possible_truncation, reason = "costs are f32")]
    fn price(&mut self, prices: Option<&Prices>, codes: usize) {
        self.prices.clear();
        match prices {
            Some(prices) => self.prices.extend(prices.now.iter().map(|price| *price as f32)),
            None => self.prices.resize(codes, 0.0),
        }
    }

    /// Writes the cheapest entries, as many as fit, and returns a lower bound of the cost of all
    /// others. Unused entries get an infinite cost.
    fn keep(&mut self, scores: &[f32], costs: &mut [f32], names: &mut [u16]) -> f32 {
        let len = costs.len();
        if len == scores.len() {
            costs.copy_from_slice(scores);
            names.iter_mut().zip(0..=u16::MAX).for_each(|(name, code)| *name = code);
            return f32::INFINITY;
        }
        self.priced.clear();
        self.priced.extend(scores.iter().zip(&self.prices).map(|(score, price)| score + price));
        let least = lane_min(&self.priced);
        // A bound that few more than half of the list pass, from the one of the row before.
        let (mut low, mut high) = (0.0, f32::INFINITY);
        let mut width = if self.width > 0.0 { self.width } else { least.abs().max(1e-20) };
        for _ in 0..STEPS {
            let bound = least + width;
            let passing = count_up_to(&self.priced, bound);
            if passing > len {
                high = width;
            } else {
                low = width;
                if passing * 4 >= len * 3 {
                    break;
                }
            }
            width = if high.is_finite() { 0.5 * (low + high) } else { 2.0 * width };
        }
        self.width = low;
        let bound = least + low;
        let mut found = 0;
        for (part, start) in self.priced.chunks(16).zip((0..=u16::MAX).step_by(16)) {
            if !part.iter().any(|score| *score <= bound) {
                continue;
            }
            for (score, code) in part.iter().zip(start..=u16::MAX) {
                if *score <= bound && found < len {
                    costs[found] = scores[usize::from(code)];
                    names[found] = code;
                    found += 1;
                }
            }
        }
        costs[found..].fill(f32::INFINITY);
        bound
    }
}

/// How many values are at most `bound`.
fn count_up_to(values: &[f32], bound: f32) -> usize {
    let mut lanes = [0u32; 16];
    for part in values.chunks(16) {
        for (lane, value) in lanes.iter_mut().zip(part) {
            *lane += u32::from(*value <= bound);
        }
    }
    lanes.into_iter().sum::<u32>() as usize
}

/// The least of some values.
fn lane_min(values: &[f32]) -> f32 {
    let mut lanes = [f32::INFINITY; 16];
    for part in values.chunks(16) {
        for (lane, value) in lanes.iter_mut().zip(part) {
            *lane = lane.min(*value);
        }
    }
    lanes.into_iter().fold(f32::INFINITY, f32::min)
}

impl<'a> Lists<'a> {
    pub(super) fn num_rows(&self) -> usize {
        self.floor.len()
    }

    pub(super) fn num_entries(&self) -> usize {
        self.costs.len()
    }

    /// Entries of one row.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The lists of consecutive rows, `rows` at a time.
    pub(super) fn chunks(self, rows: usize) -> impl IndexedParallelIterator<Item = Lists<'a>> {
        let len = self.len;
        let costs = self.costs.par_chunks(rows * len).zip(self.codes.par_chunks(rows * len));
        costs.zip(self.floor.par_chunks(rows)).map(move |((costs, codes), floor)| Lists {
            costs,
            codes,
            floor,
            len,
        })
    }

    /// The codes of a row with their costs.
    pub(super) fn row(&self, row: usize) -> impl Iterator<Item = (usize, f64)> + Clone + 'a {
        let entries = row * self.len..(row + 1) * self.len;
        let codes = self.codes[entries.clone()].iter().map(|code| usize::from(*code));
        codes.zip(self.costs[entries].iter().map(|cost| f64::from(*cost)))
    }

    /// What a row costs at a code; `None` for a code outside its list.
    pub(super) fn cost(&self, row: usize, code: usize) -> Option<f64> {
        let entries = row * self.len..(row + 1) * self.len;
        let at = self.codes[entries.clone()].iter().position(|name| usize::from(*name) == code)?;
        Some(f64::from(self.costs[entries][at])).filter(|cost| cost.is_finite())
    }

    /// The codes of every row with their costs, row by row.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&'a [u16], &'a [f32])> {
        self.codes.chunks_exact(self.len).zip(self.costs.chunks_exact(self.len))
    }

    /// Mean over rows of a lower bound of how much more a code outside the list costs than the
    /// cheapest code.
    pub(super) fn span(&self, prices: &[f64]) -> f64 {
        if self.floor.iter().any(|floor| floor.is_infinite()) {
            return f64::INFINITY;
        }
        let spans: Vec<f64> = (0..self.num_rows())
            .into_par_iter()
            .with_min_len(1024)
            .map(|row| {
                let least = self.row(row).map(|(code, cost)| cost + prices[code]);
                f64::from(self.floor[row]) - least.fold(f64::INFINITY, f64::min)
            })
            .collect();
        spans.iter().sum::<f64>() / self.num_rows() as f64
    }

    /// The code of each row that is cheapest with its price, ties to the lowest code.
    pub(super) fn cheapest(&self, prices: &[f64], chosen: &mut [u32]) {
        chosen.par_iter_mut().enumerate().with_min_len(1024).for_each(|(row, chosen)| {
            let entries = row * self.len..(row + 1) * self.len;
            let (codes, costs) = (&self.codes[entries.clone()], &self.costs[entries]);
            let score = |at: usize| f64::from(costs[at]) + prices[usize::from(codes[at])];
            // Every row lists at least one code.
            let mut best = 0;
            for at in 1..codes.len() {
                let (own, least) = (score(at), score(best));
                if own < least || (own <= least && codes[at] < codes[best]) {
                    best = at;
                }
            }
            *chosen = u32::from(codes[best]);
        });
    }

    /// How rows choose at these prices.
    pub(super) fn tally(&self, prices: &[f32], band: f64) -> Tally {
        let parts = self.chunks(self.num_rows().div_ceil(64).max(4096)).map(|lists| {
            let mut part = Tally::new(prices.len(), band);
            for (codes, costs) in lists.rows() {
                let (mut first, mut second) = ((f32::INFINITY, 0), (f32::INFINITY, 0));
                for (code, cost) in codes.iter().zip(costs) {
                    let score = (cost + prices[usize::from(*code)], *code);
                    if score.0 < second.0 {
                        if score.0 < first.0 {
                            (first, second) = (score, first);
                        } else {
                            second = score;
                        }
                    }
                }
                if part.add(first.1.into(), second.0 - first.0) {
                    part.meet(first.1.into(), second.1.into());
                }
            }
            part
        });
        Tally::total(prices.len(), band, parts.collect())
    }

    /// The code of a row that is cheapest after its own, and how much more it costs with prices.
    pub(super) fn second(&self, row: usize, own: usize, prices: &[f64]) -> (usize, f64) {
        let (mut here, mut code, mut least) = (f64::INFINITY, own, f64::INFINITY);
        for (other, cost) in self.row(row) {
            let score = cost + prices[other];
            if other == own {
                here = here.min(score);
            } else if score < least {
                (code, least) = (other, score);
            }
        }
        (code, least - here)
    }

    /// Whether no code outside a list can be cheaper than the chosen code after the prices have
    /// moved.
    pub(super) fn certain(
        &self,
        chosen: &[u32],
        before: &[f64],
        prices: &[f64],
        noise: f64,
    ) -> bool {
        let fall = before.iter().zip(prices).map(|(a, b)| b - a).fold(f64::INFINITY, f64::min);
        (0..self.num_rows()).into_par_iter().with_min_len(1024).all(|row| {
            let mut own = self.row(row).filter(|(code, _)| *code == chosen[row] as usize);
            own.next().is_some_and(|(code, cost)| {
                cost + prices[code] <= f64::from(self.floor[row]) + fall + noise
            })
        })
    }
}
