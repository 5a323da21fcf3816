//! What the pretraining of `S3-Rec` hides.

use rand::Rng as _;

use crate::neural::model::Step;

/// What pretraining hides of a step's rows.
#[derive(Debug, Default)]
pub(crate) struct HiddenLessons {
    /// The rows with some items hidden.
    pub(crate) rows: Vec<Vec<u32>>,
    /// Places in the line of all rows' items, and these items, that are hidden.
    pub(crate) hidden: (Vec<i64>, Vec<u32>),
    /// The same of the shown ones.
    pub(crate) shown: (Vec<i64>, Vec<u32>),
    /// An item for each hidden one that its row does not hold.
    pub(crate) drawn: Vec<i64>,
    /// The rows without a segment; in the next two only its places are shown.
    pub(crate) without: Vec<Vec<u32>>,
    /// The segment alone.
    pub(crate) right: Vec<Vec<u32>>,
    /// A drawn segment alone.
    pub(crate) other: Vec<Vec<u32>>,
}

impl HiddenLessons {
    /// Replaces a share of the items of each row by `mask`, which is also the number of items.
    pub(crate) fn of(rows: &[&[u32]], share: f64, mask: u32, step: &mut Step) -> Self {
        let mut found = Self::default();
        let mut line = 0;
        for (at, row) in rows.iter().enumerate() {
            let mut masked = row.to_vec();
            for (place, item) in row.iter().enumerate() {
                let side = if step.rng.gen_bool(share) {
                    masked[place] = mask;
                    found.drawn.push(i64::from(outside(row, mask, step)));
                    &mut found.hidden
                } else {
                    &mut found.shown
                };
                side.0.push(line);
                side.1.push(*item);
                line += 1;
            }
            found.rows.push(masked);
            let len = step.rng.gen_range(1..=(row.len() / 2).max(1));
            let start = step.rng.gen_range(0..=row.len() - len);
            // Another row, where there is one; its items from a random place on, around its end.
            let other = rows[(at + step.rng.gen_range(0..rows.len().max(2) - 1) + 1) % rows.len()];
            let from = step.rng.gen_range(0..other.len());
            let segment = start..start + len;
            let only = |items: &dyn Fn(usize) -> u32| -> Vec<u32> {
                let place = |at| if segment.contains(&at) { items(at) } else { mask };
                (0..row.len()).map(place).collect()
            };
            found.right.push(only(&|at| row[at]));
            found.other.push(only(&|at| other[(from + at - start) % other.len()]));
            let without = |at: usize| if segment.contains(&at) { mask } else { row[at] };
            found.without.push((0..row.len()).map(without).collect());
        }
        found
    }
}

/// An item below `num_items` that a row does not hold; after 100 draws any.
fn outside(row: &[u32], num_items: u32, step: &mut Step) -> u32 {
    let mut item = step.rng.gen_range(0..num_items);
    for _ in 0..100 {
        if !row.contains(&item) {
            break;
        }
        item = step.rng.gen_range(0..num_items);
    }
    item
}
