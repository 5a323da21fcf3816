//! What a fuzz target does with its bytes. The replay of the corpus, a test of `sidereal-data`,
//! includes this file: both do the same.
//!
//! A reader may refuse anything; it may not panic, and what it accepts obeys the laws below. An
//! input of several files is their contents with a line `%%` between them.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use sidereal_data::filter::TitleLimit;
use sidereal_data::read::amazon::{Release, read_metadata, read_reviews};
use sidereal_data::read::recbole::{ReadOptions, ShortHistories};
use sidereal_data::read::{
    OnDoubtful, OnMarkup, RowPolicy, lcrec, literal, minionerec, recbole, recif, tabular,
};
use sidereal_data::{Assembly, Dataset, HeldOut as _, Keys};

const RELEASES: [Release; 3] = [Release::Y2014, Release::Y2018, Release::Y2023];

/// Reviews of every release, by both policies.
pub fn amazon_reviews(bytes: &[u8]) {
    let files = Files::new(&[bytes]);
    for release in RELEASES {
        for policy in policies() {
            let Ok(loaded) = read_reviews(files.path(0), release, &policy) else { continue };
            let (first, last) = policy.times;
            for row in loaded.interactions.rows() {
                assert!((first..=last).contains(&row.time));
                assert!(!loaded.interactions.users().name(row.user).unwrap_or_default().is_empty());
                assert!(!loaded.interactions.items().name(row.item).unwrap_or_default().is_empty());
            }
            assert!(loaded.skips.listed.len() as u64 <= loaded.skips.total());
        }
    }
}

/// Item lines of every release, by both policies; the items `a` and `B7` are wanted.
pub fn amazon_metadata(bytes: &[u8]) {
    let files = Files::new(&[bytes]);
    let mut wanted = Keys::default();
    for key in ["a", "B7"] {
        wanted.insert(key);
    }
    for release in RELEASES {
        for policy in policies() {
            let Ok(loaded) = read_metadata(files.path(0), release, &wanted, &policy) else {
                continue;
            };
            assert!(loaded.items.keys().all(|key| wanted.get(key).is_some()));
            for item in loaded.items.values() {
                let kept = policy.missing_titles == OnDoubtful::Keep;
                assert!(kept || !item.title.is_empty());
                assert!(!item.title.contains('\n'));
                let _ = TitleLimit::Words(3).admits(&item.title);
            }
        }
    }
}

/// A literal that is read can be written as JSON and read again as the same value.
pub fn literal(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(value) = literal::parse(text) {
        assert!(!value.to_string().is_empty());
    }
}

/// `x.inter` and `x.item`.
pub fn recbole(bytes: &[u8]) {
    let files = Files::new(&parts::<2>(bytes));
    for histories in [ShortHistories::Error, ShortHistories::Skip] {
        let options = ReadOptions::new(1).with_short_histories(histories);
        if let Ok(loaded) = recbole::read(files.path(0), files.path(1), &options) {
            check(&loaded.dataset);
            assert!(loaded.dataset.has_times());
            for item in loaded.dataset.items() {
                assert!(!item.title.contains(['\t', '\n', '\r']));
                assert!(item.categories.iter().all(|category| !category.is_empty()));
            }
        }
    }
}

/// `x.item.json`, `x.index.json`, `train.csv`, `valid.csv` and `test.csv`.
pub fn minionerec(bytes: &[u8]) {
    let files = Files::new(&parts::<5>(bytes));
    for policy in policies() {
        for train in [None, Some(files.path(2))] {
            let named = minionerec::Files {
                items: files.path(0),
                index: files.path(1),
                train,
                valid: files.path(3),
                test: files.path(4),
            };
            let read = minionerec::read(&named, 1, NonZeroUsize::MAX, None, &policy);
            let Ok(loaded) = read else { continue };
            check(&loaded.dataset);
            assert_eq!(loaded.catalog.num_items(), loaded.dataset.num_items());
            let held = loaded.split.valid.samples().chain(loaded.split.test.samples());
            assert!(held.chain(loaded.split.train.samples()).all(|s| !s.history.is_empty()));
        }
    }
}

