//! Decides which branches are read together.

use std::collections::BTreeMap;

/// Branches of at most this length are read together, even if their lengths differ.
const SHORT: usize = 8;

/// Branches of similar length, as a grid with a row for each prompt that has some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grid {
    /// Prompts, ascending, each with its branches; a row may have fewer than `width`.
    pub(super) rows: Vec<(usize, Vec<usize>)>,
    /// Most branches of a row.
    pub(super) width: usize,
    /// Length of the longest branch.
    pub(super) len: usize,
}

/// Arranges branches, each given by its prompt and its length, in grids with bounded padding.
///
/// Lengths of a grid lie within a factor of 4/3 (or are all at most 8), numbers of branches of its
/// prompts within a factor of 2, so that less than 8/3 of the tokens are computed. A grid has no
/// more cells (`width · len` a prompt) than `most_cells`, unless one prompt alone has. Branches of
/// length 0 are in no grid.
pub(super) fn grids(branches: &[(usize, usize)], most_cells: usize) -> Vec<Grid> {
    let mut order: Vec<usize> =
        (0..branches.len()).filter(|branch| branches[*branch].1 > 0).collect();
    order.sort_by_key(|branch| std::cmp::Reverse(branches[*branch].1));
    let mut grids = Vec::new();
    while let Some(longest) = order.first().map(|branch| branches[*branch].1) {
        let alike = |branch: &usize| longest <= SHORT || branches[*branch].1 * 4 > longest * 3;
        let rest = order.split_off(order.partition_point(alike));
        let mut of_prompt: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for branch in std::mem::replace(&mut order, rest) {
            of_prompt.entry(branches[branch].0).or_default().push(branch);
        }
        let mut rows: Vec<(usize, Vec<usize>)> = of_prompt.into_iter().collect();
        rows.sort_by_key(|(_, branches)| std::cmp::Reverse(branches.len()));
        while let Some(width) = rows.first().map(|(_, branches)| branches.len()) {
            let fits = (most_cells / (width * longest)).max(1);
            let wide = rows.partition_point(|(_, branches)| branches.len() * 2 > width);
            let rest = rows.split_off(wide.min(fits));
            let mut rows = std::mem::replace(&mut rows, rest);
            rows.sort_by_key(|(prompt, _)| *prompt);
            grids.push(Grid { rows, width, len: longest });
        }
    }
    grids
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_branch_is_in_one_grid_and_padding_is_bounded(
            branches in prop::collection::vec((0usize..5, 0usize..300), 0..60),
            most_cells in 1usize..5000,
        ) {
            let grids = grids(&branches, most_cells);
            let mut seen: Vec<usize> = Vec::new();
            for grid in &grids {
                let of_row = |row: &(usize, Vec<usize>)| row.1.clone();
                let members: Vec<usize> = grid.rows.iter().flat_map(of_row).collect();
                prop_assert!(grid.rows.is_sorted_by(|a, b| a.0 < b.0));
                prop_assert_eq!(grid.rows.iter().map(|row| row.1.len()).max(), Some(grid.width));
                for (prompt, of_row) in &grid.rows {
                    prop_assert!(of_row.iter().all(|branch| branches[*branch].0 == *prompt));
                }
                let lens: Vec<usize> = members.iter().map(|branch| branches[*branch].1).collect();
                prop_assert!(lens.iter().all(|len| *len <= grid.len && *len > 0));
                let cells = grid.rows.len() * grid.width * grid.len;
                prop_assert!(grid.rows.len() == 1 || cells <= most_cells);
                let real: usize = lens.iter().sum();
                prop_assert!(grid.len <= SHORT || cells * 3 < real * 8, "{cells} of {real}");
                seen.extend(members);
            }
            seen.sort_unstable();
            let wanted: Vec<usize> = (0..branches.len()).filter(|b| branches[*b].1 > 0).collect();
            prop_assert_eq!(seen, wanted);
        }
    }

    #[test]
    fn semantic_ids_of_different_lengths_are_one_grid() {
        let branches = [(0, 2), (0, 2), (1, 3), (1, 1)];
        assert_eq!(grids(&branches, 100).len(), 1);
    }
}
