//! Items, users and what each user chose, in order.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use sidereal_sid::ItemId;

use crate::behaviours::check_names;
use crate::digest::Digest;
use crate::{DataError, Domains, Item, User, UserId};

/// Items and users of one source, or of several [domains](Domains); every event names an item of
/// the dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawDataset", into = "RawDataset")]
pub struct Dataset {
    items: Vec<Item>,
    users: Vec<User>,
    /// Names of what labels hold.
    behaviours: Vec<String>,
    domains: Option<Domains>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDataset {
    items: Vec<Item>,
    users: Vec<User>,
    /// Names of the domains, which every key begins with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    domains: Vec<String>,
    /// Names of what labels hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    behaviours: Vec<String>,
}

impl Dataset {
    /// The dataset in which item `i` is `items[i]` and user `u` is `users[u]`.
    ///
    /// # Errors
    /// [`DataError::EmptyDataset`], [`DataError::TooMany`], [`DataError::RepeatedKey`] and
    /// [`DataError::EventItem`], [`DataError::QueryItem`], [`DataError::NumTimes`] and
    /// [`DataError::TimeOrder`];
    /// [`DataError::UnnamedBehaviour`] for events with behaviours, which
    /// [`with_behaviours`](Self::with_behaviours) names.
    pub fn new(items: Vec<Item>, users: Vec<User>) -> Result<Self, DataError> {
        Self::with_behaviours(items, users, Vec::new())
    }

    /// The same, with labels at the events: what users did with items besides choosing them. Behaviour `b`
    /// of a label is named `behaviours[b]`.
    ///
    /// ```
    /// use sidereal_data::{Dataset, Item, ItemId, Labels, User};
    ///
    /// let items = vec![Item::new("clip", "a clip"), Item::new("film", "a film")];
    /// let liked = Labels::default().with(1);
    /// let user = User::new("ann", vec![ItemId(1), ItemId(0)]);
    /// let users = vec![user.with_labels(vec![liked, Labels::default()])];
    /// let names = ["comment", "like"].map(str::to_owned).to_vec();
    /// let dataset = Dataset::with_behaviours(items, users, names)?;
    ///
    /// let like = dataset.behaviour("like").unwrap();
    /// assert!(dataset.users()[0].labels_of(0).contains(like));
    /// assert!(!dataset.users()[0].labels_of(1).contains(like));
    /// # Ok::<(), sidereal_data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// As [`new`](Self::new); [`DataError::TooManyBehaviours`] and [`DataError::BehaviourName`];
    /// [`DataError::NumLabels`] for a user with labels for some events alone.
    pub fn with_behaviours(
        items: Vec<Item>,
        users: Vec<User>,
        behaviours: Vec<String>,
    ) -> Result<Self, DataError> {
        check_names(&behaviours)?;
        if items.is_empty() || users.is_empty() {
            return Err(DataError::EmptyDataset { items: items.len(), users: users.len() });
        }
        numbered("items", items.len())?;
        numbered("users", users.len())?;
        unique("item", items.iter().map(|item| item.key.as_str()))?;
        unique("user", users.iter().map(|user| user.key.as_str()))?;
        for user in &users {
            numbered("events of a user", user.events.len())?;
            let outside = user.events.iter().position(|item| item.index() >= items.len());
            if let Some(position) = outside {
                return Err(DataError::EventItem {
                    user: user.key.clone(),
                    position,
                    item: user.events[position],
                    num_items: items.len(),
                });
            }
            let unknown = user.queried().find(|(_, item)| item.index() >= items.len());
            if let Some((query, item)) = unknown {
                let (words, num_items) = (query.words.clone(), items.len());
                return Err(DataError::QueryItem {
                    user: user.key.clone(),
                    words,
                    item,
                    num_items,
                });
            }
            if !user.times.is_empty() && user.times.len() != user.events.len() {
                let (events, times) = (user.events.len(), user.times.len());
                return Err(DataError::NumTimes { user: user.key.clone(), events, times });
            }
            if !user.labels.is_empty() && user.labels.len() != user.events.len() {
                let (events, labels) = (user.events.len(), user.labels.len());
                return Err(DataError::NumLabels { user: user.key.clone(), events, labels });
            }
            let known = behaviours.len();
            if let Some(position) = user.labels.iter().position(|label| !label.are_below(known)) {
                return Err(DataError::UnnamedBehaviour {
                    user: user.key.clone(),
                    position,
                    known,
                });
            }
            if let Some(before) = user.times.windows(2).position(|pair| pair[0] > pair[1]) {
                let position = before + 1;
                return Err(DataError::TimeOrder { user: user.key.clone(), position });
            }
        }
        Ok(Self { items, users, behaviours, domains: None })
    }

