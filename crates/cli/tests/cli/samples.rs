//! From the published layouts to recommendations: every sample of `datasets/samples`, by four commands.

use std::path::Path;

use crate::program::{fails, succeeds};
use crate::shop;

fn sample(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/samples");
    folder.join(name).to_str().unwrap().to_owned()
}

/// Each layout with the flags that read it.
fn layouts() -> Vec<(&'static str, Vec<String>)> {
    let tables = |kind: &str| {
        vec![
            "--table".to_owned(),
            sample(&format!("tables/table.{kind}")),
            "--columns".to_owned(),
            "user=user_id,item=item_id,time=timestamp".to_owned(),
            "--items".to_owned(),
            sample(&format!("tables/items.{kind}")),
            "--item-columns".to_owned(),
            "key=item_id,title=title,brand=brand,categories=categories,description=description"
                .to_owned(),
        ]
    };
    let flags = |pairs: &[(&str, &str)]| -> Vec<String> {
        let pair = |(flag, value): &(&str, &str)| {
            let value = if value.contains('/') { sample(value) } else { (*value).to_owned() };
            [(*flag).to_owned(), value]
        };
        pairs.iter().flat_map(pair).collect()
    };
    let amazon = |format: &'static str, kind: &str| {
        flags(&[
            ("--format", format),
            ("--reviews", &format!("{format}/reviews.{kind}")),
            ("--items", &format!("{format}/meta.{kind}")),
        ])
    };
    vec![
        (
            "recbole",
            flags(&[("--interactions", "recbole/shop.inter"), ("--items", "recbole/shop.item")]),
        ),
        ("amazon-2014", amazon("amazon-2014", "json")),
        ("amazon-2018", amazon("amazon-2018", "json")),
        ("amazon-2023", amazon("amazon-2023", "jsonl")),
        (
            "minionerec",
            flags(&[
                ("--items", "minionerec/shop.item.json"),
                ("--index", "minionerec/shop.index.json"),
                ("--train", "minionerec/train.csv"),
                ("--valid", "minionerec/valid.csv"),
                ("--test", "minionerec/test.csv"),
            ]),
        ),
        (
            "lcrec with its own codes",
            flags(&[
                ("--interactions", "lcrec/shop.inter.json"),
                ("--items", "lcrec/shop.item.json"),
                ("--index", "lcrec/shop.index.json"),
            ]),
        ),
        (
            "lcrec with ours",
            flags(&[
                ("--interactions", "lcrec/shop.inter.json"),
                ("--items", "lcrec/shop.item.json"),
            ]),
        ),
        ("csv", tables("csv")),
        ("json lines", tables("jsonl")),
        ("parquet", tables("parquet")),
    ]
}

#[test]
fn every_layout_becomes_a_recommendation_in_four_commands() {
    let (encoder, recipe) = (shop::encoder(), shop::recipe());
    for (layout, flags) in layouts() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let mut prepare = [&["prepare", "--out", "data"], &flags[..]].concat();
        if layout.starts_with("amazon") {
            // Five events of every user and item, as in the literature, are too many for a sample.
            let all = [&prepare[..], &["--user-k", "3", "--item-k", "1"]].concat();
            assert!(fails(dir, &prepare, 1).contains("`--user-k`"));
            prepare = all;
        }
        succeeds(dir, &prepare);
        let dataset = dataset(dir);
        let users = dataset["users"].as_array().unwrap().len();
        assert_eq!(users, 60, "{layout}");
        let published = flags.contains(&"--index");
        let mut train = vec!["train", &recipe, "--device", "cpu", "--data", "data", "--out", "run"];
        if !published {
            let sids = ["sids", "--data", "data", "--out", "sids", "--sizes", "4,4,4"];
            succeeds(dir, &[&sids[..], &["--encoder", &encoder]].concat());
            train.extend(["--index", "sids/index.json"]);
        }
        let table = succeeds(dir, &train);
        assert!(table.contains("SINGER"), "{layout}: {table}");
        let key = dataset["items"][0]["key"].as_str().unwrap();
        let found = succeeds(dir, &["recommend", "run", "--device", "cpu", "-k", "3", key]);
        let lines: Vec<&str> = found.lines().collect();
        assert_eq!((lines.len(), lines[0], lines[2]), (6, "after", "next"), "{layout}: {found}");
        assert!(lines[1].ends_with(&format!("({key})")), "{layout}: {found}");
    }
}

fn dataset(dir: &Path) -> serde_json::Value {
    let text = std::fs::read_to_string(dir.join("data/dataset.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}
