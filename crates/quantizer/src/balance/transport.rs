//! The last rows over capacity, moved along shortest paths.
//!
//! Successive shortest paths for the minimum-cost flow from rows to codes (Ahuja, Magnanti and
//! Orlin 1993, §9.7), on a graph with a node for each code instead of one for each row: an edge
//! from `a` to `b` is the row of `a` that moves to `b` at the least cost. Prices are the
//! potentials. One more node, the pool, passes the right to hold one row above the floor from
//! code to code, where rows do not divide evenly.

use super::shortlist::Lists;

/// Assigns the rows of one group after the other; keeps its memory in between.
#[derive(Debug)]
pub(super) struct Transport {
    members: Vec<Vec<u32>>,
    /// Rows that each code is to hold: the floor, or one more.
    quota: Vec<usize>,
    /// Outgoing edges of each code; `None` if its members changed since.
    edges: Vec<Option<Vec<Edge>>>,
    search: Search,
    cheapest: Vec<Option<Edge>>,
    /// Entries of lists that may still be looked at.
    budget: usize,
}

/// The cheapest move from a code to another.
#[derive(Debug, Clone, Copy)]
struct Edge {
    to: usize,
    cost: f64,
    /// Position of the row among the members.
    at: usize,
    /// Whether other rows move at the same cost.
    tied: bool,
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
            members: vec![Vec::new(); codes],
            quota: vec![0; codes],
            edges: vec![None; codes],
            search: Search {
                distance: vec![f64::INFINITY; codes + 1],
                from: vec![usize::MAX; codes + 1],
                done: vec![false; codes + 1],
                visited: Vec::new(),
            },
            cheapest: vec![None; codes],
            budget: 0,
        }
    }

    /// Writes the assignment of least cost among those with all sizes within capacity, starting
    /// from `prices`, which become those of that assignment. Returns the rows above capacity that
    /// no path over the lists leads away from, or none that is found within the budget of work.
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
        for members in &mut self.members {
            members.clear();
        }
        self.edges.fill(None);
        for (row, code) in (0..).zip(&*chosen) {
            self.members[*code as usize].push(row);
        }
        let range = floor..=floor + usize::from(extra > 0);
        let flat = prices.windows(2).all(|pair| (pair[0] - pair[1]).abs() <= 0.0);
        if flat && self.members.iter().all(|members| range.contains(&members.len())) {
            return 0;
        }
        // The codes that rows value most may hold one more: complementary slackness of the pool.
        let mut rank: Vec<usize> = (0..codes).collect();
        rank.sort_unstable_by(|a, b| {
            let size = |code: usize| self.members[code].len();
            prices[*b].total_cmp(&prices[*a]).then(size(*b).cmp(&size(*a))).then(a.cmp(b))
        });
        for (place, code) in rank.iter().enumerate() {
            self.quota[*code] = floor + usize::from(place < extra);
        }
        let mut pool = if extra > 0 { prices[rank[extra - 1]] } else { f64::NAN };
        // Rebuilding edges is what takes time; a budget in units of it keeps results the same on
        // every machine.
        self.budget = (64 * lists.num_entries()).max(1 << 26);
        let mut left = 0;
        for source in 0..codes {
            while self.members[source].len() > self.quota[source] {
                if self.budget == 0 {
                    left += self.members[source].len() - self.quota[source];
                    break;
                }
                let Some(sink) = self.search(lists, prices, pool, source, floor, extra, noise)
                else {
                    left += self.members[source].len() - self.quota[source];
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
        for (code, members) in (0..).zip(&self.members) {
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
        noise: f64,
    ) -> Option<usize> {
        let codes = prices.len();
        let search = &mut self.search;
        search.distance.fill(f64::INFINITY);
        search.done.fill(false);
        search.visited.clear();
        search.distance[source] = 0.0;
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
            if node < codes && self.members[node].len() < self.quota[node] {
                return Some(node);
            }
            search.done[node] = true;
            search.visited.push(node);
            let mut relax = |to: usize, cost: f64| {
                let distance = reach + cost.max(0.0);
                if distance < search.distance[to] {
                    search.distance[to] = distance;
                    search.from[to] = node;
                }
            };
            if node == codes {
                for to in (0..codes).filter(|to| self.quota[*to] > floor) {
                    relax(to, prices[to] - pool);
                }
                continue;
            }
            if extra > 0 && self.quota[node] == floor {
                relax(codes, pool - prices[node]);
            }
            let edges = self.edges[node].get_or_insert_with(|| {
                let entries = self.members[node].len() * lists.len();
                self.budget = self.budget.saturating_sub(entries);
                edges(lists, &self.members[node], node, noise, &mut self.cheapest)
            });
            for edge in edges {
                relax(edge.to, edge.cost + prices[edge.to] - prices[node]);
            }
        }
    }

    /// Moves rows along the path that was found: one, or as many as tie on each of its edges.
    fn push(&mut self, lists: &Lists<'_>, source: usize, sink: usize, noise: f64) {
        let codes = self.members.len();
        let mut path = vec![sink];
        while let Some(last) = path.last()
            && *last != source
        {
            path.push(self.search.from[*last]);
        }
        path.reverse();
        let surplus = self.members[source].len() - self.quota[source];
        let mut units = surplus.min(self.quota[sink] - self.members[sink].len());
        if path.contains(&codes) {
            units = 1;
        }
        // Rows to move, by position, for each step of the path.
        let mut moving: Vec<(usize, usize, Vec<usize>)> = Vec::new();
        for step in path.windows(2) {
            let (from, to) = (step[0], step[1]);
            if from == codes {
                self.quota[to] -= 1;
                continue;
            }
            if to == codes {
                self.quota[from] += 1;
                continue;
            }
            let edges = self.edges[from].as_deref().unwrap_or_default();
            let Some(edge) = edges.iter().find(|edge| edge.to == to) else { continue };
            let mut rows = vec![edge.at];
            if units > 1 && edge.tied {
                rows.clear();
                for (at, row) in self.members[from].iter().enumerate() {
                    if rows.len() == units {
                        break;
                    }
                    let cost =
                        |code| lists.row(*row as usize).find(|e| e.0 == code).map(|(_, cost)| cost);
                    if let (Some(here), Some(there)) = (cost(from), cost(to))
                        && there - here <= edge.cost + noise
                    {
                        rows.push(at);
                    }
                }
            }
            units = units.min(rows.len());
            moving.push((from, to, rows));
        }
        let mut arrivals = Vec::new();
        for (from, to, mut rows) in moving {
            rows.truncate(units);
            rows.sort_unstable();
            for at in rows.into_iter().rev() {
                arrivals.push((to, self.members[from].swap_remove(at)));
            }
            self.edges[from] = None;
            self.edges[to] = None;
        }
        for (to, row) in arrivals {
            self.members[to].push(row);
        }
    }
}

/// The cheapest move from a code to each other one.
fn edges(
    lists: &Lists<'_>,
    members: &[u32],
    code: usize,
    noise: f64,
    cheapest: &mut [Option<Edge>],
) -> Vec<Edge> {
    let mut reached = Vec::new();
    for (at, row) in members.iter().enumerate() {
        let entries = lists.row(*row as usize);
        let Some((_, here)) = entries.clone().find(|(other, _)| *other == code) else { continue };
        for (to, cost) in entries.filter(|(to, cost)| *to != code && cost.is_finite()) {
            let cost = cost - here;
            let edge = &mut cheapest[to];
            match edge {
                None => {
                    reached.push(to);
                    *edge = Some(Edge { to, cost, at, tied: false });
                }
                Some(edge) if cost < edge.cost => {
                    let tied = edge.cost - cost <= noise;
                    *edge = Edge { to, cost, at, tied };
                }
                Some(edge) => edge.tied |= cost - edge.cost <= noise,
            }
        }
    }
    reached.into_iter().filter_map(|to| cheapest[to].take()).collect()
}
