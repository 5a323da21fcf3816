//! Property-test strategies for datasets.

use proptest::collection::vec;
use proptest::prelude::*;
use sidereal_sid::ItemId;

use crate::{Dataset, Item, Timestamp, User};

/// A dataset of 1 to `max_items` items and 1 to `max_users` users with up to 12 events each. Events
/// repeat items at random; titles and categories may be empty.
pub fn dataset(max_items: u32, max_users: usize) -> impl Strategy<Value = Dataset> {
    let item = ("[a-z]{0,6}( [a-z]{1,6})?", vec("[a-z]{1,4}", 0..3));
    (1..=max_items)
        .prop_flat_map(move |num_items| {
            let items = vec(item.clone(), num_items as usize);
            let users = vec(vec((0..num_items).prop_map(ItemId), 0..=12), 1..=max_users);
            (items, users)
        })
        .prop_filter_map("a legal dataset", |(items, users)| {
            let items = items
                .into_iter()
                .enumerate()
                .map(|(i, (title, categories))| {
                    Item::new(format!("item-{i}"), title.trim()).with_categories(categories)
                })
                .collect();
            let users = users
                .into_iter()
                .enumerate()
                .map(|(u, events)| User::new(format!("user-{u}"), events))
                .collect();
            Dataset::new(items, users).ok()
        })
}

/// As [`dataset`], but the events have times, many of them equal.
pub fn timed_dataset(max_items: u32, max_users: usize) -> impl Strategy<Value = Dataset> {
    let steps = vec(0i64..5, 12);
    dataset(max_items, max_users)
        .prop_flat_map(move |dataset| {
            let steps = vec((0i64..40, steps.clone()), dataset.num_users());
            (Just(dataset), steps)
        })
        .prop_filter_map("a legal dataset", |(dataset, steps)| {
            let users = dataset.users().iter().zip(steps).map(|(user, (start, steps))| {
                let mut now = 1000 * start;
                let times = steps.iter().take(user.events.len()).map(|step| {
                    now += 500 * step;
                    Timestamp(now)
                });
                user.clone().with_times(times.collect())
            });
            Dataset::new(dataset.items().to_vec(), users.collect()).ok()
        })
}
