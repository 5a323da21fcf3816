//! The users that a run is tested on.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroUsize;

use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};
use sidereal_data::{HeldOut as _, Split, TestSet, UserId};

use crate::seed::{Purpose, stream};

/// How many users of the test were asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TestedUsers {
    /// Users that were asked.
    pub asked: usize,
    /// Users of the whole test.
    pub all: usize,
}

impl fmt::Display for TestedUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { asked, all } = self;
        write!(f, "The test has {asked} of {all} users, drawn by seed, with all their targets.")
    }
}

/// The split with at most `count` users in its test, drawn by seed, and how many they are.
pub(crate) fn with_some(split: Split, count: NonZeroUsize, seed: u64) -> (Split, TestedUsers) {
    let users: BTreeSet<UserId> = split.test.samples().map(|sample| sample.user).collect();
    let mut drawn: Vec<UserId> = users.iter().copied().collect();
    drawn.shuffle(&mut stream(seed, Purpose::TestUsers, 0));
    drawn.truncate(count.get());
    let drawn: BTreeSet<UserId> = drawn.into_iter().collect();
    let tested = TestedUsers { asked: drawn.len(), all: users.len() };
    let mut split = split;
    split.test = TestSet::of_users(&split.test, |user| drawn.contains(&user));
    (split, tested)
}

#[cfg(test)]
mod tests {
    use sidereal_data::{Dataset, Item, ItemId, User, leave_one_out};

    use super::*;

    fn split() -> Split {
        let items: Vec<Item> = (0..6).map(|item| Item::new(format!("{item}"), "")).collect();
        let user = |user: u32| {
            let events = (0..4).map(|event| ItemId((user + event) % 6)).collect();
            User::new(format!("{user}"), events)
        };
        let dataset = Dataset::new(items, (0..30).map(user).collect()).unwrap();
        leave_one_out(&dataset, NonZeroUsize::MAX).unwrap()
    }

    #[test]
    fn some_users_keep_their_samples_and_training_and_validation_stay() {
        let (whole, count) = (split(), NonZeroUsize::new(7).unwrap());
        let (some, tested) = with_some(whole.clone(), count, 3);
        assert_eq!((tested.asked, tested.all), (7, 30));
        assert_eq!(some.test.num_samples(), 7);
        assert!(some.test.samples().all(|of| whole.test.samples().any(|other| other == of)));
        assert_eq!((&some.train, &some.valid), (&whole.train, &whole.valid));
        // The seed draws them; more than there are is all.
        assert_eq!(with_some(whole.clone(), count, 3).0, some);
        assert_ne!(with_some(whole.clone(), count, 4).0, some);
        let (all, tested) = with_some(whole.clone(), NonZeroUsize::MAX, 3);
        assert_eq!((all, tested.asked), (whole, 30));
    }
}
