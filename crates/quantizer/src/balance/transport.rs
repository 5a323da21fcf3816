//! The last rows over capacity, moved along shortest paths.
//!
//! Successive shortest paths for the minimum-cost flow from rows to codes (Ahuja, Magnanti and
//! Orlin 1993, §9.7), on a graph with a node for each code instead of one for each row: an edge
//! from `a` to `b` is the row of `a` that moves to `b` at the least cost. Prices are the
//! potentials. One more node, the pool, passes the right to hold one row above the floor from code
//! to code, if the rows do not divide evenly.

use super::moves::Moves;
use super::shortlist::Lists;

/// Assigns the rows of one group after the other; keeps its memory in between.
#[derive(Debug)]
pub(super) struct Transport {
    moves: Moves,
    /// Rows that each code is to hold: the floor, or one more.
    quota: Vec<usize>,
    search: Search,
}

/// Shortest paths from one code; index `K` is the pool.
#[derive(Debug)]
struct Search {
    distance: Vec<f64>,
    from: Vec<usize>,
    done: Vec<bool>,
    visited: Vec<usize>,
}

impl Transport {
    pub(super) fn new(codes: usize) -> Self {
        Self {
            moves: Moves::new(codes),
            quota: vec![0; codes],
            search: Search {
                distance: vec![f64::INFINITY; codes + 1],
                from: vec![usize::MAX; codes + 1],
                done: vec![false; codes + 1],
                visited: Vec::new(),
            },
        }
    }

    /// Writes the assignment of least cost among those with all sizes within capacity, starting
    /// from `prices`, which become those of that assignment. Returns the rows above capacity for
    /// which no path over the lists exists, or none was found within the budget of work.
    ///
    /// Costs that differ by no more than `noise` count as equal.
    pub(super) fn solve(
        &mut self,
        lists: &Lists<'_>,
        prices: &mut [f64],
        noise: f64,
        chosen: &mut [u32],
    ) -> usize {
        let codes = prices.len();
        let (floor, extra) = (chosen.len() / codes, chosen.len() % codes);
        lists.cheapest(prices, chosen);
        // Looking at rows takes most of the time. A budget in this unit gives the same results on
        // every machine.
        self.moves.begin(chosen, (64 * lists.num_entries()).max(1 << 26));
        let range = floor..=floor + usize::from(extra > 0);
        let flat = prices.windows(2).all(|pair| (pair[0] - pair[1]).abs() <= 0.0);
        if flat && (0..codes).all(|code| range.contains(&self.moves.size(code))) {
            return 0;
        }
        // The codes that rows value most may hold one more: complementary slackness of the pool.
        let mut rank: Vec<usize> = (0..codes).collect();
        rank.sort_unstable_by(|a, b| {
            let size = |code: usize| self.moves.size(code);
            prices[*b].total_cmp(&prices[*a]).then(size(*b).cmp(&size(*a))).then(a.cmp(b))
        });
        for (place, code) in rank.iter().enumerate() {
            self.quota[*code] = floor + usize::from(place < extra);
        }
        let mut pool = if extra > 0 { prices[rank[extra - 1]] } else { f64::NAN };
        let mut left = 0;
        for source in 0..codes {
            while self.moves.size(source) > self.quota[source] {
                if self.moves.is_spent() {
                    left += self.moves.size(source) - self.quota[source];
                    break;
                }
                let Some(sink) = self.search(lists, prices, pool, source, floor, extra) else {
                    left += self.moves.size(source) - self.quota[source];
                    break;
                };
                let reach = self.search.distance[sink];
                for node in &self.search.visited {
                    let rise = (reach - self.search.distance[*node]).max(0.0);
                    match prices.get_mut(*node) {
                        Some(price) => *price += rise,
                        None => pool += rise,
                    }
                }
                self.push(lists, source, sink, noise);
            }
        }
        for (code, members) in (0..).zip(self.moves.members()) {
            for row in members {
                chosen[*row as usize] = code;
            }
        }
        left
    }

    /// The nearest code that holds less than its quota, by reduced cost.
    #[allow(clippy::too_many_arguments, reason = "the state of one search")]
    fn search(
        &mut self,
        lists: &Lists<'_>,
        prices: &[f64],
        pool: f64,
        source: usize,
        floor: usize,
        extra: usize,
    ) -> Option<usize> {
        let codes = prices.len();
        let search = &mut self.search;
        search.distance.fill(f64::INFINITY);
        search.done.fill(false);
        search.visited.clear();
        search.distance[source] = 0.0;
        let has_room = |code| code < codes && self.moves.size(code) < self.quota[code];
        let room: Vec<bool> = (0..=codes).map(has_room).collect();
        // Nothing beyond the nearest code with room is looked at.
        let mut nearest = f64::INFINITY;
        loop {
            let mut node = usize::MAX;
            let mut reach = f64::INFINITY;
            for (at, (distance, done)) in search.distance.iter().zip(&search.done).enumerate() {
                if !*done && *distance < reach {
                    (node, reach) = (at, *distance);
                }
            }
            if node == usize::MAX {
                return None;
            }
            if room[node] {
                return Some(node);
            }
            search.done[node] = true;
            search.visited.push(node);
            let mut relax = |to: usize, cost: f64, exact: bool| {
                let distance = reach + cost.max(0.0);
                let nearer = distance < search.distance[to] && distance < nearest;
                if nearer && exact {
                    search.distance[to] = distance;
                    search.from[to] = node;
                    if room[to] {
                        nearest = distance;
                    }
                }
                nearer
            };
            if node == codes {
                for to in (0..codes).filter(|to| self.quota[*to] > floor) {
                    relax(to, prices[to] - pool, true);
                }
                continue;
            }
            if extra > 0 && self.quota[node] == floor {
                relax(codes, pool - prices[node], true);
            }
            self.moves.cheapest(lists, node, |to, cost, exact| {
                relax(to, cost + prices[to] - prices[node], exact)
            });
        }
    }

    /// Moves rows along the path that was found: one, or as many as tie on each of its edges.
    fn push(&mut self, lists: &Lists<'_>, source: usize, sink: usize, noise: f64) {
        let codes = self.quota.len();
        let mut path = vec![sink];
        while let Some(last) = path.last()
            && *last != source
        {
            path.push(self.search.from[*last]);
        }
        path.reverse();
        let surplus = self.moves.size(source) - self.quota[source];
        let mut units = surplus.min(self.quota[sink] - self.moves.size(sink));
        if path.contains(&codes) {
            units = 1;
        }
        // Rows to move for each step of the path.
        let mut moving: Vec<(usize, usize, Vec<u32>)> = Vec::new();
        for step in path.windows(2) {
            let (from, to) = (step[0], step[1]);
            if from == codes {
                self.quota[to] -= 1;
            } else if to == codes {
                self.quota[from] += 1;
            } else {
                let rows = self.moves.rows(lists, from, to, units, noise);
                units = units.min(rows.len());
                moving.push((from, to, rows));
            }
        }
        for (from, to, rows) in moving {
            for row in rows.into_iter().take(units) {
                self.moves.shift(lists, row, from, to);
            }
        }
    }
}