    /// Items without users, to answer users whose histories come from elsewhere.
    ///
    /// # Errors
    /// [`DataError::EmptyDataset`], [`DataError::TooMany`] and [`DataError::RepeatedKey`].
    pub fn of_items(items: Vec<Item>) -> Result<Self, DataError> {
        if items.is_empty() {
            return Err(DataError::EmptyDataset { items: 0, users: 0 });
        }
        numbered("items", items.len())?;
        unique("item", items.iter().map(|item| item.key.as_str()))?;
        Ok(Self { items, users: Vec::new(), behaviours: Vec::new(), domains: None })
    }

    /// The dataset as one of several domains, by the names that its keys begin with.
    pub(crate) fn in_domains(mut self, names: Vec<String>) -> Result<Self, DataError> {
        self.domains = Some(Domains::new(names, &self.items, &self.users)?);
        Ok(self)
    }

    /// Items and users, by identity, and the names of behaviours.
    pub(crate) fn into_parts(self) -> (Vec<Item>, Vec<User>, Vec<String>) {
        (self.items, self.users, self.behaviours)
    }

    /// The same users, behaviours and domains over items with other texts: item `i` becomes `items[i]`.
    ///
    /// # Errors
    /// As [`new`](Self::new), and [`DataError::NoDomain`] and [`DataError::OtherDomain`] for keys of other
    /// domains.
    pub fn with_items(self, items: Vec<Item>) -> Result<Self, DataError> {
        let names = self.domains.map(|domains| domains.names().to_vec());
        let dataset = Self::with_behaviours(items, self.users, self.behaviours)?;
        match names {
            Some(names) => dataset.in_domains(names),
            None => Ok(dataset),
        }
    }

    /// Names of what the labels of events hold; none if the source has no behaviours.
    #[must_use]
    pub fn behaviours(&self) -> &[String] {
        &self.behaviours
    }

    /// The place of a behaviour in labels; `None` for one that the dataset does not have.
    #[must_use]
    pub fn behaviour(&self, name: &str) -> Option<usize> {
        self.behaviours.iter().position(|known| known == name)
    }

    /// Which domain each item and user is of; `None` for a dataset of one source.
    #[must_use]
    pub const fn domains(&self) -> Option<&Domains> {
        self.domains.as_ref()
    }

    /// Every item, by identity.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// Every user, by identity.
    #[must_use]
    pub fn users(&self) -> &[User] {
        &self.users
    }

    /// An item; `None` for an identity outside the dataset.
    #[must_use]
    pub fn item(&self, item: ItemId) -> Option<&Item> {
        self.items.get(item.index())
    }

    /// A user; `None` for an identity outside the dataset.
    #[must_use]
    pub fn user(&self, user: UserId) -> Option<&User> {
        self.users.get(user.index())
    }

    /// Number of items `N`.
    #[must_use]
    pub fn num_items(&self) -> usize {
        self.items.len()
    }

    /// Number of users.
    #[must_use]
    pub fn num_users(&self) -> usize {
        self.users.len()
    }

    /// Number of events over all users.
    #[must_use]
    pub fn num_interactions(&self) -> usize {
        self.users.iter().map(|user| user.events.len()).sum()
    }

    /// Whether every event has its time.
    #[must_use]
    pub fn has_times(&self) -> bool {
        self.users.iter().all(|user| user.times.len() == user.events.len())
    }

