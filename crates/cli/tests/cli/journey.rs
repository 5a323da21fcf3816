//! From raw files to recommendations, reports and exports, on a shop of forty items.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::{fails, sidereal, succeeds};
use crate::shop;

#[test]
fn from_raw_files_to_a_recommendation_a_report_and_an_export() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    shop::write(dir);
    let (encoder, recipe) = (shop::encoder(), shop::recipe());
    let files = ["--interactions", "shop.inter", "--items", "shop.item"];
    succeeds(dir, &[&["prepare", "--out", "data"], &files[..]].concat());

    let sizes = ["--sizes", "4,4,4", "--encoder", &encoder];
    let report =
        succeeds(dir, &[&["sids", "--data", "data", "--out", "sids"], &sizes[..]].concat());
    assert!(report.contains("40 items have 40 Semantic IDs"), "{report}");

    let data = ["--data", "data", "--index", "sids/index.json"];
    let train = ["train", &recipe, "--device", "cpu", "--out"];
    let first = succeeds(dir, &[&train[..], &["one"], &data[..]].concat());
    assert!(first.contains("SINGER") && first.contains("popularity"), "{first}");
    // The Semantic IDs are those that were given, for the dataset's order of items.
    let index = read(&dir.join("sids/index.json"));
    let dataset = read(&dir.join("data/dataset.json"));

    recommends(dir, &index);
    let again = succeeds(dir, &["report", "one"]);
    assert_eq!(again, first);
    let page = fs::read_to_string(dir.join("one/report.html")).unwrap();
    assert!(page.contains("Recommendations"), "showcases are kept");

    succeeds(
        dir,
        &[&["export", "one", "--stage", "sft", "--out", "exported"], &data[..2]].concat(),
    );
    exported(&dir.join("exported"), &index, &dataset);

    // Another seed, with Semantic IDs of the recipe's own.
    let other = ["two", "--data", "data", "--seed", "2", "--encoder", &encoder];
    succeeds(dir, &[&train[..], &other[..]].concat());
    let compared =
        succeeds(dir, &["compare", "one", "two", "--against", "SFT", "--page", "c.html"]);
    assert!(compared.contains("SINGER") && compared.contains("two"), "{compared}");
    assert!(dir.join("c.html").exists());
    let error = fails(dir, &["compare", "one", "two", "--against", "GREAM"], 1);
    assert!(error.contains("SFT, SINGER"), "{error}");
}

/// A history by title, key and Semantic ID.
fn recommends(dir: &Path, index: &Value) {
    let sid: String = index["tea pot-green"]
        .as_array()
        .unwrap()
        .iter()
        .map(|token| token.as_str().unwrap())
        .collect();
    let history = ["red tea pot", "tea pot-blue", &sid];
    let ask = ["recommend", "one", "--device", "cpu", "-k", "3", "--explain", "--data", "data"];
    let found = succeeds(dir, &[&ask[..], &history[..]].concat());
    let lines: Vec<&str> = found.lines().collect();
    assert!(lines[0] == "after" && lines[3].ends_with("green tea pot (tea pot-green)"), "{found}");
    assert_eq!((lines[4], lines[8]), ("next", "log-probabilities of the prefixes"), "{found}");
    // The folder of the policy stands alone: it answers alike without the data, and from elsewhere.
    let alone: Vec<&str> = ask[..ask.len() - 2].to_vec();
    assert_eq!(succeeds(dir, &[&alone[..], &history[..]].concat()), found);
    fs::rename(dir.join("one/singer"), dir.join("moved")).unwrap();
    let moved = [&["recommend", "moved"], &alone[2..], &history[..]].concat();
    assert_eq!(succeeds(dir, &moved), found);
    let error = fails(dir, &[&moved[..], &["--data", "data"]].concat(), 2);
    assert!(error.contains("leave out the flags for data"), "{error}");
    fs::rename(dir.join("moved/items.json"), dir.join("items.json")).unwrap();
    let error = fails(dir, &moved, 2);
    assert!(error.contains("has no items"), "{error}");
    fs::rename(dir.join("items.json"), dir.join("moved/items.json")).unwrap();
    fs::rename(dir.join("moved"), dir.join("one/singer")).unwrap();
    let error = fails(dir, &[&ask[..], &["a yellow submarine"]].concat(), 1);
    assert!(error.contains("a yellow submarine"), "{error}");
}

/// The trie leads to every item by the tokens of its Semantic ID.
fn exported(dir: &Path, index: &Value, dataset: &Value) {
    for name in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
        assert!(dir.join(name).exists(), "{name}");
    }
    let tokenizer = read(&dir.join("tokenizer.json"));
    let id_of = |token: &Value| {
        let mut added = tokenizer["added_tokens"].as_array().unwrap().iter();
        added.find(|added| added["content"] == *token).map(|added| added["id"].clone()).unwrap()
    };
    let trie = read(&dir.join("trie.json"));
    let number = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
    let text = fs::read_to_string(dir.join("items.jsonl")).unwrap();
    let items: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(items.len(), 40);
    for (item, of_data) in items.iter().zip(dataset["items"].as_array().unwrap()) {
        assert_eq!((&item["key"], &item["title"]), (&of_data["key"], &of_data["title"]));
        let tokens = index[item["key"].as_str().unwrap()].as_array().unwrap();
        let ids: Vec<Value> = tokens.iter().map(id_of).collect();
        assert_eq!(item["tokens"], Value::from(ids.clone()));
        let mut node = 0;
        for id in &ids {
            let children = number(&trie["rows"][node])..number(&trie["rows"][node + 1]);
            node = children.into_iter().find(|child| trie["token"][child] == *id).unwrap();
        }
        assert_eq!(number(&item["node"]), node);
    }
}

