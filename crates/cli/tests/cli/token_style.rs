//! Semantic IDs in the tokens of `OpenOneRec`, from `sids` to an export.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::succeeds;
use crate::shop;

#[test]
fn the_tokens_of_openonerec_go_from_sids_through_a_run_into_every_file() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    shop::write(dir);
    let (encoder, recipe) = (shop::encoder(), shop::recipe());
    let files = ["--interactions", "shop.inter", "--items", "shop.item"];
    let sids = ["sids", "--sizes", "4,4,4", "--encoder", &encoder, "--token-style", "open-one-rec"];
    succeeds(dir, &[&sids[..], &["--out", "sids"], &files[..]].concat());
    let index = read(&dir.join("sids/index.json"));
    let text_of = |key: &str| -> String {
        let tokens = index[key].as_array().unwrap().iter();
        tokens.map(|token| token.as_str().unwrap()).collect()
    };
    let first = text_of("tea pot-red");
    assert!(first.starts_with("<|sid_begin|><s_a_") && first.ends_with("><|sid_end|>"), "{first}");
    let table = fs::read_to_string(dir.join("sids/items.tsv")).unwrap();
    assert!(table.contains(&format!("tea pot-red\t{first}\tred tea pot")), "{table}");

    // A prepared folder keeps them, as do the run, what it answers, and what is exported of it.
    let with_index = [&files[..], &["--index", "sids/index.json"]].concat();
    succeeds(dir, &[&["prepare", "--out", "data"], &with_index[..]].concat());
    assert_eq!(read(&dir.join("data/index.json")), index);
    let published = fs::read_to_string(&recipe).unwrap();
    let own = published.find("[embed]").unwrap()..published.find("[tokenizer]").unwrap();
    fs::write(dir.join("published.toml"), published.replacen(&published[own], "", 1)).unwrap();
    let train = ["train", "published.toml", "--device", "cpu", "--data", "data", "--out", "run"];
    succeeds(dir, &train);
    let ask = ["recommend", "run", "--device", "cpu", "-k", "3", "--explain", &first];
    let found = succeeds(dir, &ask);
    let lines: Vec<&str> = found.lines().collect();
    assert_eq!(lines[1], format!("  {first}  red tea pot (tea pot-red)"), "{found}");
    assert!(lines[3].contains("<|sid_begin|><s_a_") && !found.contains("<a_"), "{found}");

    succeeds(dir, &["export", "run", "--out", "exported"]);
    let trie = read(&dir.join("exported/trie.json"));
    let tokenizer = read(&dir.join("exported/tokenizer.json"));
    let id_of = |token: &str| {
        let mut added = tokenizer["added_tokens"].as_array().unwrap().iter();
        added.find(|added| added["content"] == token).map(|added| added["id"].clone()).unwrap()
    };
    assert_eq!(trie["marks"], Value::from(["<|sid_begin|>", "<|sid_end|>"].map(id_of).to_vec()));
    let items = fs::read_to_string(dir.join("exported/items.jsonl")).unwrap();
    for item in items.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        assert_eq!(item["sid"], text_of(item["key"].as_str().unwrap()));
    }
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}