    /// Whether a user has a portrait or a query.
    #[must_use]
    pub fn has_queries(&self) -> bool {
        self.users.iter().any(|user| !(user.portrait.is_empty() && user.queries.is_empty()))
    }

    /// Users by identity.
    pub fn users_by_id(&self) -> impl Iterator<Item = (UserId, &User)> {
        (0..).map(UserId).zip(&self.users)
    }

    /// BLAKE3 of every key, title, category, description, brand and event in identity order, and of
    /// the domains, the behaviours of events, and the portraits and queries of users if there are any, in
    /// hexadecimal.
    ///
    /// Times are not part of the hash. They decide the order of events, which is part of it, and a
    /// split, which has a hash of its own.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut digest = Digest::default();
        digest.size(self.items.len());
        for item in &self.items {
            digest.text(&item.key);
            digest.text(&item.title);
            digest.size(item.categories.len());
            item.categories.iter().for_each(|category| digest.text(category));
        }
        // Only if there are any, so that the hashes of sources without them do not change.
        if self.items.iter().any(|item| !(item.description.is_empty() && item.brand.is_empty())) {
            digest.text("descriptions and brands");
            for item in &self.items {
                digest.text(&item.description);
                digest.text(&item.brand);
            }
        }
        digest.size(self.users.len());
        for user in &self.users {
            digest.text(&user.key);
            digest.items(&user.events);
        }
        if let Some(domains) = &self.domains {
            digest.text(&domains.hash());
        }
        if !self.behaviours.is_empty() {
            digest.text("behaviours");
            digest.size(self.behaviours.len());
            self.behaviours.iter().for_each(|name| digest.text(name));
            for user in &self.users {
                digest.size(user.labels.len());
                user.labels.iter().for_each(|labels| digest.number(labels.bits().into()));
            }
        }
        if self.has_queries() {
            digest.text("portraits and queries");
            for user in &self.users {
                digest.text(&user.portrait);
                digest.size(user.queries.len());
                for query in &user.queries {
                    digest.text(&query.words);
                    digest.items(&query.items);
                }
            }
        }
        digest.finish()
    }
}

impl TryFrom<RawDataset> for Dataset {
    type Error = DataError;

    fn try_from(raw: RawDataset) -> Result<Self, DataError> {
        let dataset = Self::with_behaviours(raw.items, raw.users, raw.behaviours)?;
        if raw.domains.is_empty() { Ok(dataset) } else { dataset.in_domains(raw.domains) }
    }
}

impl From<Dataset> for RawDataset {
    fn from(dataset: Dataset) -> Self {
        let domains = dataset.domains.map(|domains| domains.names().to_vec());
        let Dataset { items, users, behaviours, .. } = dataset;
        Self { items, users, domains: domains.unwrap_or_default(), behaviours }
    }
}

fn numbered(what: &'static str, found: usize) -> Result<(), DataError> {
    u32::try_from(found).map(|_| ()).map_err(|_| DataError::TooMany { what, found })
}

