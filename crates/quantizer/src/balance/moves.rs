//! The cheapest moves of rows from each code to the others, kept while rows move.

use super::shortlist::Lists;

/// Moves kept for each pair of codes: after one look at all rows of a code, so many of its rows can
/// leave.
const KEPT: usize = 64;

/// Rows by code, and what it costs to move them elsewhere; keeps its memory from group to group.
#[derive(Debug)]
pub(super) struct Moves {
    members: Vec<Vec<u32>>,
    /// The place of each row among the members of its code.
    place: Vec<u32>,
    /// Moves from each code, by the code that they lead to; `None` until they are needed.
    pairs: Vec<Option<Vec<Pair>>>,
    /// The place of a code's pair while pairs are collected.
    found: Vec<usize>,
    /// Entries of lists that may still be looked at.
    budget: usize,
}

/// The cheapest moves from one code to another.
#[derive(Debug, Clone)]
struct Pair {
    to: usize,
    /// Cost of the first move; searches read this most often. If all moves that were kept are used
    /// up, it is a lower bound of the cost of the others, or infinite if there are no others.
    least: f64,
    /// At most [`KEPT`], ascending by cost, then by row.
    moves: Vec<Move>,
    /// Whether these are all moves of the pair.
    whole: bool,
}

/// A row that moves, and what that adds to the total cost.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
struct Move {
    cost: f64,
    row: u32,
}

impl Pair {
    fn new(to: usize) -> Self {
        Self { to, least: f64::INFINITY, moves: Vec::new(), whole: true }
    }

    /// Takes a move in, unless cheaper ones fill the pair.
    fn offer(&mut self, new: Move) {
        let at = self.moves.partition_point(|old| *old < new);
        if at == self.moves.len() && !self.whole {
            return;
        }
        if self.moves.len() == KEPT {
            self.whole = false;
            if at == KEPT {
                return;
            }
            self.moves.pop();
        }
        self.moves.insert(at, new);
        self.least = self.moves[0].cost;
    }

    fn withdraw(&mut self, gone: Move) {
        self.moves.retain(|kept| *kept != gone);
        match self.moves.first() {
            Some(first) => self.least = first.cost,
            None if self.whole => self.least = f64::INFINITY,
            None => {}
        }
    }

    /// Finds the moves again after all that were kept are used up.
    fn refill(&mut self, lists: &Lists<'_>, from: usize, members: &[u32]) {
        (self.least, self.whole) = (f64::INFINITY, true);
        for row in members {
            if let Some(there) = lists.cost(*row as usize, self.to)
                && let Some(here) = lists.cost(*row as usize, from)
            {
                self.offer(Move { cost: there - here, row: *row });
            }
        }
    }

    fn is_exact(&self) -> bool {
        self.whole || !self.moves.is_empty()
    }
}

impl Moves {
    pub(super) fn new(codes: usize) -> Self {
        Self {
            members: vec![Vec::new(); codes],
            place: Vec::new(),
            pairs: vec![None; codes],
            found: vec![usize::MAX; codes],
            budget: 0,
        }
    }

    /// Begins with the rows at their chosen codes, and with a budget of work.
    pub(super) fn begin(&mut self, chosen: &[u32], budget: usize) {
        self.members.iter_mut().for_each(Vec::clear);
        self.pairs.fill(None);
        self.place.clear();
        self.budget = budget;
        for (row, code) in (0..).zip(chosen) {
            let members = &mut self.members[*code as usize];
            self.place.push(u32::try_from(members.len()).unwrap_or(u32::MAX));
            members.push(row);
        }
    }

    /// Whether the budget of list entries is used up.
    pub(super) fn is_spent(&self) -> bool {
        self.budget == 0
    }

    pub(super) fn size(&self, code: usize) -> usize {
        self.members[code].len()
    }

    pub(super) fn members(&self) -> &[Vec<u32>] {
        &self.members
    }

