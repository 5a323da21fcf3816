//! The samples of every format: they are what the example `make_samples` makes, and hold one dataset.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's panic is its report")]

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use sidereal_data::read::amazon::{self, Release};
use sidereal_data::read::tabular::{self, Columns, ItemColumns};
use sidereal_data::read::{ReadData, RowPolicy, TimeFormat, lcrec, minionerec, recbole, recif};
use sidereal_data::{Assembly, Dataset, HeldOut as _, Item, Ties, Timestamp, strategies};

#[path = "../examples/make_samples/formats.rs"]
mod formats;

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/samples")
}

/// Columns as the samples call them.
fn columns() -> Columns {
    let items = ItemColumns::new("item_id")
        .with_title("title")
        .with_brand("brand")
        .with_categories("categories")
        .with_description("description");
    Columns::new("user_id", "item_id").with_time("timestamp").with_items(items)
}

fn table(folder: &Path, kind: &str) -> ReadData {
    let file = |name: &str| folder.join("tables").join(name).with_extension(kind);
    let (interactions, items) = (file("table"), file("items"));
    let files = tabular::Files { interactions: &interactions, items: Some(&items) };
    tabular::read(&files, &columns(), &Assembly::new(7), &RowPolicy::strict()).unwrap()
}

/// Every sample by the name of its format.
fn every(folder: &Path) -> BTreeMap<&'static str, ReadData> {
    let policy = RowPolicy::strict();
    let file = |name: &str| folder.join(name);
    let mut all: BTreeMap<&'static str, ReadData> = BTreeMap::new();
    let options = recbole::ReadOptions::new(7);
    let (inter, item) = (file("recbole/shop.inter"), file("recbole/shop.item"));
    all.insert("recbole", recbole::read(&inter, &item, &options).unwrap().into());
    for (name, release, kind) in [
        ("amazon-2014", Release::Y2014, "json"),
        ("amazon-2018", Release::Y2018, "json"),
        ("amazon-2023", Release::Y2023, "jsonl"),
    ] {
        let reviews = file(name).join("reviews").with_extension(kind);
        let items = file(name).join("meta").with_extension(kind);
        let read = amazon::read(&reviews, Some(&items), release, &Assembly::new(7), &policy);
        all.insert(name, read.unwrap());
    }
    let files = minionerec::Files {
        items: &file("minionerec/shop.item.json"),
        index: &file("minionerec/shop.index.json"),
        train: Some(&file("minionerec/train.csv")),
        valid: &file("minionerec/valid.csv"),
        test: &file("minionerec/test.csv"),
    };
    let read = minionerec::read(&files, 7, NonZeroUsize::MAX, None, &policy);
    all.insert("minionerec", read.unwrap().into());
    let files = lcrec::Files {
        interactions: &file("lcrec/shop.inter.json"),
        items: Some(&file("lcrec/shop.item.json")),
        index: Some(&file("lcrec/shop.index.json")),
    };
    all.insert("lcrec", lcrec::read(&files, 7, NonZeroUsize::MAX, &policy).unwrap().into());
    let names = recif::Columns::recif("video", None);
    let read = recif::read(&file("recif/shop.parquet"), &names, 7, NonZeroUsize::MAX, &policy);
    all.insert("recif", read.unwrap().into());
    for kind in ["csv", "jsonl", "parquet"] {
        all.insert(kind, table(folder, kind));
    }
    all
}

/// Keys of each user's events, and their times.
fn histories(dataset: &Dataset) -> BTreeMap<String, (Vec<String>, Vec<Timestamp>)> {
    let key = |id: &sidereal_data::ItemId| dataset.item(*id).unwrap().key.clone();
    let user = |user: &sidereal_data::User| {
        (user.key.clone(), (user.events.iter().map(key).collect(), user.times.clone()))
    };
    dataset.users().iter().map(user).collect()
}

fn items(dataset: &Dataset) -> BTreeMap<String, Item> {
    dataset.items().iter().map(|item| (item.key.clone(), item.clone())).collect()
}

