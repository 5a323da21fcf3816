//! A shop of forty items in `RecBole`'s files, and a recipe of seconds.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Writes `shop.inter` and `shop.item`: 40 items of 5 kinds in 8 colours; a user walks through the
/// colours of one kind in order.
pub(crate) fn write(dir: &Path) {
    let kinds = ["tea pot", "rain coat", "desk lamp", "running shoe", "garden chair"];
    let colours = ["red", "blue", "green", "black", "white", "yellow", "brown", "pink"];
    let mut items = String::from("item_id:token\ttitle:token_seq\n");
    for kind in kinds {
        for colour in colours {
            writeln!(items, "{kind}-{colour}\t{colour} {kind}").unwrap();
        }
    }
    let mut events = String::from("user_id:token\titem_id:token\ttimestamp:float\n");
    for user in 0..60 {
        for step in 0..5 {
            let (kind, colour) = (kinds[user % 5], colours[(user / 5 + step) % 8]);
            writeln!(events, "u{user}\t{kind}-{colour}\t{step}").unwrap();
        }
    }
    fs::write(dir.join("shop.inter"), events).unwrap();
    fs::write(dir.join("shop.item"), items).unwrap();
}

/// The sentence encoder that the project's set-up fetches.
pub(crate) fn encoder() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/all-MiniLM-L6-v2");
    path.to_str().unwrap().to_owned()
}

/// The recipe of seconds.
pub(crate) fn recipe() -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/tiny.toml");
    path.to_str().unwrap().to_owned()
}
