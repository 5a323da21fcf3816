//! Several datasets as one: each a domain, with items and users of its own.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use sidereal_sid::ItemId;

use crate::dataset::Digest;
use crate::{CorpusError, Dataset, Item, User, UserId};

/// Dense identity of a domain: its place among the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainId(pub u32);

/// Which domain each item and user of a dataset is of.
///
/// A domain has items and users of its own: no user chose items of two. A person who is a customer
/// of two shops is two users, as their keys, `DOMAIN/KEY`, tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domains {
    names: Vec<String>,
    /// Of each item, `[N]`.
    items: Vec<DomainId>,
    /// Of each user.
    users: Vec<DomainId>,
}

impl Domains {
    /// The domains of items and users whose keys begin with a name and `/`.
    pub(crate) fn new(
        names: Vec<String>,
        items: &[Item],
        users: &[User],
    ) -> Result<Self, CorpusError> {
        check_names(&names)?;
        let domain_of = |what: &'static str, key: &str| {
            let name = key.split_once('/').map_or("", |(name, _)| name);
            let found = (0..).map(DomainId).zip(&names).find(|(_, other)| *other == name);
            found.map(|(domain, _)| domain).ok_or_else(|| {
                let (key, names) = (key.to_owned(), names.join(", "));
                CorpusError::NoDomain { what, key, names }
            })
        };
        let of_items = items.iter().map(|item| domain_of("item", &item.key));
        let of_items = of_items.collect::<Result<Vec<_>, _>>()?;
        let of_users = users.iter().map(|user| domain_of("user", &user.key));
        let of_users = of_users.collect::<Result<Vec<_>, _>>()?;
        for (user, domain) in users.iter().zip(&of_users) {
            let other = |item: &ItemId| of_items.get(item.index()) != Some(domain);
            if let Some(position) = user.events.iter().position(other) {
                let item = items.get(user.events[position].index());
                let item = item.map(|item| item.key.clone()).unwrap_or_default();
                return Err(CorpusError::OtherDomain { user: user.key.clone(), position, item });
            }
        }
        Ok(Self { names, items: of_items, users: of_users })
    }

    /// Names, by identity.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Number of domains.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none, which no dataset's domains are.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Every domain, with its name.
    pub fn iter(&self) -> impl Iterator<Item = (DomainId, &str)> {
        (0..).map(DomainId).zip(self.names.iter().map(String::as_str))
    }

    /// The domain of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<DomainId> {
        self.iter().find(|(_, other)| *other == name).map(|(domain, _)| domain)
    }

    /// The domain of an item; `None` for an identity outside the dataset.
    #[must_use]
    pub fn of_item(&self, item: ItemId) -> Option<DomainId> {
        self.items.get(item.index()).copied()
    }

    /// The domain of a user; `None` for an identity outside the dataset.
    #[must_use]
    pub fn of_user(&self, user: UserId) -> Option<DomainId> {
        self.users.get(user.index()).copied()
    }

    /// The items of a domain, by identity.
    pub fn items(&self, domain: DomainId) -> impl Iterator<Item = ItemId> + '_ {
        let all = (0..).map(ItemId).zip(&self.items);
        all.filter(move |(_, of)| **of == domain).map(|(item, _)| item)
    }

    /// BLAKE3 of names, items and users, in hexadecimal.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut digest = Digest::default();
        digest.text("domains");
        digest.size(self.names.len());
        for name in &self.names {
            digest.text(name);
        }
        for of in [&self.items, &self.users] {
            digest.size(of.len());
            for domain in of {
                digest.number(domain.0.into());
            }
        }
        digest.finish()
    }
}