#[test]
fn every_sample_holds_the_same_dataset() {
    let expected = formats::dataset().unwrap();
    assert_eq!((expected.num_users(), expected.num_items()), (60, 40));
    assert!(expected.users().iter().all(|user| user.events.len() >= 3));
    let all = every(&samples());
    assert_eq!(all.len(), 10);
    for (name, ReadData { dataset, catalog, split, skips, .. }) in all {
        let mut histories_of_it = histories(&expected);
        if !dataset.has_times() {
            for (_, times) in histories_of_it.values_mut() {
                times.clear();
            }
        }
        assert_eq!(histories(&dataset), histories_of_it, "{name}");
        assert!(skips.iter().all(|skips| skips.total() == 0), "{name}");
        let mut known = items(&expected);
        match name {
            // `RecBole` has no columns for them that are read, and RecIF's items have keys alone.
            "recbole" => known.values_mut().for_each(|item| {
                (item.brand, item.description) = (String::new(), String::new());
            }),
            "recif" => known.values_mut().for_each(|item| *item = Item::new(&item.key, "")),
            _ => {}
        }
        assert_eq!(items(&dataset), known, "{name}");
        assert_eq!(catalog.is_some(), ["minionerec", "lcrec"].contains(&name), "{name}");
        let held = split.map(|split| (split.valid.num_samples(), split.test.num_samples()));
        let expected = match name {
            "minionerec" | "lcrec" => Some((60, 60)),
            "recif" => Some((0, 12)),
            _ => None,
        };
        assert_eq!(held, expected, "{name}");
    }
}

#[test]
fn the_committed_samples_are_what_the_example_makes() {
    let made = tempfile::tempdir().unwrap();
    formats::write_all(made.path()).unwrap();
    let (mut files, mut bytes) = (0, 0);
    for folder in std::fs::read_dir(made.path()).unwrap() {
        for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let committed = samples().join(path.strip_prefix(made.path()).unwrap());
            let is_parquet = path.extension().is_some_and(|kind| kind == "parquet");
            let found = std::fs::read(&committed).unwrap();
            // Parquet names the version of its writer; what is in it is compared below.
            let same = is_parquet || found == std::fs::read(&path).unwrap();
            assert!(same, "{} is not what `make_samples` makes", committed.display());
            (files, bytes) = (files + 1, bytes + found.len());
        }
    }
    assert_eq!(files, 25);
    assert!(bytes < 400_000, "{bytes} bytes");
    let bench = |folder: &Path| {
        let columns =
            recif::Columns::recif_labelled("video", None, &["longview", "like", "comment"])
                .with_queries();
        let (path, policy) = (folder.join("recif/bench.parquet"), RowPolicy::strict());
        recif::read(&path, &columns, 7, NonZeroUsize::MAX, &policy).unwrap()
    };
    let (ours, theirs) = (bench(&samples()), bench(made.path()));
    assert_eq!((&ours.dataset, &ours.split), (&theirs.dataset, &theirs.split));
    // Every fifth user is tested, on three targets or more.
    let tested: BTreeMap<_, usize> =
        ours.split.unwrap().test.samples().fold(BTreeMap::new(), |mut counts, sample| {
            *counts.entry(sample.user).or_default() += 1;
            counts
        });
    assert_eq!((tested.len(), tested.values().min()), (16, Some(&3)));
    let (ours, theirs) = (every(&samples()), every(made.path()));
    for name in ["recif", "parquet"] {
        assert_eq!(ours[name].dataset, theirs[name].dataset, "{name}");
        assert_eq!(ours[name].split, theirs[name].split, "{name}");
    }
}

