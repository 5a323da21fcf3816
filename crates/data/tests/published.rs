//! Published data; its counts are those of its publishers. The data are not in this repository:
//! `SIDEREAL_DATA` names the folder that holds `beauty`, `sports` and `industrial`, and these tests
//! fail without it.
//!
//! ```text
//! SIDEREAL_DATA=data cargo test -p sidereal-data --test published -- --ignored
//! ```
//! The same is asked of the shop of this repository, whose files lie in `datasets/shop`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's panic is its report"
)]

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use sidereal_data::read::recbole::{ReadOptions, read};
use sidereal_data::read::{OnMarkup, RowPolicy, minionerec};
use sidereal_data::{HeldOut, audit, leave_one_out};

/// The root of the workspace, where cargo is started.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn published(name: &str) -> PathBuf {
    let folder = std::env::var_os("SIDEREAL_DATA")
        .expect("SIDEREAL_DATA must name the folder of the published data");
    root().join(folder).join(name)
}

/// Users, products and purchases, as the README of `datasets/shop` says.
const SHOP: (usize, usize, usize) = (3_000, 500, 29_770);

fn check(folder: &Path, counts: (usize, usize, usize), shortest: usize, with_categories: bool) {
    let (users, items, interactions) = counts;
    let name = folder.file_name().unwrap();
    let file = |extension: &str| folder.join(name).with_extension(extension);
    let loaded = read(&file("inter"), &file("item"), &ReadOptions::new(42)).unwrap();
    let dataset = &loaded.dataset;
    assert_eq!(
        (dataset.num_users(), dataset.num_items(), dataset.num_interactions()),
        (users, items, interactions)
    );
    assert_eq!(dataset.users().iter().map(|user| user.events.len()).min(), Some(shortest));
    assert_eq!(loaded.notes(), Vec::<String>::new());
    assert_eq!(dataset.items().iter().any(|item| !item.categories.is_empty()), with_categories);

    let split = leave_one_out(dataset, NonZeroUsize::new(20).unwrap()).unwrap();
    assert_eq!((split.valid.num_samples(), split.test.num_samples()), (users, users));
    assert_eq!(split.train.num_samples(), interactions - 3 * users);
    let report = audit(dataset, &split);
    assert!(!report.identity_order.leaks(), "{report:?}");
    assert_eq!(report.items_without_events, 0);
    assert_eq!(report.targets_in_history, 0);
    // The last row of a user's block is the test target: the files are ordered by position.
    let text = std::fs::read_to_string(file("inter")).unwrap();
    let mut last = std::collections::HashMap::new();
    for line in text.lines().skip(1) {
        let (user, rest) = line.split_once('\t').unwrap();
        last.insert(user, rest.split_once('\t').unwrap().0);
    }
    for sample in split.test.samples() {
        let user = &dataset.user(sample.user).unwrap().key;
        assert_eq!(dataset.item(sample.target).unwrap().key, last[user.as_str()]);
    }
}

#[test]
fn the_shop_has_its_recorded_counts_and_targets() {
    check(&root().join("datasets/shop"), SHOP, 6, true);
}

#[test]
#[ignore = "needs SIDEREAL_DATA, a folder with beauty/beauty.inter and beauty/beauty.item"]
fn beauty_has_its_published_counts_and_targets() {
    check(&published("beauty"), (22_363, 12_101, 198_502), 5, true);
}

#[test]
#[ignore = "needs SIDEREAL_DATA, a folder with sports/sports.inter and sports/sports.item"]
fn sports_has_its_published_counts_and_targets() {
    check(&published("sports"), (35_598, 18_357, 296_337), 5, false);
}

#[test]
#[ignore = "needs SIDEREAL_DATA, a folder with industrial/Industrial_and_Scientific.item.json"]
fn industrial_has_its_published_semantic_ids_and_test_rows() {
    let folder = published("industrial");
    let file = |name: &str| folder.join(name);
    let files = minionerec::Files {
        items: &file("Industrial_and_Scientific.item.json"),
        index: &file("Industrial_and_Scientific.index.json"),
        train: None,
        valid: &file("valid.csv"),
        test: &file("test.csv"),
    };
    let ten = NonZeroUsize::new(10).unwrap();
    let policy = RowPolicy { markup: OnMarkup::Keep, ..RowPolicy::strict() };
    let loaded = minionerec::read(&files, 42, ten, Some(&[256; 3]), &policy).unwrap();
    assert_eq!((loaded.catalog.num_items(), loaded.dataset.num_items()), (3686, 3686));
    assert_eq!(loaded.catalog.num_sids(), 3670);
    assert!(loaded.dataset.items().iter().all(|item| !item.title.is_empty()));
    let split = &loaded.split;
    assert_eq!((split.valid.num_samples(), split.test.num_samples()), (4532, 4533));
    // Every test row is there with its user, its history's Semantic IDs and its target.
    let mut expected = std::collections::HashMap::new();
    let mut rows = csv::Reader::from_path(file("test.csv")).unwrap();
    for row in rows.records() {
        let row = row.unwrap();
        let history: String = row[5].chars().filter(|c| !"[]', ".contains(*c)).collect();
        *expected.entry((row[0].to_owned(), history, row[6].to_owned())).or_insert(0) += 1;
    }
    let sid = |item| loaded.catalog.sid(item).unwrap().to_string();
    for sample in split.test.samples() {
        let history: String = sample.history.iter().map(|item| sid(*item)).collect();
        let user = loaded.dataset.user(sample.user).unwrap().key.clone();
        let row = (user, history, sid(sample.target));
        *expected.get_mut(&row).unwrap_or_else(|| panic!("no row {row:?}")) -= 1;
    }
    assert!(expected.values().all(|count| *count == 0));
}
