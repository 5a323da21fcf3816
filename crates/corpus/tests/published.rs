//! Published data, where it lies beside the checkout; its counts are those of its publishers.
//! Without it these tests say that they checked nothing.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test's panic and print are its report"
)]

use std::num::NonZeroUsize;
use std::path::Path;

use sidereal_corpus::read::recbole::{ReadOptions, read};
use sidereal_corpus::read::{OnMarkup, RowPolicy, minionerec};
use sidereal_corpus::{HeldOut, audit, leave_one_out};

fn check(name: &str, users: usize, items: usize, interactions: usize, with_categories: bool) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    if !folder.is_dir() {
        println!("skipped: `{}` is not there", folder.display());
        return;
    }
    let file = |extension: &str| folder.join(name).with_extension(extension);
    let dataset = read(&file("inter"), &file("item"), &ReadOptions::new(42)).unwrap().dataset;
    assert_eq!(
        (dataset.num_users(), dataset.num_items(), dataset.num_interactions()),
        (users, items, interactions)
    );
    assert!(dataset.users().iter().all(|user| user.events.len() >= 5)); // 5-core
    assert_eq!(dataset.items().iter().any(|item| !item.categories.is_empty()), with_categories);

    let split = leave_one_out(&dataset, NonZeroUsize::new(20).unwrap()).unwrap();
    assert_eq!((split.valid.num_samples(), split.test.num_samples()), (users, users));
    assert_eq!(split.train.num_samples(), interactions - 3 * users);
    let report = audit(&dataset, &split);
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
fn beauty_has_its_published_counts_and_targets() {
    check("beauty", 22_363, 12_101, 198_502, true);
}

#[test]
fn sports_has_its_published_counts_and_targets() {
    check("sports", 35_598, 18_357, 296_337, false);
}

#[test]
fn industrial_has_its_published_semantic_ids_and_test_rows() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/industrial");
    if !folder.is_dir() {
        println!("skipped: `{}` is not there", folder.display());
        return;
    }
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
