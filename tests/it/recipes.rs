//! The recipes that come with the examples.

use std::fs;
use std::path::{Path, PathBuf};

use sidereal::lab::Recipe;

fn recipes(dir: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { recipes(&path) } else { vec![path] }).collect()
}

#[test]
fn every_recipe_is_valid_and_says_the_same_once_resolved() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/recipes");
    let found = recipes(&dir);
    assert!(found.len() >= 4, "{found:?}");
    for path in found {
        let recipe = Recipe::load(&path).unwrap_or_else(|error| panic!("{path:?}: {error:?}"));
        // What a run's folder keeps.
        let resolved = toml::to_string(&recipe).unwrap();
        assert_eq!(Recipe::parse(&resolved, &path).unwrap(), recipe, "{}", path.display());
    }
}
