//! A model on this machine as a teacher: its answers are checked, counted and kept.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::{fails, sidereal, succeeds};
use crate::shop;

const FILES: [&str; 4] = ["--interactions", "shop.inter", "--items", "shop.item"];

/// A tiny model of random weights, with words and a chat template of its own.
fn model() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy/tests/parity/gguf/qwen3.gguf");
    path.to_str().unwrap().to_owned()
}

/// The texts of the answers in a cache, which may have been written in any order.
fn answers(path: &Path) -> BTreeSet<(String, String)> {
    let text = fs::read_to_string(path).unwrap();
    let answer = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let field = |value: &Value| value.as_str().unwrap().to_owned();
        (field(&line["key"]), field(&line["answer"]["text"]))
    };
    text.lines().map(answer).collect()
}

#[test]
fn a_models_answers_are_checked_counted_and_never_asked_for_twice() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    shop::write(dir);
    let model = model();
    let ask = ["enrich", "--kind", "item-description", "--limit", "5", "--out", "t.jsonl"];
    let by = ["--teacher", &model, "--device", "cpu", "--max-tokens", "6", "--corrections", "1"];
    let asked = [&ask[..], &by[..], &FILES[..]].concat();

    // Random weights keep no rule.
    let first = sidereal(dir, &[&asked[..], &["--concurrency", "5"]].concat());
    assert_eq!(first.code, Some(3), "{}", first.stderr);
    assert!(first.stdout.contains("wanted 5, written 0, failed 5"), "{}", first.stdout);
    assert!(first.stdout.contains("requests 10, rejected answers 10"), "{}", first.stdout);
    assert_eq!(first.stderr.matches("item-description: rejected: ").count(), 5, "{}", first.stderr);
    assert!(first.stderr.contains("5 of 5 texts are missing"), "{}", first.stderr);
    assert!(first.stderr.contains("a second; answers from the file: 0"), "{}", first.stderr);

    // A second start asks for nothing; one request at a time is answered like a batch.
    let again = sidereal(dir, &asked);
    assert!(again.stdout.contains("requests 0, rejected answers 10"), "{}", again.stdout);
    assert!(again.stderr.contains("answers from the file: 10"), "{}", again.stderr);
    let alone = ["--concurrency", "1", "--cache", "alone.jsonl", "--partial"];
    succeeds(dir, &[&asked[..], &alone[..]].concat());
    let together = answers(&dir.join("answers.jsonl"));
    assert_eq!((together.len(), answers(&dir.join("alone.jsonl"))), (10, together.clone()));

    // Draws depend on the seed alone.
    let drawn = |cache| {
        let more = ["--temperature", "1", "--cache", cache, "--partial"];
        succeeds(dir, &[&asked[..], &more[..]].concat());
        answers(&dir.join(cache))
    };
    let once = drawn("once.jsonl");
    assert_eq!(once, drawn("twice.jsonl"));
    let texts = |of: &BTreeSet<(String, String)>| -> BTreeSet<String> {
        of.iter().map(|(_, text)| text.clone()).collect()
    };
    assert_ne!(texts(&once), texts(&together));
}

#[test]
fn a_run_whose_model_writes_nothing_usable_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    shop::write(dir);
    let text = fs::read_to_string(shop::recipe()).unwrap();
    let mixture =
        "[stage.sft.mixture]\ntasks = [\"next-item\", \"preference\"]\nmax_tokens = 160\n";
    let text = text
        .replace("seed = 1\n", "seed = 1\nprompts = \"gream\"\n")
        .replace("alignment_share = 0.5\n", "")
        .replacen("[stage.sft.optim]", &format!("{mixture}\n[stage.sft.optim]"), 1);
    let teacher = "[texts.teacher.model]\nbase = \"nowhere\"\nmax_tokens = 6\ncorrections = 0\n";
    fs::write(dir.join("own.toml"), format!("{text}\n{teacher}")).unwrap();
    let (encoder, model) = (shop::encoder(), model());
    let train = ["train", "own.toml", "--encoder", &encoder, "--device", "cpu", "--out", "run"];
    let train = [&train[..], &FILES[..]].concat();
    let error = fails(dir, &train, 2);
    assert!(error.contains("no model for a teacher at `nowhere`"), "{error}");
    let by = ["--teacher", &model, "--teacher-texts", "2"];
    let error = fails(dir, &[&train[..], &by[..]].concat(), 1);
    assert!(error.contains("`texts.teacher.model`"), "{error}");
    assert!(error.contains("wrote none of 2 texts by the rules"), "{error}");
    // Its answers stay for the next start.
    assert_eq!(answers(&dir.join("run/enriched.answers.jsonl")).len(), 2);
    let rules = ["--teacher", "metadata", "--teacher-texts", "2"];
    fails(dir, &[&train[..], &rules[..]].concat(), 2);
}
