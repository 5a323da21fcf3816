//! Exact capacities if no list leads to a code that lacks rows.

use std::collections::BTreeMap;

use super::groups::Group;
use crate::rows::{Residuals, Table, distance};

/// Moves rows from codes above capacity to those below until every group's sizes are exact.
///
/// This is needed for matrices with many equal rows, for codes that are near few rows, for groups
/// too large for a proof, and if the search for paths has used up its budget. The remaining rows of
/// a group go one by one to the cheapest code that has room, which need not be optimal.
pub(super) fn fill(
    rows: &Residuals<'_>,
    order: &[usize],
    groups: &[Group],
    table: &Table,
    chosen: &mut [u32],
) {
    let codes = table.len();
    for group in groups {
        let (order, chosen) = (&order[group.rows.clone()], &mut chosen[group.rows.clone()]);
        let (floor, extra) = (chosen.len() / codes, chosen.len() % codes);
        let mut sizes: BTreeMap<u32, usize> = BTreeMap::new();
        for code in &*chosen {
            *sizes.entry(*code).or_default() += 1;
        }
        // A code that no row has chosen has no rows.
        let size = |code: u32| sizes.get(&code).copied().unwrap_or(0);
        let ceiling = floor + usize::from(extra > 0);
        if (floor == 0 || sizes.len() == codes)
            && sizes.values().all(|size| (floor..=ceiling).contains(size))
        {
            continue;
        }
        let mut names: Vec<u32> = (0..).take(codes).collect();
        names.sort_by_key(|code| std::cmp::Reverse(size(*code)));
        let quota: BTreeMap<u32, usize> = names
            .iter()
            .enumerate()
            .map(|(place, code)| (*code, floor + usize::from(place < extra)))
            .collect();
        let mut room: BTreeMap<u32, usize> = quota
            .iter()
            .map(|(code, quota)| (*code, quota.saturating_sub(size(*code))))
            .filter(|(_, room)| *room > 0)
            .collect();
        let centroid = |code: u32| {
            let start = code as usize * table.width;
            &table.values[start..start + table.width]
        };
        let mut value = Vec::new();
        for (row, code) in order.iter().zip(chosen) {
            let Some(held) = sizes.get_mut(code).filter(|held| **held > quota[code]) else {
                continue;
            };
            *held -= 1;
            rows.gather(&[*row], &mut value);
            let nearest = room
                .keys()
                .map(|code| (distance(&value, centroid(*code)), *code))
                .min_by(|a, b| a.0.total_cmp(&b.0));
            if let Some((_, to)) = nearest {
                *code = to;
                if let Some(left) = room.get_mut(&to) {
                    *left -= 1;
                    if *left == 0 {
                        room.remove(&to);
                    }
                }
            }
        }
    }
}
