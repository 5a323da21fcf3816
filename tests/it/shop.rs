//! A shop of a few dozen items, written as atomic files, and settings to match.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use sidereal::data::Dataset;
use sidereal::data::read::recbole::{ReadOptions, read};
use sidereal::lab::Recipe;
use sidereal::train::{Observer, Record};

/// The sentence encoder that the project's set-up fetches.
pub(crate) fn encoder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/all-MiniLM-L6-v2")
}

/// Settings of a run of seconds.
pub(crate) fn recipe() -> Recipe {
    recipe_in("recipe.toml")
}

/// Settings of a run of seconds, in a file beside this one.
pub(crate) fn recipe_in(file: &str) -> Recipe {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/it").join(file);
    let mut recipe = Recipe::load(&path).unwrap();
    recipe.embed.as_mut().unwrap().encoder = encoder();
    recipe
}

/// Writes `shop.inter` and `shop.item`: 40 items of 5 kinds in 8 colours; a user walks through the
/// colours of one kind in order.
pub(crate) fn write(dir: &Path) -> (PathBuf, PathBuf) {
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
    let (inter, item) = (dir.join("shop.inter"), dir.join("shop.item"));
    fs::write(&inter, events).unwrap();
    fs::write(&item, items).unwrap();
    (inter, item)
}

/// The shop, read back.
pub(crate) fn dataset(dir: &Path) -> Dataset {
    let (inter, item) = write(dir);
    read(&inter, &item, &ReadOptions::new(1)).unwrap().dataset
}

/// Panics when a stage reports a step: what a kill does to a run between two steps.
pub(crate) struct Kill {
    pub(crate) stage: &'static str,
    pub(crate) step: usize,
}

impl Observer for Kill {
    fn on_record(&mut self, record: &Record) {
        assert!(record.stage != self.stage || record.step != self.step, "killed");
    }
}
