//! The layout of LC-Rec and of LETTER: whole sequences by user, in JSON.
//!
//! ```text
//! x.inter.json   {"0": [3, 17, 4], …}                                user: items, earliest first
//! x.item.json    {"3": {"title": "…", "description": "…", …}, …}     optional
//! x.index.json   {"3": ["<a_1>", "<b_7>", …], …}                     optional
//! ```
//! There are no times. Both projects publish the same layout and split by leave-one-out: the last item of
//! a user is tested, the one before it validates. Sources:
//! <https://github.com/RUCAIBox/LC-Rec>, <https://github.com/HonghuiBao2000/LETTER>.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::Path;

use serde_json::Value;
use sidereal_sid::{Catalog, ItemId};

use super::indexed::{self, Numbered};
use super::json_map;
use super::policy::{RowPolicy, Skips};
use super::problem::{Problem, ProblemKind};
use crate::{DataError, Dataset, Item, Split, User, leave_one_out};

/// The files of one dataset.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    /// `x.inter.json`.
    pub interactions: &'a Path,
    /// `x.item.json`; without it items have no titles.
    pub items: Option<&'a Path>,
    /// `x.index.json`.
    pub index: Option<&'a Path>,
}

/// What was read.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Loaded {
    /// Items in an order shuffled by seed; users in file order, without times.
    pub dataset: Dataset,
    /// Semantic IDs, if there is an index.
    pub catalog: Option<Catalog>,
    /// Leave-one-out, as both projects split; `None` if no user has 3 events, so nothing could be
    /// held out.
    pub split: Option<Split>,
    /// Entries left out, by file.
    pub skips: Vec<Skips>,
}

/// Reads a dataset with its Semantic IDs and its split; `seed` shuffles item identities, `max_history`
/// cuts what a sample shows (LC-Rec shows 20 items). The line of a problem is the number of the entry,
/// from 1.
///
/// # Errors
/// [`DataError::Io`], [`DataError::Json`]; [`DataError::Row`] for the first problem that `policy`
/// calls an error, [`DataError::AllSkipped`] if it skips all entries of a file;
/// [`DataError::MissingSid`], [`DataError::ItemSid`], [`DataError::SidPrefix`],
/// [`DataError::Catalog`] and the errors of [`Dataset::new`].
///
/// # Examples
/// ```
/// use std::num::NonZeroUsize;
///
/// use sidereal_data::HeldOut;
/// use sidereal_data::read::RowPolicy;
/// use sidereal_data::read::lcrec::{Files, read};
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("x.inter.json");
/// std::fs::write(&path, r#"{"0": [3, 17], "1": [17, 4, 3]}"#)?;
/// let files = Files { interactions: &path, items: None, index: None };
/// let loaded = read(&files, 1, NonZeroUsize::MAX, &RowPolicy::strict())?;
/// assert_eq!((loaded.dataset.num_users(), loaded.dataset.num_items()), (2, 3));
/// assert_eq!(loaded.split.map(|split| split.test.num_samples()), Some(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read(
    files: &Files<'_>,
    seed: u64,
    max_history: NonZeroUsize,
    policy: &RowPolicy,
) -> Result<Loaded, DataError> {
    let mut skips = vec![Skips::new(files.interactions)];
    let mut sequences: Vec<(u64, String, Vec<String>)> = Vec::new();
    json_map::read(files.interactions, policy.max_line, |number, user, value| {
        if let Some(items) = keys(&value) {
            sequences.push((number, user, items));
        } else {
            let needed = "a list of item numbers";
            let problem = Problem::new(ProblemKind::Malformed, "", &value.to_string(), needed);
            skips[0].add(problem.at(number), policy)?;
        }
        Ok(())
    })?;
    skips[0].left_some(sequences.len())?;
    let items = if let Some(path) = files.items {
        let mut skipped = Skips::new(path);
        let items = indexed::read_items(path, policy, &mut skipped)?;
        skips.push(skipped);
        items
    } else {
        let keys: BTreeSet<&String> = sequences.iter().flat_map(|(.., items)| items).collect();
        keys.into_iter().map(|key| Item::new(key, "")).collect()
    };
    let items = Numbered::shuffled(items, seed);
    let mut users = Vec::with_capacity(sequences.len());
    for (number, user, keys) in sequences {
        let unknown = keys.iter().find(|key| items.id(key).is_none());
        if let Some(unknown) = unknown {
            let needed = "an item of the item file";
            let problem = Problem::new(ProblemKind::Field, user, unknown, needed);
            skips[0].add(problem.at(number), policy)?;
            continue;
        }
        let events: Vec<ItemId> = keys.iter().filter_map(|key| items.id(key)).collect();
        users.push(User::new(user, events));
    }
    skips[0].left_some(users.len())?;
    let mut catalog = None;
    if let Some(path) = files.index {
        let mut skipped = Skips::new(path);
        let sids = indexed::read_index(path, policy, &mut skipped)?;
        catalog = Some(indexed::catalog(path, &items.items, &sids, None, &skipped)?);
        skips.push(skipped);
    }
    let dataset = Dataset::new(items.items, users)?;
    let split = match leave_one_out(&dataset, max_history) {
        Ok(split) => Some(split),
        Err(DataError::NothingHeldOut { .. }) => None,
        Err(other) => return Err(other),
    };
    skips.iter().for_each(Skips::tell);
    Ok(Loaded { dataset, catalog, split, skips })
}

