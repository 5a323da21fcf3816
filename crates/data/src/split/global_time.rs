//! Holds out the future: one moment separates training from validation for all users.

use std::num::NonZeroUsize;

use super::{Cut, Shares, Split, SplitProtocol};
use crate::{DataError, Dataset, HeldOut as _, Timestamp};

/// Splits all samples by the time of their target, earliest first.
///
/// ```text
/// samples (user u, position p >= 1) sorted by (time, u, p), n of them:
///   train [0, ⌊n·train/sum⌋)   valid [.., ⌊n·(train+valid)/sum⌋)   test [.., n)
/// ```
/// Within a user the sets follow each other in time, so a held-out target's history holds the
/// user's earlier events of all sets, and no set's history holds its target's future. A user's
/// first event is not a target. It belongs to the training set together with the second event; a
/// user without a training sample is not in the training set. Samples of one moment may be on both
/// sides of a cut, so that the shares are exact. 8:1:1 is what `MiniOneRec`'s preparation does.
///
/// # Errors
/// [`DataError::NoTimes`] for a dataset without times; [`DataError::EmptySet`] if a set with a
/// share above 0 gets no sample.
///
/// # Examples
/// ```
/// use std::num::NonZeroUsize;
/// use sidereal_data::{Dataset, HeldOut, Item, ItemId, Shares, Timestamp, User, global_time};
///
/// let items = (0..3).map(|i| Item::new(i.to_string(), "")).collect();
/// let user = |key: &str, times: [i64; 3]| {
///     User::new(key, [0, 1, 2].map(ItemId).to_vec()).with_times(times.map(Timestamp).to_vec())
/// };
/// let dataset = Dataset::new(items, vec![user("ann", [1, 2, 9]), user("bob", [6, 7, 8])])?;
/// let shares = Shares { train: 1, valid: 1, test: 2 };
/// let split = global_time(&dataset, shares, NonZeroUsize::MAX)?;
///
/// // Samples by time: ann's at 2, bob's at 7, bob's at 8, ann's at 9.
/// let users = |set: Vec<u32>| set;
/// assert_eq!(split.train.samples().map(|s| s.user.0).collect::<Vec<_>>(), users(vec![0]));
/// assert_eq!(split.valid.samples().map(|s| s.user.0).collect::<Vec<_>>(), users(vec![1]));
/// assert_eq!(split.test.num_samples(), 2);
/// # Ok::<(), sidereal_data::DataError>(())
/// ```
pub fn global_time(
    dataset: &Dataset,
    shares: Shares,
    max_history: NonZeroUsize,
) -> Result<Split, DataError> {
    if !dataset.has_times() {
        return Err(DataError::NoTimes);
    }
    let protocol = SplitProtocol::GlobalTime(shares);
    let samples: usize = dataset.users().iter().map(|user| user.events.len().max(1) - 1).sum();
    let (valid, test) = shares.cut(samples);
    let mut order: Vec<(Timestamp, u32)> = Vec::with_capacity(samples);
    for (id, user) in dataset.users_by_id() {
        order.extend(user.times.iter().skip(1).map(|time| (*time, id.0)));
    }
    // Positions rise with times within a user, so that samples of equal time and user are counted
    // off in their order whatever the sort does with them.
    order.sort_unstable();
    let counted = |samples: &[(Timestamp, u32)]| {
        let mut counts = vec![0; dataset.num_users()];
        for (_, user) in samples {
            if let Some(count) = counts.get_mut(*user as usize) {
                *count += 1;
            }
        }
        counts
    };
    let (trained, validated) = (counted(&order[..valid]), counted(&order[valid..test]));
    drop(order);
    let cuts = trained.into_iter().zip(validated).map(|(trained, validated): (usize, usize)| {
        let train = if trained == 0 { 0 } else { trained + 1 };
        Cut { train, valid: 1 + trained, test: 1 + trained + validated }
    });
    let split = Split::cut(protocol, dataset, max_history, cuts);
    split.check_shares(shares)?;
    Ok(split)
}

impl Split {
    /// Checks that every set with a share above 0 got a sample.
    pub(super) fn check_shares(&self, shares: Shares) -> Result<(), DataError> {
        let sets = [
            ("train", shares.train, self.train.num_samples()),
            ("valid", shares.valid, self.valid.num_samples()),
            ("test", shares.test, self.test.num_samples()),
        ];
        match sets.into_iter().find(|(_, share, samples)| *share > 0 && *samples == 0) {
            Some((set, ..)) => Err(DataError::EmptySet { set, protocol: self.protocol }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use sidereal_sid::ItemId;

    use super::*;
    use crate::{Item, User};

    fn dataset(times: &[&[i64]]) -> Dataset {
        let items = vec![Item::new("a", ""), Item::new("b", "")];
        let users = times.iter().enumerate().map(|(u, times)| {
            let events = (0..times.len()).map(|i| ItemId(u32::from(i % 2 == 1))).collect();
            let times = times.iter().copied().map(Timestamp).collect();
            User::new(u.to_string(), events).with_times(times)
        });
        Dataset::new(items, users.collect()).unwrap()
    }

    #[test]
    fn a_user_who_comes_late_does_not_train() {
        let dataset = dataset(&[&[1, 2, 3, 4, 5, 6, 7, 8, 9], &[20, 21, 22]]);
        let split = global_time(&dataset, Shares::default(), NonZeroUsize::MAX).unwrap();
        assert_eq!(split.train.num_sequences(), 1); // 10 samples: 8, 1, 1
        assert_eq!((split.valid.num_samples(), split.test.num_samples()), (1, 1));
        let test = split.test.sample(0).unwrap();
        assert_eq!((test.user.0, test.seen.len(), test.time), (1, 2, Some(Timestamp(22))));
    }

    #[test]
    fn a_dataset_without_times_is_refused() {
        let users = vec![User::new("u", vec![ItemId(0)])];
        let dataset = Dataset::new(vec![Item::new("a", "")], users).unwrap();
        let split = global_time(&dataset, Shares::default(), NonZeroUsize::MAX);
        assert!(matches!(split, Err(DataError::NoTimes)));
    }

    #[test]
    fn too_few_samples_for_a_set_are_an_error() {
        let split = global_time(&dataset(&[&[1, 2, 3]]), Shares::default(), NonZeroUsize::MAX);
        assert!(matches!(split, Err(DataError::EmptySet { set: "valid", .. })));
    }

    #[test]
    fn a_set_without_a_share_stays_empty() {
        let shares = Shares { train: 1, valid: 0, test: 1 };
        let split = global_time(&dataset(&[&[1, 2, 3]]), shares, NonZeroUsize::MAX).unwrap();
        assert_eq!((split.train.num_samples(), split.valid.num_samples()), (1, 0));
        assert_eq!(Shares { train: 0, valid: 0, test: 0 }.cut(7), (7, 7));
    }
}
