//! The result of every reader.

use sidereal_sid::Catalog;

use super::policy::Skips;
use super::{lcrec, minionerec, recbole};
use crate::{DataError, Dataset, HeldOut, Split};

/// What a reader made of files: the one result of every reader, for every format.
///
/// The results of the readers of this crate convert to it, by [`From`]. A reader of your own is a
/// function that returns it; there is no trait to implement.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::path::Path;
///
/// use sidereal_data::read::ReadData;
/// use sidereal_data::{Assembly, DataError, Interactions, Timestamp};
///
/// /// Reads lines such as `ann apple 1475280000`.
/// fn read(path: &Path, seed: u64) -> Result<ReadData, Box<dyn std::error::Error>> {
///     let mut rows = Interactions::default();
///     for line in std::fs::read_to_string(path)?.lines() {
///         let [user, item, time] = line.split(' ').collect::<Vec<_>>()[..] else {
///             return Err(format!("expected three words, found `{line}`").into());
///         };
///         let time = Timestamp::from_whole_seconds(time.parse()?).ok_or("the time is too large")?;
///         rows.push(user, item, time)?;
///     }
///     Ok(ReadData::new(rows.into_dataset(BTreeMap::new(), &Assembly::new(seed))?))
/// }
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("log.txt");
/// std::fs::write(&path, "ann pear 1475280060\nann apple 1475280000\nbob pear 1475280000\n")?;
/// let data = read(&path, 42)?;
/// assert_eq!((data.dataset.num_users(), data.dataset.num_items()), (2, 2));
/// assert!(data.catalog.is_none() && data.split.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReadData {
    /// The items, the users and what each user chose.
    pub dataset: Dataset,
    /// The Semantic IDs of the items, if the files hold them.
    pub catalog: Option<Catalog>,
    /// The split that is published with the data; if there is none, make one, for example by
    /// [`leave_one_out`](crate::leave_one_out).
    pub split: Option<Split>,
    /// What was left out or changed: counts and a report for each file.
    pub skips: Vec<Skips>,
    /// What else a user of the data should know about how they were read, one line each.
    pub notes: Vec<String>,
}

impl ReadData {
    /// The dataset alone: without Semantic IDs and a split, and with nothing left out.
    #[must_use]
    pub const fn new(dataset: Dataset) -> Self {
        Self { dataset, catalog: None, split: None, skips: Vec::new(), notes: Vec::new() }
    }

    /// The data with the Semantic IDs of their items, in the order of the items.
    ///
    /// # Errors
    /// [`DataError::CatalogSize`] for a catalogue with more or fewer items than the dataset.
    pub fn with_catalog(mut self, catalog: Catalog) -> Result<Self, DataError> {
        let (found, needed) = (catalog.num_items(), self.dataset.num_items());
        if found != needed {
            return Err(DataError::CatalogSize { catalog: found, dataset: needed });
        }
        self.catalog = Some(catalog);
        Ok(self)
    }

    /// The data with a split of them.
    ///
    /// # Errors
    /// [`DataError::OtherSplit`] for a split that holds an event which the dataset does not hold at
    /// the same place.
    pub fn with_split(mut self, split: Split) -> Result<Self, DataError> {
        let dataset = &self.dataset;
        let is_there = |user, position: usize, events: &[_]| {
            let known = dataset.user(user).map_or(&[][..], |user| &user.events);
            known.get(position..position + events.len()) == Some(events)
        };
        let trained = split.train.sequences().map(|it| (it.user, 0, it.events));
        if let Some((user, ..)) =
            trained.into_iter().find(|(user, position, events)| !is_there(*user, *position, events))
        {
            return Err(DataError::OtherSplit { user });
        }
        let held = split.valid.samples().chain(split.test.samples());
        for sample in held {
            if !is_there(sample.user, sample.seen.len(), &[sample.target]) {
                return Err(DataError::OtherSplit { user: sample.user });
            }
        }
        self.split = Some(split);
        Ok(self)
    }

    /// The data with a report of what was left out of a file.
    #[must_use]
    pub fn with_skips(mut self, skips: Skips) -> Self {
        self.skips.push(skips);
        self
    }

    /// The data with a line on how they were read.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// How many rows were left out or changed, over all files.
    #[must_use]
    pub fn num_skipped(&self) -> u64 {
        self.skips.iter().map(Skips::total).sum()
    }
}

impl From<recbole::Loaded> for ReadData {
    fn from(loaded: recbole::Loaded) -> Self {
        let notes = loaded.notes();
        Self { notes, ..Self::new(loaded.dataset) }
    }
}

impl From<lcrec::Loaded> for ReadData {
    fn from(loaded: lcrec::Loaded) -> Self {
        let lcrec::Loaded { dataset, catalog, split, skips } = loaded;
        Self { catalog, split, skips, ..Self::new(dataset) }
    }
}

