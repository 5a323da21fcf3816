//! The domains of a dataset that is made of several, each with items and users of its own.

use sidereal_sid::ItemId;

use crate::digest::Digest;
use crate::{DataError, Item, User, UserId};

/// Dense identity of a domain: its place among the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainId(pub u32);

/// Which domain each item and user of a dataset is of.
///
/// A domain has items and users of its own: no user chose items of two. A person who is a customer
/// of two shops counts as two users, with two keys of the form `DOMAIN/KEY`.
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
    ) -> Result<Self, DataError> {
        check_names(&names)?;
        let domain_of = |what: &'static str, key: &str| {
            let name = key.split_once('/').map_or("", |(name, _)| name);
            let found = (0..).map(DomainId).zip(&names).find(|(_, other)| *other == name);
            found.map(|(domain, _)| domain).ok_or_else(|| {
                let (key, names) = (key.to_owned(), names.join(", "));
                DataError::NoDomain { what, key, names }
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
                return Err(DataError::OtherDomain { user: user.key.clone(), position, item });
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

    /// Whether there are no domains; this is never so for the domains of a dataset.
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

/// Accepts names that are all different and can be put before a key.
pub(crate) fn check_names(names: &[String]) -> Result<(), DataError> {
    for (index, name) in names.iter().enumerate() {
        if name.is_empty() || name.contains(|c: char| c == '/' || c.is_whitespace()) {
            return Err(DataError::DomainName { name: name.clone() });
        }
        if names[..index].contains(name) {
            return Err(DataError::RepeatedDomain { name: name.clone() });
        }
    }
    Ok(())
}