/// Item numbers as keys; some files hold them as texts.
fn keys(value: &Value) -> Option<Vec<String>> {
    let key = |value: &Value| match value {
        Value::Number(number) if number.is_u64() => Some(number.to_string()),
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        _ => None,
    };
    value.as_array()?.iter().map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HeldOut as _;

    fn load(inter: &str, item: Option<&str>, policy: &RowPolicy) -> Result<Loaded, DataError> {
        let dir = tempfile::tempdir().unwrap();
        let (inter_path, item_path) =
            (dir.path().join("x.inter.json"), dir.path().join("x.item.json"));
        std::fs::write(&inter_path, inter).unwrap();
        std::fs::write(&item_path, item.unwrap_or_default()).unwrap();
        let items = item.map(|_| item_path.as_path());
        read(&Files { interactions: &inter_path, items, index: None }, 5, NonZeroUsize::MAX, policy)
    }

    #[test]
    fn sequences_keep_their_order_and_titles_their_items() {
        let items = r#"{"4": {"title": "four"}, "7": {"title": "seven"}}"#;
        let dataset =
            load(r#"{"u": [7, "4", 7]}"#, Some(items), &RowPolicy::strict()).unwrap().dataset;
        let titles: Vec<_> = dataset.users()[0]
            .events
            .iter()
            .map(|item| dataset.item(*item).unwrap().title.as_str())
            .collect();
        assert_eq!(titles, ["seven", "four", "seven"]);
        assert!(!dataset.has_times());
    }

    #[test]
    fn the_last_two_items_are_held_out_where_a_user_has_three() {
        let split = |inter: &str| load(inter, None, &RowPolicy::strict()).unwrap().split;
        let three = split(r#"{"u": [4, 7, 4], "v": [7, 4]}"#).unwrap();
        assert_eq!((three.valid.num_samples(), three.test.num_samples()), (1, 1));
        assert_eq!(three.train.num_samples(), 1); // 7 -> 4 of v
        assert_eq!(split(r#"{"u": [4, 7], "v": [7]}"#), None);
    }

    #[test]
    fn an_entry_that_cannot_be_read_is_an_error_or_a_counted_skip() {
        let items = r#"{"4": {"title": "four"}}"#;
        for (inter, needed) in [
            (r#"{"u": [4], "v": [1.5]}"#, "line 2: malformed: expected a list of item numbers"),
            (r#"{"u": [4], "v": 4}"#, "line 2: malformed: expected a list of item numbers"),
            (r#"{"u": [4], "v": [4, 9]}"#, "line 2, field `v`: bad field: expected an item of the"),
        ] {
            let error = load(inter, Some(items), &RowPolicy::strict()).unwrap_err().to_string();
            assert!(error.contains(needed), "{error}");
            let loaded = load(inter, Some(items), &RowPolicy::lenient()).unwrap();
            assert_eq!((loaded.dataset.num_users(), loaded.skips[0].total()), (1, 1));
        }
    }
}
