//! Every layout of files becomes a dataset of the same kind.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::program::succeeds;
use crate::shop;

/// Prepares with these flags and returns what the report says.
fn prepared(dir: &Path, flags: &[&str]) -> String {
    let args = [&["prepare", "--out", "data"], flags].concat();
    let report = succeeds(dir, &args);
    for name in ["dataset.json", "train.csv", "valid.csv", "test.csv", "report.json", "report.html"]
    {
        assert!(dir.join("data").join(name).exists(), "{name}");
    }
    report
}

#[test]
fn recboles_files_and_what_comes_of_a_filter() {
    let dir = tempfile::tempdir().unwrap();
    shop::write(dir.path());
    let files = ["--interactions", "shop.inter", "--items", "shop.item", "--recbole"];
    let report = prepared(dir.path(), &files);
    assert!(report.contains("train 120, valid 60, test 60"), "{report}");
    // What was written as RecBole's files is the same shop.
    let again = ["--interactions", "data/dataset.inter", "--items", "data/dataset.item"];
    let report = succeeds(dir.path(), &[&["prepare", "--out", "again"], &again[..]].concat());
    assert!(report.contains("train 120, valid 60, test 60"), "{report}");
    let report = prepared(dir.path(), &[&files[..], &["--until", "1970-01-01T00:00:04Z"]].concat());
    assert!(report.contains("time window: -60 interactions"), "{report}");
}

#[test]
fn two_domains_stay_two_when_filters_take_something_away() {
    let dir = tempfile::tempdir().unwrap();
    shop::write(dir.path());
    let domains = ["--domain", "one=shop.inter,shop.item", "--domain", "two=shop.inter,shop.item"];
    let report = prepared(dir.path(), &domains);
    assert!(report.contains("train 240, valid 120, test 120"), "{report}");
    let again = ["prepare", "--data", "data", "--item-k", "4", "--out", "again"];
    let report = succeeds(dir.path(), &again);
    assert!(report.contains("k-core: -"), "{report}");
    let dataset = fs::read_to_string(dir.path().join("again/dataset.json")).unwrap();
    assert_eq!(json(&dataset)["domains"], json(r#"["one", "two"]"#));
}

#[test]
fn amazons_reviews_with_their_items() {
    let dir = tempfile::tempdir().unwrap();
    let (mut reviews, mut items) = (String::new(), String::new());
    for item in 0..6 {
        writeln!(items, r#"{{"asin": "i{item}", "title": "item {item}"}}"#).unwrap();
        for user in 0..6 {
            let time = 1_400_000_000 + item * 10 + user;
            let who = format!(r#""reviewerID": "u{user}", "asin": "i{item}", "overall": 5.0"#);
            writeln!(reviews, r#"{{{who}, "unixReviewTime": {time}}}"#).unwrap();
        }
    }
    fs::write(dir.path().join("reviews.json"), reviews).unwrap();
    fs::write(dir.path().join("meta.json"), items).unwrap();
    let flags = ["--format", "amazon-2018", "--reviews", "reviews.json", "--items", "meta.json"];
    let report = prepared(dir.path(), &flags);
    assert!(report.contains("k-core: -0 interactions"), "{report}");
    assert!(report.contains("train 18, valid 6, test 6"), "{report}");
}

#[test]
fn sequences_with_semantic_ids_and_rows_that_were_split() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("x.inter.json", r#"{"u": [0, 1, 2, 3], "v": [3, 2, 1, 0]}"#);
    write(
        "x.item.json",
        r#"{"0": {"title": "a"}, "1": {"title": "b"}, "2": {"title": "c"}, "3": {"title": "d"}}"#,
    );
    write(
        "x.index.json",
        r#"{"0": ["<a_0>", "<b_0>"], "1": ["<a_0>", "<b_1>"], "2": ["<a_1>", "<b_0>"], "3": ["<a_1>", "<b_1>"]}"#,
    );
    let header = "user_id,history_item_id,item_id\n";
    write("valid.csv", &format!("{header}u,\"[0, 1]\",2\n"));
    write("test.csv", &format!("{header}u,\"[0, 1, 2]\",3\n"));
    let items = ["--items", "x.item.json", "--index", "x.index.json"];
    let report = prepared(dir.path(), &[&["--interactions", "x.inter.json"], &items[..]].concat());
    assert!(report.contains("train 2, valid 2, test 2"), "{report}");
    let rows = ["--valid", "valid.csv", "--test", "test.csv"];
    let report = prepared(dir.path(), &[&items[..], &rows[..]].concat());
    assert!(report.contains("valid 1, test 1"), "{report}");
    let index = fs::read_to_string(dir.path().join("data/index.json")).unwrap();
    let published = fs::read_to_string(dir.path().join("x.index.json")).unwrap();
    assert_eq!(json(&index), json(&published));
    // What a filter leaves keeps its Semantic IDs.
    let again = ["prepare", "--data", "data", "--user-k", "3", "--out", "again"];
    let report = succeeds(dir.path(), &again);
    assert!(report.contains("k-core: -0 interactions"), "{report}");
    let index = fs::read_to_string(dir.path().join("again/index.json")).unwrap();
    assert_eq!(json(&index), json(&published));
}

#[test]
fn recif_benchs_table() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/samples/recif");
    let table = folder.join("shop.parquet");
    let table = ["--table", table.to_str().unwrap(), "--recif", "video"];
    let report = prepared(dir.path(), &table);
    let users = report.lines().find(|line| line.starts_with("users")).unwrap();
    assert!(users.ends_with(" 60"), "{report}");
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}