/// The files that `tests/parity/tabular.py` wrote with pandas, polars and pyarrow.
#[test]
fn tables_of_other_libraries_read_as_one() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/tabular");
    let times = [1_475_280_000_000, 1_475_370_123_004].map(Timestamp).to_vec();
    let bob = vec![Timestamp(1_475_452_800_000)];
    let keys = |keys: &[&str]| keys.iter().copied().map(str::to_owned).collect::<Vec<_>>();
    let expected = BTreeMap::from([
        ("ann".to_owned(), (keys(&["8", "7"]), times)),
        ("bob".to_owned(), (keys(&["7"]), bob)),
    ]);
    let mug = Item::new("7", "7\" mug, red new")
        .with_brand("Acme")
        .with_categories(keys(&["Food", "Tea"]))
        .with_description("x");
    let pan = Item::new("8", "pan").with_categories(keys(&["Food"]));
    let described = BTreeMap::from([("7".to_owned(), mug), ("8".to_owned(), pan)]);
    for (library, kinds) in [
        ("pandas", &["csv", "tsv", "jsonl", "parquet"][..]),
        ("polars", &["csv", "jsonl", "parquet"]),
        ("pyarrow", &["parquet"]),
    ] {
        for kind in kinds {
            let interactions = folder.join(library).with_extension(kind);
            let item_table = folder.join(format!("{library}_items")).with_extension(kind);
            let files = tabular::Files { interactions: &interactions, items: Some(&item_table) };
            let (assembly, policy) = (Assembly::new(7), RowPolicy::strict());
            let dataset = tabular::read(&files, &columns(), &assembly, &policy).unwrap().dataset;
            assert_eq!(histories(&dataset), expected, "{library}, {kind}");
            assert_eq!(items(&dataset), described, "{library}, {kind}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_dataset_reads_back_equal_from_csv_json_lines_and_parquet(
        dataset in strategies::timed_dataset(9, 6)
            .prop_filter("events", |dataset| dataset.users().iter().all(|it| !it.events.is_empty())),
        titles in prop::collection::vec("[a-z\",;|\t é'#]{0,9}", 9),
        seed: u64,
    ) {
        let titled = dataset.items().iter().zip(titles).map(|(item, title)| {
            let mut item = item.clone().with_brand("a, b").with_description("one \"two\";");
            // Readers put a title on one line, without white space at its ends.
            item.title = title.split_whitespace().collect::<Vec<_>>().join(" ");
            item
        });
        let dataset = Dataset::new(titled.collect(), dataset.users().to_vec()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        // Times near 1970, a title or a category that is `nan` or none, and equal events.
        let policy = RowPolicy {
            times: (Timestamp(i64::MIN), Timestamp(i64::MAX)),
            duplicates: sidereal_data::read::OnDoubtful::Keep,
            missing_titles: sidereal_data::read::OnDoubtful::Keep,
            placeholders: sidereal_data::read::OnPlaceholder::Keep,
            ..RowPolicy::strict()
        };
        let assembly = Assembly::new(seed).with_ties(Ties::FileOrder);
        let mut read = Vec::new();
        for (kind, table, described, format) in [
            ("csv", formats::table_csv(&dataset), formats::items_csv(&dataset), TimeFormat::Text),
            (
                "jsonl",
                formats::table_jsonl(&dataset),
                formats::items_jsonl(&dataset),
                TimeFormat::Milliseconds,
            ),
            (
                "parquet",
                formats::table_parquet(&dataset),
                formats::items_parquet(&dataset),
                TimeFormat::Auto,
            ),
        ] {
            let path = |name: &str| dir.path().join(name).with_extension(kind);
            std::fs::write(path("table"), table.unwrap()).unwrap();
            std::fs::write(path("items"), described.unwrap()).unwrap();
            let mut columns = columns().with_time_format(format);
            columns.items = columns.items.with_separator("|");
            let (interactions, items) = (path("table"), path("items"));
            let files = tabular::Files { interactions: &interactions, items: Some(&items) };
            read.push(tabular::read(&files, &columns, &assembly, &policy).unwrap().dataset);
        }
        for back in &read {
            prop_assert_eq!(histories(back), histories(&dataset));
            prop_assert_eq!(items(back), items(&dataset));
        }
        prop_assert_eq!(&read[0], &read[1]);
        prop_assert_eq!(&read[0], &read[2]);
    }
}