fn unique<'a>(what: &'static str, keys: impl Iterator<Item = &'a str>) -> Result<(), DataError> {
    let mut seen = HashSet::new();
    for key in keys {
        if !seen.insert(key) {
            return Err(DataError::RepeatedKey { what, key: key.to_owned() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Labels, Query, Timestamp};

    fn items() -> Vec<Item> {
        vec![Item::new("a", "an apple"), Item::new("b", "a bean")]
    }

    #[test]
    fn an_event_with_an_unknown_item_is_refused() {
        let users = vec![User::new("u", vec![ItemId(1), ItemId(2)])];
        assert!(matches!(
            Dataset::new(items(), users),
            Err(DataError::EventItem { position: 1, item: ItemId(2), num_items: 2, .. })
        ));
    }

    #[test]
    fn repeated_keys_are_refused() {
        let users = vec![User::new("u", vec![]), User::new("u", vec![])];
        assert!(matches!(
            Dataset::new(items(), users),
            Err(DataError::RepeatedKey { what: "user", .. })
        ));
    }

    #[test]
    fn the_hash_sees_where_one_text_ends_and_the_next_begins() {
        let one = |key: &str, title: &str| {
            let users = vec![User::new("u", vec![ItemId(0)])];
            Dataset::new(vec![Item::new(key, title)], users).unwrap().hash()
        };
        assert_ne!(one("ab", "c"), one("a", "bc"));
        assert_eq!(one("ab", "c"), one("ab", "c"));
    }

    #[test]
    fn times_are_as_many_as_events_and_never_fall() {
        let check = |times: &[i64]| {
            let times = times.iter().copied().map(Timestamp).collect();
            let user = User::new("u", [0, 1, 0].map(ItemId).to_vec()).with_times(times);
            Dataset::new(items(), vec![user]).map(|dataset| dataset.has_times())
        };
        assert!(check(&[1, 1, 2]).unwrap());
        assert!(!check(&[]).unwrap());
        assert!(matches!(check(&[1]), Err(DataError::NumTimes { events: 3, times: 1, .. })));
        assert!(matches!(check(&[1, 2, 1]), Err(DataError::TimeOrder { position: 2, .. })));
    }

    #[test]
    fn labels_are_as_many_as_events_and_name_known_behaviours() {
        let label = |places: &[usize]| places.iter().copied().collect::<Labels>();
        let check = |labels: Vec<Labels>, names: &[&str]| {
            let user = User::new("u", [0, 1].map(ItemId).to_vec()).with_labels(labels);
            let names = names.iter().map(ToString::to_string).collect();
            Dataset::with_behaviours(items(), vec![user], names)
        };
        let dataset = check(vec![label(&[1]), label(&[])], &["like", "share"]).unwrap();
        assert_eq!((dataset.behaviour("share"), dataset.behaviour("comment")), (Some(1), None));
        let json = serde_json::to_string(&dataset).unwrap();
        assert_eq!(serde_json::from_str::<Dataset>(&json).unwrap(), dataset);
        assert!(matches!(
            check(vec![label(&[1]), label(&[])], &["like"]),
            Err(DataError::UnnamedBehaviour { position: 0, known: 1, .. })
        ));
        let one = check(vec![label(&[])], &["like"]);
        assert!(matches!(one, Err(DataError::NumLabels { events: 2, labels: 1, .. })));
        // They are part of the hash; a dataset without any has the hash that it had.
        let other = check(vec![label(&[0]), label(&[])], &["like", "share"]).unwrap();
        assert_ne!(dataset.hash(), other.hash());
    }

    #[test]
    fn queries_name_known_items_and_are_part_of_the_hash() {
        let dataset = |items_of_query: &[u32]| {
            let chosen = items_of_query.iter().copied().map(ItemId).collect();
            let user = User::new("u", vec![ItemId(0)]);
            let queries = vec![Query::new("fruit", vec![ItemId(0)]), Query::new("veg", chosen)];
            Dataset::new(items(), vec![user.with_queries("a cook", queries)])
        };
        let both = dataset(&[1, 0]).unwrap();
        let asked: Vec<_> =
            both.users()[0].queried().map(|(query, item)| (query.words.as_str(), item.0)).collect();
        assert_eq!(asked, [("fruit", 0), ("veg", 1), ("veg", 0)]);
        let json = serde_json::to_string(&both).unwrap();
        assert_eq!(serde_json::from_str::<Dataset>(&json).unwrap(), both);
        assert_ne!(both.hash(), dataset(&[1]).unwrap().hash());
        let outside = dataset(&[2]).unwrap_err();
        assert!(outside.to_string().contains("query `veg`: item 2 is outside the 2"), "{outside}");
    }

    #[test]
    fn deserialising_runs_the_checks() {
        let json = r#"{"items":[{"key":"a","title":"","categories":[]}],
                       "users":[{"key":"u","events":[7]}]}"#;
        assert!(serde_json::from_str::<Dataset>(json).is_err());
    }
}
