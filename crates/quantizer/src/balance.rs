//! Codes that are used evenly: each level's k-means under exact capacities.
//!
//! An iteration finds prices of the codes at which rows, each taking the code of least squared
//! distance plus price, spread evenly; then moves the last rows along shortest paths.

mod fill;
mod groups;
mod prices;
mod shortlist;
#[cfg(test)]
mod tests;
mod transport;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use self::groups::Group;
use self::shortlist::Shortlist;
use self::transport::Transport;
use crate::rows::{Residuals, Table};

/// Within what the codes of a level are used evenly.
///
/// Balance holds for the rows that were fitted, [`RqKMeans::codes`](crate::RqKMeans::codes). New
/// rows get their nearest centroids from [`Codebooks::encode`](crate::Codebooks::encode), which
/// knows no capacity, and so do the fitted rows when they are encoded again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
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

/// Most passes over the rows of one assignment: each begins with the prices of the one before.
const PASSES: usize = 6;

/// Assigns rows to codes under capacities, iteration after iteration.
#[derive(Debug)]
pub(crate) struct Balancer {
    /// The rows, group after group.
    order: Vec<usize>,
    groups: Vec<Group>,
    shortlist: Shortlist,
}

impl Balancer {
    /// `None` without capacities.
    pub(crate) fn new(balance: Balance, rows: &Residuals<'_>, codes: usize) -> Option<Self> {
        let (order, groups) = match balance {
            Balance::None => return None,
            Balance::PerLevel => groups::whole(rows, codes),
            Balance::PerParent => groups::by_prefix(rows, codes),
        };
        let shortlist = Shortlist::new(rows.num_rows(), codes);
        Some(Self { order, groups, shortlist })
    }

    /// A code for each row. Sizes are exact if `exact`; else they are so up to the few rows that
    /// would cost more time than they are worth before the centroids move again.
    pub(crate) fn codes(&mut self, rows: &Residuals<'_>, table: &Table, exact: bool) -> Vec<u32> {
        // Differences of costs below this are rounding.
        let scale = table.norms.iter().map(|norm| f64::from(*norm)).sum::<f64>();
        let noise = 4.0 * f64::from(f32::EPSILON) * scale / table.len() as f64;
        for group in &mut self.groups {
            if let Some(prices) = &mut group.prices {
                prices.follow(table);
            }
        }
        let mut chosen = vec![0u32; self.order.len()];
        for pass in 1..=PASSES {
            self.shortlist.fill(rows, &self.order, &self.groups, table);
            let outcome = self.solve(&mut chosen, table.len(), noise, exact);
            let enough = if exact { outcome.certain } else { outcome.excess * 20 <= chosen.len() };
            if enough || pass == PASSES {
                break;
            }
        }
        if exact {
            fill::fill(rows, &self.order, &self.groups, table, &mut chosen);
        }
        let mut codes = vec![0; chosen.len()];
        for (row, code) in self.order.iter().zip(chosen) {
            codes[*row] = code;
        }
        codes
    }

    fn solve(&mut self, chosen: &mut [u32], codes: usize, noise: f64, exact: bool) -> Outcome {
        let mut rest = chosen;
        let mut work = Vec::with_capacity(self.groups.len());
        for group in &mut self.groups {
            let (own, after) = rest.split_at_mut(group.rows.len());
            rest = after;
            work.push((group, own));
        }
        let shortlist = &self.shortlist;
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
                    // Rows are whole: while centroids still move, half a percent of them above
                    // capacity changes no mean that the next iteration would not change more.
                    let enough = chosen.len() / if exact { 1000 } else { 200 };
                    let mut excess = prices::spread(&lists, prices, enough);
                    if exact {
                        prices::raise(&lists, prices, enough);
                        excess = transport.solve(&lists, prices, noise, chosen);
                    } else {
                        lists.cheapest(prices, chosen);
                    }
                    let certain = excess == 0 && lists.certain(chosen, &before, prices, noise);
                    Outcome { excess, certain }
                },
            )
            .reduce(
                || Outcome { excess: 0, certain: true },
                |a, b| Outcome { excess: a.excess + b.excess, certain: a.certain && b.certain },
            )
    }
}

/// What a pass came to.
#[derive(Debug, Clone, Copy)]
struct Outcome {
    /// Rows above the capacities.
    excess: usize,
    /// Whether no row could gain by a code that was not on its list.
    certain: bool,
}
