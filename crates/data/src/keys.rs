//! Names of things, each numbered once.

use std::hash::Hasher as _;

use rustc_hash::FxHasher;

/// Names numbered from 0 in the order in which they first came, at a few bytes a name.
///
/// ```
/// use sidereal_data::Keys;
///
/// let mut keys = Keys::default();
/// assert_eq!(keys.insert("B00"), Some(0));
/// assert_eq!(keys.insert("A17"), Some(1));
/// assert_eq!(keys.insert("B00"), Some(0));
/// assert_eq!((keys.get("A17"), keys.get("x")), (Some(1), None));
/// assert_eq!(keys.name(0), Some("B00"));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Keys {
    /// All names, one after the other.
    text: String,
    /// End of each name in `text`.
    ends: Vec<usize>,
    /// Open addressing, a power of two of slots: number of the name plus 1, 0 for none.
    slots: Vec<Slot>,
}

/// A part of the name's hash, so that a name is only compared if it is very likely the right one.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    tag: u32,
    entry: u32,
}

impl Keys {
    /// Number of a name, new or old; `None` for a new one beyond 4,294,967,294 names.
    pub fn insert(&mut self, name: &str) -> Option<u32> {
        // At most three quarters full: probes stay short.
        if self.slots.len() * 3 <= self.len() * 4 {
            self.grow();
        }
        let hash = hash(name);
        let at = self.find(name, hash);
        let slot = self.slots.get_mut(at)?;
        if slot.entry == 0 {
            let entry = u32::try_from(self.ends.len() + 1).ok()?;
            *slot = Slot { tag: tag(hash), entry };
            self.text.push_str(name);
            self.ends.push(self.text.len());
        }
        slot.entry.checked_sub(1)
    }

    /// Number of a known name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<u32> {
        self.slots.get(self.find(name, hash(name)))?.entry.checked_sub(1)
    }

    /// The name of a number.
    #[must_use]
    pub fn name(&self, number: u32) -> Option<&str> {
        let number = number as usize;
        let end = *self.ends.get(number)?;
        // The first name begins where the text does.
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text.get(start..end)
    }

    /// How many names there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Every name by number.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        (0..).map_while(|number| self.name(number))
    }

    /// Reads all memory that [`insert`](Self::insert) of these names will read. If look-ups come
    /// one after the other, each waits for memory four times; here the waits overlap.
    pub(crate) fn warm<'a>(&self, names: impl Iterator<Item = &'a str>) {
        let mask = self.slots.len().wrapping_sub(1);
        let slots = names.filter_map(|name| self.slots.get(place(hash(name)) & mask));
        let entries: Vec<u32> = slots.map(|slot| slot.entry).collect();
        let ends = entries.iter().filter_map(|entry| self.ends.get(entry.wrapping_sub(1) as usize));
        let ends: Vec<usize> = ends.copied().collect();
        let text = self.text.as_bytes();
        let last = ends.iter().filter_map(|end| text.get(end.wrapping_sub(1)));
        std::hint::black_box(last.fold(0, |all, byte| all ^ byte));
    }

    /// Where the name is or belongs; past the end if there are no slots.
    fn find(&self, name: &str, hash: u64) -> usize {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = place(hash) & mask;
        while let Some(slot) = self.slots.get(at) {
            let is_it =
                slot.tag == tag(hash) && self.name(slot.entry.wrapping_sub(1)) == Some(name);
            if slot.entry == 0 || is_it {
                break;
            }
            at = (at + 1) & mask;
        }
        at
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(16);
        let mut slots = vec![Slot::default(); size];
        for (entry, name) in (1..).zip(self.names()) {
            let hash = hash(name);
            let mut at = place(hash) & (size - 1);
            while slots[at].entry != 0 {
                at = (at + 1) & (size - 1);
            }
            slots[at] = Slot { tag: tag(hash), entry };
        }
        self.slots = slots;
    }
}

fn hash(name: &str) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(name.as_bytes());
    hasher.finish()
}

#[allow(clippy::cast_possible_truncation, reason = "a part of the hash is wanted")]
const fn place(hash: u64) -> usize {
    hash as usize
}

const fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn many_names_are_numbered_as_a_plain_map_numbers_them() {
        let (mut keys, mut plain) = (Keys::default(), BTreeMap::new());
        for i in 0..20_000u64 {
            let name = (i * i % 7919).to_string();
            let next = u32::try_from(plain.len()).unwrap();
            let expected = *plain.entry(name.clone()).or_insert(next);
            assert_eq!(keys.insert(&name), Some(expected));
        }
        assert_eq!(keys.len(), plain.len());
        for (name, number) in &plain {
            assert_eq!(keys.get(name), Some(*number));
            assert_eq!(keys.name(*number), Some(name.as_str()));
        }
        assert_eq!(keys.names().count(), plain.len());
    }

    #[test]
    fn the_empty_name_is_a_name() {
        let mut keys = Keys::default();
        assert_eq!(keys.get(""), None);
        assert_eq!((keys.insert("a"), keys.insert(""), keys.get("")), (Some(0), Some(1), Some(1)));
        assert_eq!(keys.name(2), None);
    }
}
