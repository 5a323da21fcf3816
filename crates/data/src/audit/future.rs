//! Training events that happened after the targets that should be predicted.

use serde::Serialize;

use crate::{HeldOut, Split, Timestamp};

/// What training knows about the time after held-out targets, over all users.
///
/// Leave-one-out only holds out the future of each user. Later events of other users are in
/// training, and with them what will be in fashion. A global split by time does not have this
/// problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CrossUserFuture {
    /// Validation and test samples whose target is earlier than some training event.
    pub samples: usize,
    /// Training events later than the first held-out target.
    pub events: usize,
}

/// `None` if events have no times.
pub(super) fn cross_user_future(split: &Split) -> Option<CrossUserFuture> {
    let held_out = || split.valid.samples().chain(split.test.samples());
    if held_out().any(|sample| sample.time.is_none()) {
        return None;
    }
    let trained = || split.train.sequences().flat_map(|sequence| sequence.times).copied();
    let last: Option<Timestamp> = trained().max();
    let first = held_out().filter_map(|sample| sample.time).min()?;
    Some(CrossUserFuture {
        samples: held_out().filter(|sample| sample.time < last).count(),
        events: trained().filter(|time| *time > first).count(),
    })
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::{Dataset, Item, ItemId, Shares, User, global_time, leave_one_out};

    #[test]
    fn leave_one_out_trains_on_others_future_and_a_split_by_time_does_not() {
        let items = vec![Item::new("a", "")];
        let user = |key: &str, times: &[i64]| {
            let times: Vec<_> = times.iter().copied().map(Timestamp).collect();
            User::new(key, vec![ItemId(0); times.len()]).with_times(times)
        };
        let users = vec![user("u", &[1, 2, 3]), user("v", &[2, 5, 6, 7]), user("w", &[1, 9, 10])];
        let dataset = Dataset::new(items, users).unwrap();
        let split = leave_one_out(&dataset, NonZeroUsize::MAX).unwrap();
        // Training: 1 | 2 5 | 1. Held out: 2 3 | 6 7 | 9 10; before 5: 2 and 3. After 2: 5.
        let future = cross_user_future(&split);
        assert_eq!(future, Some(CrossUserFuture { samples: 2, events: 1 }));
        let shares = Shares { train: 2, valid: 1, test: 1 };
        let split = global_time(&dataset, shares, NonZeroUsize::MAX).unwrap();
        let future = cross_user_future(&split);
        assert_eq!(future, Some(CrossUserFuture { samples: 0, events: 0 }));
    }
}