impl From<minionerec::Loaded> for ReadData {
    fn from(loaded: minionerec::Loaded) -> Self {
        let minionerec::Loaded { dataset, catalog, split, skips } = loaded;
        Self { catalog: Some(catalog), split: Some(split), skips, ..Self::new(dataset) }
    }
}

#[cfg(feature = "parquet")]
impl From<super::recif::Loaded> for ReadData {
    fn from(loaded: super::recif::Loaded) -> Self {
        let mut data = Self::new(loaded.dataset).with_skips(loaded.skips);
        data.split = loaded.split;
        if loaded.without_events > 0 {
            let count = loaded.without_events;
            data = data.with_note(format!("users without an event that counts, left out: {count}"));
        }
        data
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use sidereal_sid::{ItemId, SemanticId, SidSpec};

    use super::*;
    use crate::filter::KCore;
    use crate::prepare::{PrepareConfig, prepare};
    use crate::read::RowPolicy;
    use crate::read::amazon::{self, Release};
    use crate::{Assembly, Item, SplitProtocol, User, leave_one_out};

    fn dataset(events: &[u32]) -> Dataset {
        let items = (0..4).map(|i| Item::new(i.to_string(), "")).collect();
        let events = events.iter().copied().map(ItemId).collect();
        Dataset::new(items, vec![User::new("ann", events)]).unwrap()
    }

    /// Users `u` and `v` choose `a`, `b` and `c`; the item `c` has no line.
    #[test]
    fn reviews_are_read_with_their_items_or_prepared() {
        let dir = tempfile::tempdir().unwrap();
        let (reviews, items) = (dir.path().join("reviews"), dir.path().join("meta"));
        let line = |user: &str, item: &str, time: u32| {
            format!("{{\"reviewerID\":\"{user}\",\"asin\":\"{item}\",\"unixReviewTime\":{time}}}\n")
        };
        let rows = [("u", "a", 1), ("u", "b", 2), ("u", "c", 3), ("v", "b", 1), ("v", "c", 2)];
        let lines = rows.map(|(user, item, time)| line(user, item, 1_300_000_000 + time));
        std::fs::write(&reviews, lines.concat()).unwrap();
        std::fs::write(
            &items,
            r#"{"asin":"a","title":"x"}
{"asin":"b","title":"y"}"#,
        )
        .unwrap();
        let (assembly, release) = (Assembly::new(1), Release::Y2018);
        let read =
            |items, policy: &RowPolicy| amazon::read(&reviews, items, release, &assembly, policy);
        let bare = read(None, &RowPolicy::strict()).unwrap();
        assert_eq!((bare.dataset.num_items(), bare.skips.len(), bare.notes.len()), (3, 1, 0));
        let error = read(Some(&items), &RowPolicy::strict()).unwrap_err();
        assert!(matches!(error, DataError::Undescribed { .. }), "{error}");
        let data = read(Some(&items), &RowPolicy::lenient()).unwrap();
        assert_eq!((data.dataset.num_items(), data.skips.len()), (2, 2));
        assert_eq!(
            data.notes,
            ["without a line of their own: -2 interactions, -0 users, -1 items"]
        );
        let config = PrepareConfig {
            release,
            policy: RowPolicy::strict(),
            window: None,
            title_limit: None,
            k_core: KCore { user: 3, item: 1 },
            assembly,
            protocol: SplitProtocol::LeaveOneOut,
            max_history: NonZeroUsize::MIN,
        };
        let data = ReadData::from(prepare(&reviews, None, &config).unwrap());
        assert_eq!(data.split.unwrap().test.num_samples(), 1);
        assert_eq!(data.notes, ["k-core: -2 interactions, -1 users, -0 items"]);
    }

    #[test]
    fn a_split_or_a_catalogue_of_other_data_is_refused() {
        let ours = dataset(&[0, 1, 2, 3]);
        let split = |events: &[u32]| leave_one_out(&dataset(events), NonZeroUsize::MIN).unwrap();
        let with = |events: &[u32]| ReadData::new(ours.clone()).with_split(split(events));
        assert!(with(&[0, 1, 2, 3]).unwrap().split.is_some());
        for events in [&[1, 0, 2, 3][..], &[0, 1, 2, 0], &[0, 1, 3, 2], &[0, 1, 2, 3, 0]] {
            let error = with(events).unwrap_err().to_string();
            assert!(error.contains("user 0 has other events in the split"), "{error}");
        }
        let spec = SidSpec::new(vec![4], 0).unwrap();
        let catalog = Catalog::new(spec, [[0], [1]].map(SemanticId::new).to_vec()).unwrap();
        let refused = ReadData::new(ours).with_catalog(catalog);
        assert!(matches!(refused, Err(DataError::CatalogSize { catalog: 2, dataset: 4 })));
    }
}
