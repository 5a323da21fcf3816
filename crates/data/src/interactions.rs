//! Who chose what and when, before it becomes a dataset. Readers make interactions, and filters
//! work on them.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use sidereal_sid::ItemId;

use crate::{DataError, Dataset, Item, Keys, Labels, Ties, Timestamp, User};

/// One choice; user and item are numbers of the [`Interactions`]' keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interaction {
    /// Who.
    pub user: u32,
    /// What.
    pub item: u32,
    /// When.
    pub time: Timestamp,
}

/// Rows in the order of their source, 16 bytes each, and the names of users and items. If rows have
/// behaviours, 4 bytes more.
#[derive(Debug, Clone, Default)]
pub struct Interactions {
    users: Keys,
    items: Keys,
    rows: Vec<Interaction>,
    /// Of each row; empty without behaviours.
    labels: Vec<Labels>,
    /// Names of what labels hold.
    behaviours: Vec<String>,
}

/// How items are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Numbering {
    /// In random order: numbers reveal nothing.
    #[default]
    Shuffled,
    /// By first appearance in the rows, as many published files are: a ranking that breaks ties by
    /// number then knows what comes next. Use this only for comparisons with such files.
    FirstAppearance,
}

/// How a dataset is made of interactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Assembly {
    /// Seed of item numbers and of ties.
    pub seed: u64,
    /// How items are numbered.
    #[serde(default)]
    pub numbering: Numbering,
    /// Order of a user's events of equal time.
    #[serde(default)]
    pub ties: Ties,
}

impl Assembly {
    /// Items and ties shuffled by `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, numbering: Numbering::default(), ties: Ties::default() }
    }

    /// With items numbered this way.
    #[must_use]
    pub const fn with_numbering(mut self, numbering: Numbering) -> Self {
        self.numbering = numbering;
        self
    }

    /// With this order of events of equal time.
    #[must_use]
    pub const fn with_ties(mut self, ties: Ties) -> Self {
        self.ties = ties;
        self
    }
}

impl Interactions {
    /// No rows yet, for events with these behaviours.
    #[must_use]
    pub fn of_behaviours(behaviours: Vec<String>) -> Self {
        Self { behaviours, ..Self::default() }
    }

    /// Adds a row, without a behaviour.
    ///
    /// # Errors
    /// [`DataError::TooMany`] users or items.
    pub fn push(&mut self, user: &str, item: &str, time: Timestamp) -> Result<(), DataError> {
        self.push_labelled(user, item, time, Labels::default())
    }

    /// Adds a row with its behaviours, which are those of [`of_behaviours`](Self::of_behaviours).
    ///
    /// # Errors
    /// [`DataError::TooMany`] users or items.
    pub fn push_labelled(
        &mut self,
        user: &str,
        item: &str,
        time: Timestamp,
        labels: Labels,
    ) -> Result<(), DataError> {
        let number = |keys: &mut Keys, name: &str, what| {
            let found = keys.len();
            keys.insert(name).ok_or(DataError::TooMany { what, found })
        };
        let user = number(&mut self.users, user, "users")?;
        let item = number(&mut self.items, item, "items")?;
        self.rows.push(Interaction { user, item, time });
        if !self.behaviours.is_empty() {
            self.labels.push(labels);
        }
        Ok(())
    }

    /// Every row, in the order of the source.
    #[must_use]
    pub fn rows(&self) -> &[Interaction] {
        &self.rows
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Names of users, also of those whose rows were all removed.
    #[must_use]
    pub fn users(&self) -> &Keys {
        &self.users
    }

    /// Names of items, also of those whose rows were all removed.
    #[must_use]
    pub fn items(&self) -> &Keys {
        &self.items
    }

    /// Makes ready for rows of these users and items.
    pub(crate) fn warm<'a>(&self, names: impl Iterator<Item = (&'a str, &'a str)> + Clone) {
        self.users.warm(names.clone().map(|(user, _)| user));
        self.items.warm(names.map(|(_, item)| item));
    }

    /// Removes the last row; its names stay.
    pub(crate) fn pop(&mut self) {
        self.rows.pop();
        self.labels.pop();
    }

    /// How many users and items have a row.
    #[must_use]
    pub fn num_active(&self) -> (usize, usize) {
        let count = |values: &mut dyn Iterator<Item = u32>, len| {
            let mut seen = vec![false; len];
            values.for_each(|value| seen[value as usize] = true);
            seen.into_iter().filter(|seen| *seen).count()
        };
        let users = count(&mut self.rows.iter().map(|row| row.user), self.users.len());
        (users, count(&mut self.rows.iter().map(|row| row.item), self.items.len()))
    }

