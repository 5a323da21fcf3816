//! The filters of [`prepare`](super::prepare) over a dataset that any reader made.

use std::collections::{BTreeMap, HashMap};

use sidereal_sid::ItemId;

use super::{Prepared, Step};
use crate::filter::{KCore, TitleLimit, k_core, limit_titles, time_window};
use crate::read::Skips;

use crate::{
    Assembly, DataError, Dataset, Interactions, Item, Query, Split, Ties, Timestamp, User,
};

/// Which users, items and events stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filters {
    /// Events from the first time on and before the second; `None` keeps all.
    pub window: Option<(Timestamp, Timestamp)>,
    /// Longest title; `None` admits all.
    pub title_limit: Option<TitleLimit>,
    /// Events that users and items must have.
    pub k_core: KCore,
}

impl Filters {
    /// Whether everything stays.
    #[must_use]
    pub const fn keep_all(&self) -> bool {
        let KCore { user, item } = self.k_core;
        self.window.is_none() && self.title_limit.is_none() && user <= 1 && item <= 1
    }

    /// What is left of a dataset, with items numbered at random, and what each filter removed.
    ///
    /// Queries of users who are left keep the items that are left; those without one go, and the log says how
    /// many items they lost.
    ///
    /// # Errors
    /// [`DataError::NoTimes`] for a window over events without times; [`DataError::EmptyDataset`]
    /// if nothing is left.
    pub fn apply(&self, dataset: &Dataset, seed: u64) -> Result<(Dataset, Vec<Step>), DataError> {
        let timed = dataset.has_times();
        let mut rows = Interactions::of_behaviours(dataset.behaviours().to_vec());
        for user in dataset.users() {
            for (position, (item, place)) in user.events.iter().zip(0..).enumerate() {
                let key = dataset.item(*item).map_or("", |item| &item.key);
                // If there are no times, positions are used instead.
                let time = user.time(position).filter(|_| timed).unwrap_or(Timestamp(place));
                rows.push_labelled(&user.key, key, time, user.labels_of(position))?;
            }
        }
        let items = dataset.items().iter().map(|item| (item.key.clone(), item.clone()));
        let described: BTreeMap<String, Item> = items.collect();
        let mut steps = Vec::new();
        let mut step = |name, dropped| steps.push(Step { name, dropped });
        if let Some((start, end)) = self.window {
            if !timed {
                return Err(DataError::NoTimes);
            }
            step("time window", time_window(&mut rows, start..end));
        }
        if let Some(limit) = self.title_limit {
            step("title length", limit_titles(&mut rows, &described, limit));
        }
        step("k-core", k_core(&mut rows, self.k_core));
        let left = rows.into_dataset(described, &Assembly::new(seed).with_ties(Ties::FileOrder))?;
        let names = dataset.domains().map(|domains| domains.names().to_vec());
        let (items, mut users, behaviours) = left.into_parts();
        if !timed {
            users = users.into_iter().map(|user| User { times: Vec::new(), ..user }).collect();
        }
        if dataset.has_queries() {
            give_queries(&mut users, &items, dataset);
        }
        let left = Dataset::with_behaviours(items, users, behaviours)?;
        Ok((names.map_or(Ok(left.clone()), |names| left.in_domains(names))?, steps))
    }
}

/// Gives users their portraits and queries in a dataset whose items were `before`, as far as `items` are left.
fn give_queries(users: &mut [User], items: &[Item], before: &Dataset) {
    let ids: HashMap<&str, ItemId> =
        items.iter().map(|item| item.key.as_str()).zip((0..).map(ItemId)).collect();
    let of: HashMap<&str, &User> =
        before.users().iter().map(|user| (user.key.as_str(), user)).collect();
    let (mut lost, mut kept) = (0, 0);
    for user in users {
        let Some(old) = of.get(user.key.as_str()) else { continue };
        let left = |item: &ItemId| ids.get(before.item(*item)?.key.as_str()).copied();
        let queries = old.queries.iter().map(|query| {
            let items: Vec<ItemId> = query.items.iter().filter_map(left).collect();
            lost += query.items.len() - items.len();
            kept += items.len();
            Query::new(query.words.clone(), items)
        });
        user.queries = queries.filter(|query| !query.items.is_empty()).collect();
        user.portrait.clone_from(&old.portrait);
    }
    if lost > 0 {
        tracing::warn!(lost, kept, "items of queries that no filter left");
    }
}

impl Prepared {
    /// A dataset and its split, with what readers and filters left out.
    #[must_use]
    pub const fn new(dataset: Dataset, split: Split, skips: Vec<Skips>, steps: Vec<Step>) -> Self {
        Self { dataset, split, skips, steps }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset(times: bool) -> Dataset {
        let items = ["a", "b", "c"].map(|key| Item::new(key, format!("title of {key}"))).to_vec();
        let user = |key: &str, events: &[u32]| {
            let user = User::new(key, events.iter().copied().map(ItemId).collect());
            let all = (0..).map(Timestamp).take(events.len()).collect();
            if times { user.with_times(all) } else { user }
        };
        let users = vec![user("u", &[0, 1, 0]), user("v", &[1, 0]), user("w", &[2])];
        Dataset::new(items, users).unwrap()
    }

    fn filters(user: u32) -> Filters {
        Filters { window: None, title_limit: None, k_core: KCore { user, item: 1 } }
    }

    #[test]
    fn what_is_left_keeps_its_order_its_titles_and_whether_it_has_times() {
        for times in [false, true] {
            let (left, steps) = filters(2).apply(&dataset(times), 7).unwrap();
            let titles = |user: usize| -> Vec<&str> {
                let events = left.users()[user].events.iter();
                events.map(|item| left.item(*item).unwrap().title.as_str()).collect()
            };
            assert_eq!(titles(0), ["title of a", "title of b", "title of a"]);
            assert_eq!((left.num_users(), left.num_items(), left.has_times()), (2, 2, times));
            assert_eq!((steps[0].name, steps[0].dropped.interactions), ("k-core", 1));
        }
    }

    #[test]
    fn queries_keep_the_items_that_are_left() {
        let all = dataset(false);
        let users = all.users().iter().map(|user| {
            let queries = vec![
                Query::new("letters", vec![ItemId(2), ItemId(1)]),
                Query::new("the last", vec![ItemId(2)]),
            ];
            user.clone().with_queries(format!("reads {}", user.key), queries)
        });
        let asked = Dataset::new(all.items().to_vec(), users.collect()).unwrap();
        let (left, _) = filters(2).apply(&asked, 7).unwrap();
        assert_eq!(left.num_users(), 2);
        for user in left.users() {
            assert_eq!(user.portrait, format!("reads {}", user.key));
            let found: Vec<(&str, &str)> = user
                .queried()
                .map(|(query, item)| (query.words.as_str(), left.item(item).unwrap().key.as_str()))
                .collect();
            assert_eq!(found, [("letters", "b")]);
        }
    }

    #[test]
    fn a_window_over_events_without_times_is_refused() {
        let window = Some((Timestamp(0), Timestamp(1)));
        let filters = Filters { window, ..filters(1) };
        assert!(matches!(filters.apply(&dataset(false), 1), Err(DataError::NoTimes)));
        assert_eq!(filters.apply(&dataset(true), 1).unwrap().0.num_interactions(), 3);
    }
}
