//! Samples as CSV files, for programs of other languages.

use std::io::Write;
use std::path::Path;

use super::{Seconds, write_whole};
use crate::{DataError, HeldOut, Sample, Split, Timestamp};

/// Writes `train.csv`, `valid.csv` and `test.csv` into a folder, each whole or not at all.
///
/// ```text
/// user_id,history_item_id,item_id,timestamp
/// 17,3 9 12,40,1475280000
/// ```
/// Users and items are identities of the dataset, the history is what a model may see, earliest
/// first, `timestamp` the target's time in seconds since 1970, empty if the source has none. Rows
/// are ordered by time, those of one time by user and position.
///
/// # Errors
/// [`DataError::Io`].
pub fn write(split: &Split, folder: &Path) -> Result<(), DataError> {
    let (train, valid, test) = (&split.train, &split.valid, &split.test);
    write_set(&folder.join("train.csv"), train.samples(), |index| train.sample(index))?;
    write_set(&folder.join("valid.csv"), valid.samples(), |index| valid.sample(index))?;
    write_set(&folder.join("test.csv"), test.samples(), |index| test.sample(index))
}

fn write_set<'a>(
    path: &Path,
    samples: impl Iterator<Item = Sample<'a>>,
    nth: impl Fn(usize) -> Option<Sample<'a>>,
) -> Result<(), DataError> {
    let mut order: Vec<(Option<Timestamp>, usize)> =
        samples.map(|sample| sample.time).zip(0..).collect();
    order.sort_unstable();
    write_whole(path, |out| {
        out.write_all(b"user_id,history_item_id,item_id,timestamp\n")?;
        let mut digits = itoa::Buffer::new();
        let mut row = Vec::new();
        for (_, index) in order {
            let Some(sample) = nth(index) else { continue };
            row.clear();
            row.extend_from_slice(digits.format(sample.user.0).as_bytes());
            row.push(b',');
            for (place, item) in sample.history.iter().enumerate() {
                if place > 0 {
                    row.push(b' ');
                }
                row.extend_from_slice(digits.format(item.0).as_bytes());
            }
            row.push(b',');
            row.extend_from_slice(digits.format(sample.target.0).as_bytes());
            row.push(b',');
            if let Some(time) = sample.time {
                write!(row, "{}", Seconds(time))?;
            }
            row.push(b'\n');
            out.write_all(&row)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::{Dataset, Item, ItemId, Shares, User, global_time};

    #[test]
    fn rows_are_in_the_order_of_time_and_ties_in_that_of_users() {
        let items = (0..4).map(|i| Item::new(i.to_string(), "")).collect();
        let user = |key: &str, times: [i64; 4]| {
            let times = times.map(|time| Timestamp(time * 500)).to_vec();
            User::new(key, [0, 1, 2, 3].map(ItemId).to_vec()).with_times(times)
        };
        let users = vec![user("u", [0, 4, 8, 9]), user("v", [1, 2, 8, 10])];
        let dataset = Dataset::new(items, users).unwrap();
        let two = NonZeroUsize::new(2).unwrap();
        let shares = Shares { train: 4, valid: 1, test: 1 };
        let split = global_time(&dataset, shares, two).unwrap();
        let dir = tempfile::tempdir().unwrap();
        write(&split, dir.path()).unwrap();
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        let header = "user_id,history_item_id,item_id,timestamp\n";
        assert_eq!(read("train.csv"), format!("{header}1,0,1,1\n0,0,1,2\n0,0 1,2,4\n1,0 1,2,4\n"));
        assert_eq!(read("valid.csv"), format!("{header}0,1 2,3,4.500\n"));
        assert_eq!(read("test.csv"), format!("{header}1,1 2,3,5\n"));
    }
}