impl Dataset {
    /// Several datasets as one, each a domain under its name.
    ///
    /// Keys become `NAME/KEY`, so that nothing collides; titles, texts, events and times stay.
    /// Users keep their order, one domain behind the other. Item identities are shuffled by `seed`
    /// over all domains: neither does an order leak what comes next, nor does an identity tell its
    /// domain. Domains with times may stand beside others without; a split by time needs all times.
    ///
    /// # Errors
    /// [`CorpusError::DomainName`] for a name that is empty or has white space or `/`,
    /// [`CorpusError::RepeatedDomain`], [`CorpusError::NestedDomains`] for a part that is such a
    /// union itself, [`CorpusError::EmptyDataset`] for no parts and [`CorpusError::TooMany`].
    ///
    /// # Examples
    /// ```
    /// use sidereal_corpus::{Dataset, Item, ItemId, User};
    ///
    /// let shop = |title: &str| {
    ///     let items = vec![Item::new("1", title), Item::new("2", "")];
    ///     Dataset::new(items, vec![User::new("ann", [1, 0].map(ItemId).to_vec())])
    /// };
    /// let parts = [("tea", shop("a pot")?), ("garden", shop("a rake")?)];
    /// let both = Dataset::union(parts, 7)?;
    ///
    /// assert_eq!((both.num_items(), both.num_users()), (4, 2));
    /// let ann = &both.users()[1];
    /// assert_eq!(ann.key, "garden/ann");
    /// let rake = both.item(ann.events[1]).unwrap();
    /// assert_eq!((rake.key.as_str(), rake.title.as_str()), ("garden/1", "a rake"));
    /// let domains = both.domains().unwrap();
    /// assert_eq!(domains.of_item(ann.events[1]), domains.find("garden"));
    /// # Ok::<(), sidereal_corpus::CorpusError>(())
    /// ```
    pub fn union<N: Into<String>>(
        parts: impl IntoIterator<Item = (N, Self)>,
        seed: u64,
    ) -> Result<Self, CorpusError> {
        let parts: Vec<(String, Self)> =
            parts.into_iter().map(|(name, part)| (name.into(), part)).collect();
        let names: Vec<String> = parts.iter().map(|(name, _)| name.clone()).collect();
        check_names(&names)?;
        if let Some((name, domains)) =
            parts.iter().find_map(|(name, part)| Some((name, part.domains()?)))
        {
            let (name, found) = (name.clone(), domains.names().join(", "));
            return Err(CorpusError::NestedDomains { name, found });
        }
        let mut items = Vec::new();
        let mut users = Vec::new();
        for (name, part) in parts {
            // Before the shuffle, an item is where it stood in its part, behind the parts before.
            let (before, (of_part, people)) = (items.len(), part.into_parts());
            let qualified = |key: &str| format!("{name}/{key}");
            items
                .extend(of_part.into_iter().map(|item| Item { key: qualified(&item.key), ..item }));
            users.extend(
                people.into_iter().map(|user| (before, User { key: qualified(&user.key), ..user })),
            );
        }
        let found = items.len();
        let num_items =
            u32::try_from(found).map_err(|_| CorpusError::TooMany { what: "items", found })?;
        let mut order: Vec<u32> = (0..num_items).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let mut ids = vec![ItemId(0); items.len()];
        for (id, old) in (0..).map(ItemId).zip(&order) {
            ids[*old as usize] = id;
        }
        let renamed = users.into_iter().map(|(before, user): (usize, User)| {
            let events = user.events.iter().map(|item| ids[before + item.index()]);
            User { events: events.collect(), ..user }
        });
        let users = renamed.collect();
        let mut placed: Vec<(ItemId, Item)> = ids.iter().copied().zip(items).collect();
        placed.sort_unstable_by_key(|(id, _)| *id);
        let items = placed.into_iter().map(|(_, item)| item).collect();
        Self::new(items, users)?.in_domains(names)
    }
}

/// Accepts names that tell domains apart and can stand before a key.
fn check_names(names: &[String]) -> Result<(), CorpusError> {
    for (index, name) in names.iter().enumerate() {
        if name.is_empty() || name.contains(|c: char| c == '/' || c.is_whitespace()) {
            return Err(CorpusError::DomainName { name: name.clone() });
        }
        if names[..index].contains(name) {
            return Err(CorpusError::RepeatedDomain { name: name.clone() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop() -> Dataset {
        let items = ["a", "b"].map(|key| Item::new(key, "")).to_vec();
        Dataset::new(items, vec![User::new("u", [1, 0].map(ItemId).to_vec())]).unwrap()
    }

    #[test]
    fn names_that_do_not_tell_domains_apart_are_refused() {
        for name in ["", "two words", "a/b", "tab\t"] {
            let error = Dataset::union([("x", shop()), (name, shop())], 1).unwrap_err();
            assert!(matches!(&error, CorpusError::DomainName { name: found } if found == name));
        }
        let twice = Dataset::union([("x", shop()), ("y", shop()), ("x", shop())], 1);
        assert!(matches!(twice, Err(CorpusError::RepeatedDomain { name }) if name == "x"));
        let none = Dataset::union(Vec::<(String, Dataset)>::new(), 1);
        assert!(matches!(none, Err(CorpusError::EmptyDataset { .. })));
    }

    #[test]
    fn a_union_is_no_part_of_another() {
        let both = Dataset::union([("x", shop()), ("y", shop())], 1).unwrap();
        let error = Dataset::union([("z", both)], 1).unwrap_err().to_string();
        assert!(error.contains("`z`") && error.contains("x, y"), "{error}");
    }

    #[test]
    fn reading_back_runs_the_checks() {
        let both = Dataset::union([("x", shop()), ("y", shop())], 1).unwrap();
        let json = serde_json::to_string(&both).unwrap();
        assert_eq!(serde_json::from_str::<Dataset>(&json).unwrap(), both);
        let refused = |from: &str, to: &str| {
            let json = json.replacen(from, to, 1);
            serde_json::from_str::<Dataset>(&json).unwrap_err().to_string()
        };
        assert!(refused("\"x/a\"", "\"z/a\"").contains("item `z/a` is of no domain"));
        assert!(refused("\"x/u\"", "\"u\"").contains("user `u` is of no domain"));
        // The same person, called a customer of the other shop.
        assert!(refused("\"x/u\"", "\"y/v\"").contains("user `y/v`, event 0: item `x/b`"));
    }

    #[test]
    fn the_hash_tells_which_shop_is_which() {
        let one = Dataset::union([("x", shop()), ("y", shop())], 1).unwrap();
        let other = Dataset::union([("y", shop()), ("x", shop())], 1).unwrap();
        assert_ne!(one.hash(), other.hash());
        let hash = |dataset: &Dataset| dataset.domains().unwrap().hash();
        assert_ne!(hash(&one), hash(&other));
    }
}