    /// Keeps the rows for which `keep` holds, in their order.
    pub fn retain(&mut self, mut keep: impl FnMut(&Interaction) -> bool) {
        let (mut row, labels) = (0, &mut self.labels);
        let mut kept = 0;
        self.rows.retain(|interaction| {
            let keeps = keep(interaction);
            if let (true, Some(label)) = (keeps, labels.get(row).copied()) {
                labels[kept] = label;
                kept += 1;
            }
            row += 1;
            keeps
        });
        labels.truncate(kept);
    }

    /// The dataset of all users and items with a row: a user's events by time, users in the order
    /// of their first row. `described` holds what is known of items, by key; other items only get a
    /// key.
    ///
    /// # Errors
    /// [`DataError::EmptyDataset`] if there are no rows, [`DataError::TooMany`].
    pub fn into_dataset(
        self,
        described: BTreeMap<String, Item>,
        assembly: &Assembly,
    ) -> Result<Dataset, DataError> {
        self.assemble(described, assembly, false)
    }

    /// The same. With `unchosen`, items that are described but have no row are also in it.
    pub(crate) fn assemble(
        self,
        mut described: BTreeMap<String, Item>,
        assembly: &Assembly,
        unchosen: bool,
    ) -> Result<Dataset, DataError> {
        let Self { users, mut items, rows, labels, behaviours } = self;
        if unchosen {
            for key in described.keys() {
                let found = items.len();
                items.insert(key).ok_or(DataError::TooMany { what: "items", found })?;
            }
        }
        let mut rng = ChaCha8Rng::seed_from_u64(assembly.seed);
        let chosen = rows.iter().map(|row| row.item);
        let others =
            items.names().zip(0..).filter(|(key, _)| unchosen && described.contains_key(*key));
        let others = others.map(|(_, item)| item);
        let mut item_order = first_appearances(chosen.chain(others), items.len());
        if assembly.numbering == Numbering::Shuffled {
            item_order.shuffle(&mut rng);
        }
        let mut ids = vec![ItemId(0); items.len()];
        let mut catalogue = Vec::with_capacity(item_order.len());
        for (id, item) in (0..).map(ItemId).zip(&item_order) {
            ids[*item as usize] = id;
            let key = items.name(*item).unwrap_or_default();
            let item = described.remove(key).map(|item| Item { key: key.to_owned(), ..item });
            catalogue.push(item.unwrap_or_else(|| Item::new(key, "")));
        }
        drop((items, described));

        let user_order = first_appearances(rows.iter().map(|row| row.user), users.len());
        let (starts, events) = by_user(&rows, &labels, users.len(), &ids);
        drop((rows, labels));
        let people = user_order.into_iter().map(|user| {
            let range = starts[user as usize]..starts[user as usize + 1];
            let mut events = events[range].to_vec();
            if assembly.ties == Ties::Shuffle {
                events.shuffle(&mut rng);
            }
            events.sort_by_key(|event| event.time); // stable
            let times = events.iter().map(|event| event.time).collect();
            let labelled = events.iter().filter(|_| !behaviours.is_empty());
            let labels = labelled.map(|event| event.labels).collect();
            let events = events.into_iter().map(|event| event.item).collect();
            let user = User::new(users.name(user).unwrap_or_default(), events);
            user.with_times(times).with_labels(labels)
        });
        let people = people.collect();
        Dataset::with_behaviours(catalogue, people, behaviours)
    }
}

/// Every value once, in the order of first appearance; all are below `len`.
fn first_appearances(values: impl Iterator<Item = u32>, len: usize) -> Vec<u32> {
    let mut seen = vec![false; len];
    values.filter(|value| !std::mem::replace(&mut seen[*value as usize], true)).collect()
}

/// An event of a user.
#[derive(Debug, Clone, Copy)]
struct Event {
    time: Timestamp,
    item: ItemId,
    labels: Labels,
}