#[test]
fn every_method_makes_semantic_ids_of_the_same_vectors() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    shop::write(dir);
    let encoder = shop::encoder();
    let files = ["--interactions", "shop.inter", "--items", "shop.item"];
    for (method, more) in [
        ("rq-kmeans", ["--collisions", "slot", "--restarts", "1"]),
        ("balanced-tree", ["--collisions", "keep", "--iterations", "20"]),
        ("rq-vae", ["--collisions", "reassign", "--steps", "5"]),
        ("letter", ["--collisions", "suffix", "--steps", "5"]),
    ] {
        let args =
            ["sids", "--method", method, "--sizes", "4,40", "--encoder", &encoder, "--out", method];
        let report = succeeds(dir, &[&args[..], &files[..], &more[..]].concat());
        assert!(report.contains("40 items have"), "{method}: {report}");
        let knows =
            if method == "letter" { "without the held-out events" } else { "without any events" };
        assert!(report.contains(knows), "{method}: {report}");
        assert_eq!(read(&dir.join(method).join("index.json")).as_object().unwrap().len(), 40);
        assert!(dir.join(method).join("quality.html").exists());
    }
    let texts =
        ["enrich", "--index", "letter/index.json", "--kind", "item-paragraph", "--out", "t.jsonl"];
    let asked = [&texts[..], &files[..]].concat();
    let said = succeeds(dir, &[&asked[..], &["--partial"]].concat());
    let texts = fs::read_to_string(dir.join("t.jsonl")).unwrap();
    let written = texts.lines().filter(|line| line.contains("item-paragraph")).count();
    assert!(written > 30 && said.contains(&format!("wanted 40, written {written}, ")), "{said}");
    if written < 40 {
        let part = sidereal(dir, &asked);
        assert_eq!((part.code, part.stdout), (Some(3), said), "what there is is written and told");
        let missing = format!("{} of 40 texts are missing", 40 - written);
        assert!(part.stderr.contains(&missing), "{}", part.stderr);
        assert_eq!(fs::read_to_string(dir.join("t.jsonl")).unwrap(), texts, "the others are there");
    }
}

#[test]
fn items_are_described_before_they_have_semantic_ids_and_these_are_made_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    shop::write(dir);
    let encoder = shop::encoder();
    let files = ["--interactions", "shop.inter", "--items", "shop.item"];
    // Every user reviews two items; only those who chose them in training may tell of it.
    let mut reviews = String::new();
    for user in 0..60 {
        for item in ["tea pot-red", "tea pot-pink"] {
            let line = format!(r#"{{"user_id": "u{user}", "parent_asin": "{item}", "#);
            let line = format!(r#"{line}"text": "u{user} likes the handle of {item}"}}"#);
            reviews.push_str(&(line + "\n"));
        }
    }
    fs::write(dir.join("reviews.jsonl"), reviews).unwrap();
    let ask = ["enrich", "--kind", "item-description", "--out", "d.jsonl"];
    let with = ["--review-texts", "2023=reviews.jsonl", "--reviews-per-item", "100"];
    let said = succeeds(dir, &[&ask[..], &files[..], &with[..]].concat());
    assert!(said.contains("wanted 40, written 40, failed 0"), "{said}");
    let texts = fs::read_to_string(dir.join("d.jsonl")).unwrap();
    let wrote = |user: usize, colour: &str| {
        texts.contains(&format!("wrote: u{user} likes the handle of tea pot-{colour}"))
    };
    // User 5i begins with colour i and goes on by four; the last two are held out.
    for step in 0..8 {
        let colours = (0..3).map(|later| (step + later) % 8);
        let (red, pink) = (colours.clone().any(|it| it == 0), colours.clone().any(|it| it == 7));
        assert_eq!((wrote(5 * step, "red"), wrote(5 * step, "pink")), (red, pink), "{step}");
    }

    let sids = ["sids", "--sizes", "4,40", "--encoder", &encoder, "--rewritten", "d.jsonl"];
    let report = succeeds(dir, &[&sids[..], &["--out", "described"], &files[..]].concat());
    assert!(report.contains("40 items have"), "{report}");
    let plain = [&sids[..5], &["--out", "plain"], &files[..]].concat();
    succeeds(dir, &plain);
    let index = |name: &str| fs::read(dir.join(name).join("index.json")).unwrap();
    assert_ne!(index("described"), index("plain"));
    // Texts of another numbering of the items are refused, and of items alone.
    let other = [&sids[..], &["--out", "x", "--seed", "2"], &files[..]].concat();
    let error = fails(dir, &other, 1);
    assert!(error.contains("does not belong to this data"), "{error}");
    let error =
        fails(dir, &[&["enrich", "--kind", "preference", "--out", "p"], &files[..]].concat(), 2);
    assert!(error.contains("no Semantic IDs"), "{error}");
    let wrong =
        [&["enrich", "--kind", "preference", "--out", "p"], &files[..], &with[..2]].concat();
    fails(dir, &wrong, 2);
}

#[test]
fn the_papers_presets_do_not_start_with_a_teacher_of_rules() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    shop::write(dir);
    let files = ["--interactions", "shop.inter", "--items", "shop.item"];
    for preset in ["gream/paper", "sidreasoner/paper"] {
        let chat = if preset == "gream/paper" { &[][..] } else { &["--chat", "shop.inter"] };
        let train = ["train", preset, "--base", ".", "--out", "run"];
        let error = fails(dir, &[&train[..], chat, &files[..]].concat(), 2);
        assert!(error.contains("no file of a teacher's texts"), "{error}");
        assert!(error.contains("--enriched FILE") && error.contains("--model NAME"), "{error}");
        assert!(!dir.join("run").exists());
    }
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}