    /// Calls `visit` with each code that a row of `from` can move to, and the least cost. `visit`
    /// says whether the move is useful. Only then, and only if the cost was a bound, are rows
    /// looked at again.
    pub(super) fn cheapest(
        &mut self,
        lists: &Lists<'_>,
        from: usize,
        mut visit: impl FnMut(usize, f64, bool) -> bool,
    ) {
        if self.pairs[from].is_none() {
            self.collect(lists, from);
        }
        let Some(pairs) = &mut self.pairs[from] else { return };
        for pair in pairs {
            let exact = pair.is_exact();
            if pair.least.is_finite() && visit(pair.to, pair.least, exact) && !exact {
                let members = &self.members[from];
                pair.refill(lists, from, members);
                self.budget = self.budget.saturating_sub(members.len() * (1 + lists.len() / 8));
                if pair.least.is_finite() {
                    visit(pair.to, pair.least, true);
                }
            }
        }
    }

    /// The cheapest row to move, and others that cost no more than `noise` beyond it: `units` at
    /// most. Empty if none can move.
    pub(super) fn rows(
        &self,
        lists: &Lists<'_>,
        from: usize,
        to: usize,
        units: usize,
        noise: f64,
    ) -> Vec<u32> {
        let Some(pairs) = &self.pairs[from] else { return Vec::new() };
        let Ok(at) = pairs.binary_search_by_key(&to, |pair| pair.to) else { return Vec::new() };
        let pair = &pairs[at];
        let Some(first) = pair.moves.first() else { return Vec::new() };
        let as_cheap = |cost: f64| cost <= first.cost + noise;
        let tied: Vec<u32> =
            pair.moves.iter().take(units).take_while(|m| as_cheap(m.cost)).map(|m| m.row).collect();
        if tied.len() < pair.moves.len() || tied.len() == units || pair.whole {
            return tied;
        }
        let moves = self.members[from].iter().filter_map(|row| {
            let cost = lists.cost(*row as usize, to)? - lists.cost(*row as usize, from)?;
            as_cheap(cost).then_some(*row)
        });
        moves.take(units).collect()
    }

    /// Moves a row.
    pub(super) fn shift(&mut self, lists: &Lists<'_>, row: u32, from: usize, to: usize) {
        let place = self.place[row as usize] as usize;
        self.members[from].swap_remove(place);
        if let Some(moved) = self.members[from].get(place) {
            self.place[*moved as usize] = self.place[row as usize];
        }
        self.place[row as usize] = u32::try_from(self.members[to].len()).unwrap_or(u32::MAX);
        self.members[to].push(row);
        if let (Some(pairs), Some(here)) = (&mut self.pairs[from], lists.cost(row as usize, from)) {
            for (other, cost) in lists.row(row as usize) {
                let Ok(at) = pairs.binary_search_by_key(&other, |pair| pair.to) else { continue };
                let gone = Move { cost: cost - here, row };
                pairs[at].withdraw(gone);
            }
        }
        if let (Some(pairs), Some(here)) = (&mut self.pairs[to], lists.cost(row as usize, to)) {
            for (other, cost) in lists.row(row as usize) {
                if other == to || !cost.is_finite() {
                    continue;
                }
                let found = pairs.binary_search_by_key(&other, |pair| pair.to);
                let at = found.unwrap_or_else(|at| {
                    pairs.insert(at, Pair::new(other));
                    at
                });
                pairs[at].offer(Move { cost: cost - here, row });
            }
        }
    }

    /// Looks at every entry of a code's rows.
    fn collect(&mut self, lists: &Lists<'_>, from: usize) {
        let mut pairs: Vec<Pair> = Vec::new();
        for row in &self.members[from] {
            let entries = lists.row(*row as usize);
            let Some(here) = lists.cost(*row as usize, from) else { continue };
            for (to, cost) in entries.filter(|(to, cost)| *to != from && cost.is_finite()) {
                if self.found[to] == usize::MAX {
                    self.found[to] = pairs.len();
                    pairs.push(Pair::new(to));
                }
                pairs[self.found[to]].offer(Move { cost: cost - here, row: *row });
            }
        }
        for pair in &pairs {
            self.found[pair.to] = usize::MAX;
        }
        pairs.sort_unstable_by_key(|pair| pair.to);
        self.budget = self.budget.saturating_sub(self.members[from].len() * lists.len());
        self.pairs[from] = Some(pairs);
    }
}