/// Events of each user in row order, adjacent, and where each user's begin, `[users + 1]`.
fn by_user(
    rows: &[Interaction],
    labels: &[Labels],
    num_users: usize,
    ids: &[ItemId],
) -> (Vec<usize>, Vec<Event>) {
    let mut starts = vec![0; num_users + 1];
    for row in rows {
        starts[row.user as usize + 1] += 1;
    }
    for user in 0..num_users {
        starts[user + 1] += starts[user];
    }
    let mut next = starts.clone();
    let blank = Event { time: Timestamp(0), item: ItemId(0), labels: Labels::default() };
    let mut events = vec![blank; rows.len()];
    for (at, row) in rows.iter().enumerate() {
        let place = &mut next[row.user as usize];
        let labels = labels.get(at).copied().unwrap_or_default();
        events[*place] = Event { time: row.time, item: ids[row.item as usize], labels };
        *place += 1;
    }
    (starts, events)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interactions(rows: &[(&str, &str, i64)]) -> Interactions {
        let mut all = Interactions::default();
        for (user, item, time) in rows {
            all.push(user, item, Timestamp(*time)).unwrap();
        }
        all
    }

    const ROWS: [(&str, &str, i64); 5] =
        [("v", "b", 9), ("u", "b", 5), ("v", "a", 3), ("u", "c", 5), ("w", "d", 1)];

    #[test]
    fn events_are_sorted_and_what_has_no_row_is_gone() {
        let mut rows = interactions(&ROWS);
        let gone = rows.users().get("w").unwrap();
        rows.retain(|row| row.user != gone);
        let known = BTreeMap::from([
            ("b".to_owned(), Item::new("b", "a bean")),
            ("d".to_owned(), Item::new("d", "unchosen")),
        ]);
        let assembly =
            Assembly::new(1).with_numbering(Numbering::FirstAppearance).with_ties(Ties::FileOrder);
        let dataset = rows.into_dataset(known, &assembly).unwrap();
        let keys: Vec<_> = dataset.items().iter().map(|item| item.key.as_str()).collect();
        assert_eq!(keys, ["b", "a", "c"]);
        assert_eq!(dataset.items()[0].title, "a bean");
        assert_eq!(dataset.users()[0].key, "v");
        assert_eq!(dataset.users()[0].events, [ItemId(1), ItemId(0)]);
        assert_eq!(dataset.users()[0].times, [Timestamp(3), Timestamp(9)]);
        assert_eq!(dataset.users()[1].events, [ItemId(0), ItemId(2)]);
    }

    #[test]
    fn numbers_are_shuffled_by_the_seed() {
        let rows: Vec<_> = (0..50).map(|i| ("u".to_owned(), format!("i{i:02}"))).collect();
        let rows: Vec<_> = rows.iter().map(|(u, i)| (u.as_str(), i.as_str(), 0)).collect();
        let keys = |seed| -> Vec<String> {
            let dataset =
                interactions(&rows).into_dataset(BTreeMap::new(), &Assembly::new(seed)).unwrap();
            dataset.items().iter().map(|item| item.key.clone()).collect()
        };
        assert_eq!(keys(1), keys(1));
        assert_ne!(keys(1), keys(2));
        assert!(!keys(1).is_sorted());
    }

    #[test]
    fn behaviours_stay_with_their_events_through_filters_and_sorting() {
        let mut rows = Interactions::of_behaviours(vec!["like".to_owned(), "share".to_owned()]);
        let label = |places: &[usize]| places.iter().copied().collect::<Labels>();
        for (at, (user, item, time)) in ROWS.into_iter().enumerate() {
            let labels = label(&[at % 2]);
            rows.push_labelled(user, item, Timestamp(time), labels).unwrap();
        }
        rows.push("w", "a", Timestamp(0)).unwrap();
        rows.pop();
        let gone = rows.users().get("u").unwrap();
        rows.retain(|row| row.user != gone);
        let dataset = rows.into_dataset(BTreeMap::new(), &Assembly::new(1)).unwrap();
        let of = |key: &str| dataset.users().iter().find(|user| user.key == key).unwrap();
        // v: `a` at 3 was row 2, `b` at 9 was row 0; w: row 4.
        assert_eq!(of("v").labels, [label(&[0]), label(&[0])]);
        assert_eq!((of("w").labels.as_slice(), dataset.num_users()), (&[label(&[0])][..], 2));
        let mut odd = Interactions::of_behaviours(vec!["like".to_owned()]);
        for (user, item, time, places) in [("u", "b", 5, &[0][..]), ("u", "a", 2, &[])] {
            odd.push_labelled(user, item, Timestamp(time), label(places)).unwrap();
        }
        let dataset = odd.into_dataset(BTreeMap::new(), &Assembly::new(1)).unwrap();
        assert_eq!(dataset.users()[0].labels, [label(&[]), label(&[0])]);
    }

    #[test]
    fn no_rows_are_no_dataset() {
        let none = Interactions::default().into_dataset(BTreeMap::new(), &Assembly::new(1));
        assert!(matches!(none, Err(DataError::EmptyDataset { items: 0, users: 0 })));
    }
}