/// `x.inter.json`, `x.item.json` and `x.index.json`.
pub fn lcrec(bytes: &[u8]) {
    let files = Files::new(&parts::<3>(bytes));
    for policy in policies() {
        for items in [None, Some(files.path(1))] {
            for index in [None, Some(files.path(2))] {
                let named = lcrec::Files { interactions: files.path(0), items, index };
                let Ok(loaded) = lcrec::read(&named, 1, NonZeroUsize::MAX, &policy) else {
                    continue;
                };
                check(&loaded.dataset);
                let catalog = loaded.catalog.as_ref();
                assert!(catalog.is_none_or(|it| it.num_items() == loaded.dataset.num_items()));
            }
        }
    }
}

/// A table of users' sequences; `RecIF-Bench`'s columns, and all of them where they are named so.
pub fn recif(bytes: &[u8]) {
    let files = Files::new(&[bytes]);
    let [lenient, _] = policies();
    for behaviour in [None, Some("like")] {
        let mut columns = recif::Columns::recif("video", behaviour);
        for parts in [true, false] {
            if !parts {
                (columns.target, columns.split) = (None, None);
            }
            let read = recif::read(files.path(0), &columns, 1, NonZeroUsize::MAX, &lenient);
            let Ok(loaded) = read else { continue };
            check(&loaded.dataset);
            assert_eq!(loaded.split.is_some(), parts);
        }
    }
}

/// A table of interactions and one of items, in CSV, JSON lines or parquet; with times and without.
pub fn tabular(bytes: &[u8]) {
    let files = Files::new(&parts::<2>(bytes));
    let described = tabular::ItemColumns::new("item_id")
        .with_title("title")
        .with_brand("brand")
        .with_categories("categories")
        .with_description("description");
    let unordered = tabular::Columns::new("user_id", "item_id").with_items(described);
    let by_time = unordered.clone().with_time("timestamp");
    for policy in policies() {
        for columns in [&unordered, &by_time] {
            for items in [None, Some(files.path(1))] {
                let named = tabular::Files { interactions: files.path(0), items };
                let read = tabular::read(&named, columns, &Assembly::new(1), &policy);
                let Ok(data) = read else { continue };
                check(&data.dataset);
                assert_eq!(data.dataset.has_times(), columns.time.is_some());
                for item in data.dataset.items() {
                    assert!(!item.title.contains(['\t', '\n', '\r']));
                    assert!(item.categories.iter().all(|category| !category.is_empty()));
                }
                let (first, last) = policy.times;
                let mut times = data.dataset.users().iter().flat_map(|user| &user.times);
                assert!(times.all(|time| (first..=last).contains(time)));
            }
        }
    }
}

/// What every dataset promises.
fn check(dataset: &Dataset) {
    assert!(dataset.num_items() > 0 && dataset.num_users() > 0);
    for user in dataset.users() {
        assert!(user.events.iter().all(|item| dataset.item(*item).is_some()));
        assert!(user.times.is_sorted());
    }
}

/// Skips all that can be skipped, and keeps all that can be kept; lines are short, so that a
/// fuzzer can make one that is too long.
fn policies() -> [RowPolicy; 2] {
    let lenient = RowPolicy { max_line: 1 << 12, ..RowPolicy::lenient() };
    let keeping = RowPolicy {
        duplicates: OnDoubtful::Keep,
        missing_titles: OnDoubtful::Keep,
        markup: OnMarkup::Keep,
        ..lenient.clone()
    };
    [lenient, keeping]
}

/// The contents between lines `%%`; missing ones are empty.
fn parts<const N: usize>(bytes: &[u8]) -> [&[u8]; N] {
    const MARK: &[u8] = b"\n%%\n";
    let mut rest = bytes;
    std::array::from_fn(|_| {
        let end = rest.windows(MARK.len()).position(|window| window == MARK);
        let part = &rest[..end.unwrap_or(rest.len())];
        rest = end.map_or(&[], |end| &rest[end + MARK.len()..]);
        part
    })
}

/// Contents as files, in memory where the system has such a place.
struct Files {
    _dir: tempfile::TempDir,
    paths: Vec<PathBuf>,
}

impl Files {
    fn new(contents: &[&[u8]]) -> Self {
        let memory = Path::new("/dev/shm");
        let dir = tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()).expect("a folder");
        let write = |(number, contents): (usize, &&[u8])| {
            let path = dir.path().join(number.to_string());
            std::fs::write(&path, contents).expect("a file");
            path
        };
        let paths = contents.iter().enumerate().map(write).collect();
        Self { _dir: dir, paths }
    }

    fn path(&self, number: usize) -> &Path {
        &self.paths[number]
    }
}
