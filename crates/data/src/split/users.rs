//! Holds out whole users: no event of a test user is in the training set.

use std::num::NonZeroUsize;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{Cut, Shares, Split, SplitProtocol};
use crate::{DataError, Dataset};

/// Splits users by `shares`, drawn by `seed`: a user's events are all in one set, and all but the
/// first are its targets.
///
/// # Errors
/// [`DataError::EmptySet`] if a set with a share above 0 gets no sample.
///
/// # Examples
/// ```
/// use std::num::NonZeroUsize;
/// use sidereal_data::{Dataset, HeldOut, Item, ItemId, Shares, User, user_split};
///
/// let items = (0..4).map(|i| Item::new(i.to_string(), "")).collect();
/// let users = (0..20).map(|u| User::new(u.to_string(), (0..4).map(ItemId).collect())).collect();
/// let dataset = Dataset::new(items, users)?;
/// let split = user_split(&dataset, Shares::default(), 7, NonZeroUsize::MAX)?;
/// assert_eq!(split.train.num_sequences(), 16);
/// assert_eq!(split.test.num_samples(), 2 * 3); // two users, three targets each
/// # Ok::<(), sidereal_data::DataError>(())
/// ```
pub fn user_split(
    dataset: &Dataset,
    shares: Shares,
    seed: u64,
    max_history: NonZeroUsize,
) -> Result<Split, DataError> {
    let mut order: Vec<usize> = (0..dataset.num_users()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let (valid, test) = shares.cut(order.len());
    let mut cuts = vec![Cut { train: 0, valid: 0, test: 0 }; order.len()];
    for (place, user) in order.into_iter().enumerate() {
        let len = dataset.users()[user].events.len();
        cuts[user] = match place {
            place if place < valid => Cut { train: len, valid: len, test: len },
            place if place < test => Cut { train: 0, valid: 0, test: len },
            _ => Cut { train: 0, valid: 0, test: 0 },
        };
    }
    let split =
        Split::cut(SplitProtocol::Users { shares, seed }, dataset, max_history, cuts.into_iter());
    split.check_shares(shares)?;
    Ok(split)
}

#[cfg(test)]
mod tests {
    use sidereal_sid::ItemId;

    use super::*;
    use crate::{HeldOut as _, Item, User};

    #[test]
    fn the_seed_decides_who_is_held_out() {
        let users = (0..50).map(|u| User::new(u.to_string(), vec![ItemId(0); 2])).collect();
        let dataset = Dataset::new(vec![Item::new("a", "")], users).unwrap();
        let tested = |seed| {
            let split = user_split(&dataset, Shares::default(), seed, NonZeroUsize::MAX).unwrap();
            split.test.samples().map(|sample| sample.user.0).collect::<Vec<_>>()
        };
        assert_eq!(tested(1), tested(1));
        assert_ne!(tested(1), tested(2));
        assert_eq!(tested(1).len(), 5);
    }
}
