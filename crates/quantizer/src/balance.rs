//! Codes that are used evenly: each level's k-means under exact capacities.
//!
//! Rows take the code of least squared distance plus price, and prices are such that rows spread
//! evenly. While centroids move, nearly even is enough; the final assignment moves the last rows
//! along shortest paths.

mod auction;
mod fill;
mod groups;
mod held;
mod moves;
mod prices;
mod shortlist;
#[cfg(test)]
mod tests;
mod transport;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use self::auction::raise;
use self::groups::Group;
use self::held::Held;
use self::prices::{Limits, spread};
use self::shortlist::Shortlist;
use self::transport::Transport;
use crate::rows::{BLOCK, Residuals, Table};

/// Within what the codes of a level are used evenly.
///
/// Balance holds for the rows that were fitted, [`RqKMeans::codes`](crate::RqKMeans::codes). New
/// rows get their nearest centroids from [`Codebooks::encode`](crate::Codebooks::encode), which
/// knows no capacity, and so do the fitted rows when they are encoded again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Balance {
    /// Nearest centroids, whatever the sizes.
    #[default]
    None,
    /// Each code of a level has between `⌊N / K⌋` and `⌈N / K⌉` of the `N` rows (SINGER app. B).
    PerLevel,
    /// Below each prefix of the levels before, which `n` rows share, each code has between
    /// `⌊n / K⌋` and `⌈n / K⌉` of them: a balanced tree. While `n <= K` no two of the rows share
    /// a code, so a tree with a leaf for each row has no collisions.
    PerParent,
}

/// Largest number of passes over the rows of the final assignment: each begins with the prices of
/// the one before.
const PASSES: usize = 6;
/// For groups of more rows than this there is no proof that no code outside the lists of the rows
/// would be better, and one row in [`FEW`] may go to the nearest code that has room.
const PROVEN: usize = 1 << 17;
const FEW: usize = 1000;

/// Assigns rows to codes under capacities, iteration after iteration.
#[derive(Debug)]
pub(crate) struct Balancer {
    /// The rows, group after group.
    order: Vec<usize>,
    groups: Vec<Group>,
    held: Held,
}

impl Balancer {
    /// `None` without capacities.
    pub(crate) fn new(balance: Balance, rows: &Residuals<'_>, codes: usize) -> Option<Self> {
        let (order, groups) = match balance {
            Balance::None => return None,
            Balance::PerLevel => groups::whole(rows, codes),
            Balance::PerParent => groups::by_prefix(rows, codes),
        };
        Some(Self { order, groups, held: Held::default() })
    }

    /// A code for each row while centroids still move: sizes are near the capacities, not exact.
    pub(crate) fn near(&mut self, rows: &Residuals<'_>, table: &Table) -> Vec<u32> {
        // Inside the thread pool, so that the many short loops do not have to wake it each time.
        rayon::scope(|_| self.find_near(rows, table))
    }

    fn find_near(&mut self, rows: &Residuals<'_>, table: &Table) -> Vec<u32> {
        self.follow(table);
        let mut chosen = vec![0; self.order.len()];
        let mut rest = chosen.as_mut_slice();
        let mut small = Vec::new();
        for run in self.groups.chunk_by_mut(|a, b| a.prices.is_none() && b.prices.is_none()) {
            let count = run.iter().map(|group| group.rows.len()).sum();
            let start = run[0].rows.start;
            let order = &self.order[start..start + count];
            let (own, after) = rest.split_at_mut(count);
            rest = after;
            match &mut run[0].prices {
                None => held::stream(rows, order, table, &vec![0.0; table.len()], own),
                Some(prices) => {
                    if count <= BLOCK {
                        small.push((prices, order, own));
                    } else {
                        prices.choose(&mut self.held, rows, order, table, own);
                    }
                }
            }
        }
        small.into_par_iter().for_each_init(Held::default, |held, (prices, order, own)| {
            prices.choose(held, rows, order, table, own);
        });
        self.by_row(&chosen)
    }

    /// A code for each row, with exact sizes: the assignment of least cost for groups of up to
    /// [`PROVEN`] rows, near it for larger ones.
    pub(crate) fn exact(&mut self, rows: &Residuals<'_>, table: &Table) -> Vec<u32> {
        // Differences of costs below this are rounding.
        let scale = table.norms.iter().map(|norm| f64::from(*norm)).sum::<f64>();
        let noise = 4.0 * f64::from(f32::EPSILON) * scale / table.len() as f64;
        self.follow(table);
        let mut chosen = vec![0; self.order.len()];
        let mut shortlist = Shortlist::new(self.order.len(), table.len());
        for _ in 0..PASSES {
            shortlist.fill(rows, &self.order, &self.groups, table);
            if self.solve(&shortlist, &mut chosen, table.len(), noise) {
                break;
            }
        }
        fill::fill(rows, &self.order, &self.groups, table, &mut chosen);
        self.by_row(&chosen)
    }

    fn follow(&mut self, table: &Table) {
        for group in &mut self.groups {
            if let Some(prices) = &mut group.prices {
                prices.follow(table);
            }
        }
    }

    /// Codes in the order of the rows, from those in the order of the groups.
    fn by_row(&self, chosen: &[u32]) -> Vec<u32> {
        let mut codes = vec![0; chosen.len()];
        for (row, code) in self.order.iter().zip(chosen) {
            codes[*row] = *code;
        }
        codes
    }

    /// Whether another pass would change little: none for small groups.
    fn solve(
        &mut self,
        shortlist: &Shortlist,
        chosen: &mut [u32],
        codes: usize,
        noise: f64,
    ) -> bool {
        let mut rest = chosen;
        let mut work = Vec::with_capacity(self.groups.len());
        for group in &mut self.groups {
            let (own, after) = rest.split_at_mut(group.rows.len());
            rest = after;
            work.push((group, own));
        }
        work.into_par_iter()
            .map_init(
                || Transport::new(codes),
                |transport, (group, chosen)| {
                    let lists = shortlist.lists(group.rows.clone());
                    let mut own = vec![0.0; codes];
                    let prices = match &mut group.prices {
                        Some(prices) => &mut prices.now,
                        None => &mut own,
                    };
                    let before = prices.clone();
                    // The paths alone are faster where a code has one row.
                    if chosen.len() > codes {
                        let enough = enough(chosen.len(), codes);
                        let reach = lists.span(prices);
                        let limits = Limits { reach, enough, passes: prices::PASSES };
                        let tally = |prices: &[f32], band| lists.tally(prices, band);
                        let found = spread(tally, chosen.len(), prices, None, limits);
                        if found.excess > enough.max(codes) {
                            raise(&lists, prices, enough);
                        }
                    }
                    let left = transport.solve(&lists, prices, noise, chosen);
                    if chosen.len() > PROVEN {
                        return left <= chosen.len() / FEW;
                    }
                    left == 0 && lists.certain(chosen, &before, prices, noise)
                },
            )
            .reduce(|| true, |a, b| a && b)
    }
}

/// Rows that may be above capacity when paths move the last ones.
fn enough(rows: usize, codes: usize) -> usize {
    (rows / 1000).max(codes.min(rows / 200))
}
