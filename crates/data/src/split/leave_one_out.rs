//! The last event of each user is for the test, and the one before it for validation.

use std::num::NonZeroUsize;

use super::{Cut, Split, SplitProtocol};
use crate::{DataError, Dataset, HeldOut as _};

/// Splits by leave-one-out.
///
/// ```text
/// events e[0] … e[n-1], n >= 3:  train e[0..n-2]   valid e[n-2] given e[0..n-2]
///                                                  test  e[n-1] given e[0..n-1]
/// n < 3: all events train, nothing is held out
/// ```
/// Histories shown to a model are cut to their last `max_history` items (a sliding window).
///
/// # Errors
/// [`DataError::NothingHeldOut`] if no user has 3 events.
///
/// # Examples
/// ```
/// use std::num::NonZeroUsize;
/// use sidereal_data::{Dataset, HeldOut, Item, ItemId, User, leave_one_out};
///
/// let items = (0..4).map(|i| Item::new(i.to_string(), "")).collect();
/// let users = vec![User::new("ann", [3, 1, 0, 2].map(ItemId).to_vec())];
/// let split = leave_one_out(&Dataset::new(items, users)?, NonZeroUsize::new(2).unwrap())?;
///
/// assert_eq!(split.train.num_samples(), 1); // 3 -> 1
/// let test = split.test.sample(0).unwrap();
/// assert_eq!((test.history, test.target), (&[ItemId(1), ItemId(0)][..], ItemId(2)));
/// assert_eq!(test.seen.len(), 3);
/// # Ok::<(), sidereal_data::DataError>(())
/// ```
pub fn leave_one_out(dataset: &Dataset, max_history: NonZeroUsize) -> Result<Split, DataError> {
    let cuts = dataset.users().iter().map(|user| match user.events.len() {
        n @ 0..3 => Cut { train: n, valid: n, test: n },
        n => Cut { train: n - 2, valid: n - 2, test: n - 1 },
    });
    let split = Split::cut(SplitProtocol::LeaveOneOut, dataset, max_history, cuts);
    if split.test.num_samples() == 0 {
        // Without users the longest history is empty.
        let longest = dataset.users().iter().map(|user| user.events.len()).max().unwrap_or(0);
        return Err(DataError::NothingHeldOut { longest });
    }
    Ok(split)
}

#[cfg(test)]
mod tests {
    use sidereal_sid::ItemId;

    use super::*;
    use crate::{Item, User, UserId};

    fn split(lengths: &[u32], max_history: usize) -> Result<Split, DataError> {
        let items = (0..9).map(|i| Item::new(i.to_string(), "")).collect();
        let users = lengths
            .iter()
            .enumerate()
            .map(|(u, n)| User::new(u.to_string(), (0..*n).map(ItemId).collect()))
            .collect();
        leave_one_out(&Dataset::new(items, users)?, NonZeroUsize::new(max_history).unwrap())
    }

    #[test]
    fn a_user_with_two_events_only_trains() {
        let split = split(&[2, 3], 5).unwrap();
        assert_eq!(split.train.num_sequences(), 2);
        assert_eq!(split.train.num_samples(), 1);
        assert_eq!(split.valid.num_samples(), 1);
        assert_eq!(split.test.num_samples(), 1);
        assert_eq!(split.test.sample(0).unwrap().user, UserId(1));
        assert_eq!(split.test.sample(1), None);
    }

    #[test]
    fn random_access_agrees_with_iteration() {
        let split = split(&[5, 2, 1, 9, 3], 3).unwrap();
        let all: Vec<_> = split.train.samples().collect();
        assert_eq!(all.len(), split.train.num_samples());
        for (index, sample) in all.iter().enumerate() {
            assert_eq!(split.train.sample(index).as_ref(), Some(sample));
        }
        assert_eq!(split.train.sample(all.len()), None);
    }

    #[test]
    fn nobody_to_hold_out_is_an_error() {
        assert!(matches!(split(&[2, 1], 5), Err(DataError::NothingHeldOut { longest: 2 })));
    }

    #[test]
    fn the_hash_depends_on_the_window() {
        assert_ne!(split(&[5], 3).unwrap().hash(), split(&[5], 4).unwrap().hash());
        assert_eq!(split(&[5], 3).unwrap().hash(), split(&[5], 3).unwrap().hash());
    }
}
