//! What the program answers to a command line that cannot be carried out.

use std::fs;

use crate::program::fails;
use crate::shop;

/// Command lines that have to be changed, and what the message says to do.
const WRONG: [(&[&str], &str); 18] = [
    (&[], "Usage: sidereal"),
    (&["train", "demo", "--out", "x"], "such as `--interactions x.inter --items x.item`"),
    (&["train", "singer", "--data", "x", "--out", "x"], "the presets are demo, "),
    (&["train", "demo", "--interactions", "a.inter", "--out", "x"], "add `--items FILE`"),
    (
        &["train", "demo", "--data", "x", "--base", "b", "--out", "x"],
        "a pretrained model: leave it",
    ),
    (&["prepare", "--reviews", "r.json", "--out", "x"], "add `--format amazon-2014`"),
    (&["prepare", "--data", "d", "--valid", "v", "--out", "x"], "`--valid` does not go with"),
    (&["prepare", "--table", "t", "--columns", "who=a", "--out", "x"], "`who` is not a role"),
    (&["prepare", "--domain", "a.inter", "--out", "x"], "expected NAME=x.inter,x.item"),
    (
        &["sids", "--items", "i", "--method", "rq-vae", "--restarts", "2", "--out", "x"],
        "`--restarts`",
    ),
    (&["sids", "--items", "i", "--method", "letter", "--out", "x"], "learns from interactions"),
    (&["sids", "--items", "i", "--out", "x"], "another folder by `--encoder DIR`"),
    (
        &["train", "singer/paper", "--data", "d", "--out", "x"],
        "its folder or GGUF file by `--base`",
    ),
    (
        &["train", "singer/paper", "--data", "d", "--base", "smollm2", "--out", "x"],
        "run `cargo xtask model smollm2`",
    ),
    (&["compare"], "<RUN>..."),
    (
        &["prepare", "--interactions", "a.inter", "--items", "a.item", "--strict", "--out", "x"],
        "`--strict` does not go with RecBole's files",
    ),
    (&["sids", "--data", "d", "--strict", "--out", "x"], "when it was prepared"),
    (&["keys", "stage.rl", "--schema"], "cannot be used with"),
];

#[test]
fn a_wrong_command_line_exits_with_2_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("i"), r#"{"0": {"title": "an apple"}}"#).unwrap();
    for (args, needed) in WRONG {
        let error = fails(dir.path(), args, 2);
        assert!(error.contains(needed), "{args:?}: {error}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is written");
}

#[test]
fn a_failure_ends_with_1_and_names_its_causes() {
    let dir = tempfile::tempdir().unwrap();
    let train = ["train", "demo", "--interactions", "a.inter", "--items", "a.item", "--out", "x"];
    for args in [
        &train[..],
        &["report", "run"],
        &["recommend", "run", "a"],
        &["recommend", "run", "--blend", "priors", "a"],
        &["export", "run", "--out", "x"],
    ] {
        let error = fails(dir.path(), args, 1);
        let lines: Vec<&str> = error.lines().collect();
        assert!(lines[0].starts_with("error: ") && lines[0].contains('`'), "{error}");
        assert!(lines.last().unwrap().starts_with("caused by: "), "{error}");
    }
}

#[test]
fn options_for_amazon_are_errors_with_other_layouts() {
    let dir = tempfile::tempdir().unwrap();
    shop::write(dir.path());
    let files = ["--interactions", "shop.inter", "--items", "shop.item"];
    let args = [&["prepare", "--out", "x", "--as-others-do"], &files[..]].concat();
    let error = fails(dir.path(), &args, 2);
    assert!(error.contains("works only with Amazon's reviews"), "{error}");
}
