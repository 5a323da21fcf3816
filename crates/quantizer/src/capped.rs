//! Nearest centroids that have room: codes with a largest size, but not with equal sizes.

use crate::assign::Scratch;
use crate::rows::{BLOCK, Residuals, Table, distance};

/// A code for each row, such that no code has more than `capacity` rows. In each round, every row
/// without a code asks the nearest centroid with room, and a centroid takes the nearest of the rows
/// that ask until it is full.
///
/// The rounds come to an end, because each round fills a centroid or leaves no row without a code.
/// Callers must make sure that `capacity` times the number of codes is enough.
pub(crate) fn capped_codes(rows: &Residuals<'_>, table: &Table, capacity: usize) -> Vec<u32> {
    let mut codes = vec![0; rows.num_rows()];
    let mut room = vec![capacity; table.len()];
    let mut left: Vec<usize> = (0..rows.num_rows()).collect();
    let (mut scratch, mut block) = (Scratch::default(), Vec::new());
    while !left.is_empty() {
        let open: Vec<usize> = (0..table.len()).filter(|code| room[*code] > 0).collect();
        if open.is_empty() {
            break; // fewer places than rows: the rest keeps code 0
        }
        let centroid = |code: usize| &table.values[code * table.width..(code + 1) * table.width];
        let values = open.iter().flat_map(|code| centroid(*code)).copied().collect();
        let free = Table::new(values, table.width);
        let mut asking = Vec::with_capacity(left.len());
        for part in left.chunks(BLOCK) {
            rows.gather(part, &mut block);
            let nearest = scratch.nearest(&block, &free);
            for ((row, value), nearest) in part.iter().zip(block.chunks(table.width)).zip(nearest) {
                let code = open[*nearest as usize];
                asking.push((distance(value, centroid(code)), *row, code));
            }
        }
        asking.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        left.clear();
        for (_, row, code) in asking {
            if room[code] > 0 {
                room[code] -= 1;
                codes[row] = u32::try_from(code).unwrap_or(u32::MAX);
            } else {
                left.push(row);
            }
        }
    }
    codes
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_full_centroid_keeps_its_nearest_rows_and_sends_the_others_on() {
        // Centroids 0, 10 and 100; two rows each. Row 1.0 is third at centroid 0, next is 10.
        let matrix = array![[0.1f32], [1.0], [0.2], [11.0], [90.0]];
        let rows = Residuals { matrix: matrix.view(), before: &[] };
        let table = Table::new(vec![0.0, 10.0, 100.0], 1);
        assert_eq!(capped_codes(&rows, &table, 2), [0, 1, 0, 1, 2]);
        assert_eq!(capped_codes(&rows, &table, 5), [0, 0, 0, 1, 2]);
        // With a place left in all, rows 1.0 and 11.0 compete for centroid 10.
        let matrix = array![[0.1f32], [1.0], [11.0]];
        let rows = Residuals { matrix: matrix.view(), before: &[] };
        assert_eq!(capped_codes(&rows, &table, 1), [0, 2, 1]);
    }
}
