//! Several datasets as one: each a domain, with items and users of its own.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use sidereal_sid::ItemId;

use crate::domains::check_names;
use crate::{DataError, Dataset, Item, User};

impl Dataset {
    /// Several datasets as one, each a domain under its name.
    ///
    /// Keys become `NAME/KEY`, so they do not collide. Titles, texts, events and times stay as they
    /// are. Users keep their order, one domain after the other. Item identities are shuffled by
    /// `seed` over all domains: so an order does not reveal what comes next, and an identity does
    /// not reveal its domain. Some domains may have times and others not; a split by time needs all
    /// times.
    ///
    /// # Errors
    /// [`DataError::DomainName`] for a name that is empty or has white space or `/`,
    /// [`DataError::RepeatedDomain`], [`DataError::NestedDomains`] for a part that is such a
    /// union itself, [`DataError::EmptyDataset`] for no parts and [`DataError::TooMany`].
    ///
    /// # Examples
    /// ```
    /// use sidereal_data::{Dataset, Item, ItemId, User};
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
    /// # Ok::<(), sidereal_data::DataError>(())
    /// ```
    pub fn union<N: Into<String>>(
        parts: impl IntoIterator<Item = (N, Self)>,
        seed: u64,
    ) -> Result<Self, DataError> {
        let parts: Vec<(String, Self)> =
            parts.into_iter().map(|(name, part)| (name.into(), part)).collect();
        let names: Vec<String> = parts.iter().map(|(name, _)| name.clone()).collect();
        check_names(&names)?;
        if let Some((name, domains)) =
            parts.iter().find_map(|(name, part)| Some((name, part.domains()?)))
        {
            let (name, found) = (name.clone(), domains.names().join(", "));
            return Err(DataError::NestedDomains { name, found });
        }
        let mut items = Vec::new();
        let mut users = Vec::new();
        let mut behaviours: Vec<String> = Vec::new();
        for (name, part) in parts {
            // Before the shuffle, an item is where it stood in its part, after the parts before.
            let (before, (of_part, people, own)) = (items.len(), part.into_parts());
            let mut place = |name: String| {
                let known = behaviours.iter().position(|known| *known == name);
                known.unwrap_or_else(|| {
                    behaviours.push(name);
                    behaviours.len() - 1
                })
            };
            let places: Vec<usize> = own.into_iter().map(&mut place).collect();
            let qualified = |key: &str| format!("{name}/{key}");
            items
                .extend(of_part.into_iter().map(|item| Item { key: qualified(&item.key), ..item }));
            users.extend(people.into_iter().map(|user| {
                let labels = user.labels.iter().map(|labels| labels.moved(&places)).collect();
                (before, User { key: qualified(&user.key), labels, ..user })
            }));
        }
        let found = items.len();
        let num_items =
            u32::try_from(found).map_err(|_| DataError::TooMany { what: "items", found })?;
        let mut order: Vec<u32> = (0..num_items).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let mut ids = vec![ItemId(0); items.len()];
        for (id, old) in (0..).map(ItemId).zip(&order) {
            ids[*old as usize] = id;
        }
        let renamed = users.into_iter().map(|(before, mut user): (usize, User)| {
            let queried = user.queries.iter_mut().flat_map(|query| &mut query.items);
            for item in user.events.iter_mut().chain(queried) {
                *item = ids[before + item.index()];
            }
            user
        });
        let users = renamed.collect();
        let mut placed: Vec<(ItemId, Item)> = ids.iter().copied().zip(items).collect();
        placed.sort_unstable_by_key(|(id, _)| *id);
        let items = placed.into_iter().map(|(_, item)| item).collect();
        Self::with_behaviours(items, users, behaviours)?.in_domains(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Query;

    fn shop() -> Dataset {
        let items = ["a", "b"].map(|key| Item::new(key, "")).to_vec();
        Dataset::new(items, vec![User::new("u", [1, 0].map(ItemId).to_vec())]).unwrap()
    }

    #[test]
    fn names_that_do_not_tell_domains_apart_are_refused() {
        for name in ["", "two words", "a/b", "tab\t"] {
            let error = Dataset::union([("x", shop()), (name, shop())], 1).unwrap_err();
            assert!(matches!(&error, DataError::DomainName { name: found } if found == name));
        }
        let twice = Dataset::union([("x", shop()), ("y", shop()), ("x", shop())], 1);
        assert!(matches!(twice, Err(DataError::RepeatedDomain { name }) if name == "x"));
        let none = Dataset::union(Vec::<(String, Dataset)>::new(), 1);
        assert!(matches!(none, Err(DataError::EmptyDataset { .. })));
    }

    #[test]
    fn queries_name_the_items_that_they_named() {
        let asking = |words: &str| {
            let shop = shop();
            let queries = vec![Query::new(words, vec![ItemId(1), ItemId(0)])];
            let user = shop.users()[0].clone().with_queries("a person", queries);
            Dataset::new(shop.items().to_vec(), vec![user]).unwrap()
        };
        for seed in 0..5 {
            let both = Dataset::union([("x", asking("tea")), ("y", asking("pots"))], seed).unwrap();
            let found = both.users().iter().flat_map(|user| {
                user.queried().map(|(query, item)| {
                    (query.words.as_str(), both.item(item).unwrap().key.as_str())
                })
            });
            let expected = [("tea", "x/b"), ("tea", "x/a"), ("pots", "y/b"), ("pots", "y/a")];
            assert_eq!(found.collect::<Vec<_>>(), expected);
        }
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
        assert!(refused("\"x/a\"", "\"z/a\"").contains("item `z/a` belongs to no domain"));
        assert!(refused("\"x/u\"", "\"u\"").contains("user `u` belongs to no domain"));
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
