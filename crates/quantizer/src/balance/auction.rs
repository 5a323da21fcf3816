//! Raises prices code by code, by just enough that the rows above capacity leave.

use rayon::prelude::*;

use super::shortlist::Lists;

/// Total number of rows to look at, as a multiple of the number of rows.
const LOOKS: usize = 4;

/// Raises the prices of codes above capacity, one after the other, until no more than `enough` rows
/// are too many.
///
/// If rows are close together, their density does not say how far a price must move, but the order
/// of their gaps does. A row that leaves goes to its second code. So every row stays at its
/// cheapest code, and the number of rows above capacity never grows. If a code then has more rows
/// than its capacity, its price is raised next. This is a forward auction (Bertsekas 1988) in which
/// the whole surplus of a code bids at once.
pub(super) fn raise(lists: &Lists<'_>, prices: &mut [f64], enough: usize) {
    let capacity = lists.num_rows().div_ceil(prices.len());
    let mut chosen = vec![0; lists.num_rows()];
    lists.cheapest(prices, &mut chosen);
    let mut members: Vec<Vec<u32>> = vec![Vec::new(); prices.len()];
    for (row, code) in (0..).zip(chosen) {
        members[code as usize].push(row);
    }
    let over = |members: &[u32]| members.len().saturating_sub(capacity);
    let mut excess: usize = members.iter().map(|rows| over(rows)).sum();
    let mut looks = LOOKS * lists.num_rows();
    loop {
        let mut left = false;
        for code in 0..prices.len() {
            let surplus = over(&members[code]);
            if surplus == 0 {
                continue;
            }
            if excess <= enough || looks < members[code].len() {
                return;
            }
            looks -= members[code].len();
            let mut gaps: Vec<(f64, u32, usize)> = members[code]
                .par_iter()
                .with_min_len(1024)
                .map(|row| {
                    let (second, gap) = lists.second(*row as usize, code, prices);
                    (gap, *row, second)
                })
                .collect();
            let order = |a: &(f64, u32, usize), b: &(f64, u32, usize)| {
                a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
            };
            gaps.select_nth_unstable_by(surplus - 1, order);
            // Rows whose list holds no other code stay.
            let leaving = gaps[..surplus].iter().filter(|(gap, ..)| gap.is_finite());
            let rise = leaving.clone().map(|(gap, ..)| *gap).fold(0.0, f64::max);
            for (_, row, second) in leaving {
                let before = over(&members[*second]);
                members[*second].push(*row);
                excess = excess + over(&members[*second]) - before - 1;
                left = true;
            }
            let stay = |(gap, row, _): &(f64, u32, usize)| (!gap.is_finite()).then_some(*row);
            members[code] = gaps[..surplus].iter().filter_map(stay).collect();
            members[code].extend(gaps[surplus..].iter().map(|(_, row, _)| *row));
            prices[code] += rise;
        }
        if !left {
            return;
        }
    }
}
