//! Folders by others, changed in one file at a time.

use std::fs;
use std::path::Path;

use serde_json::Value;
use sidereal_policy::{Weights, read_safetensors, write_safetensors};

use crate::parity::fixture;

/// A copy of a fixture's files.
pub(crate) fn copy(name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in fs::read_dir(fixture(name)).unwrap().map(|file| file.unwrap().path()) {
        if file.is_file() {
            fs::copy(&file, dir.path().join(file.file_name().unwrap())).unwrap();
        }
    }
    dir
}

pub(crate) fn json(dir: &Path, file: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(dir.join(file)).unwrap()).unwrap()
}

/// Changes a JSON file of a folder, or begins one.
pub(crate) fn edit(dir: &Path, file: &str, change: impl FnOnce(&mut Value)) {
    let mut value = if dir.join(file).exists() {
        json(dir, file)
    } else {
        Value::Object(serde_json::Map::default())
    };
    change(&mut value);
    fs::write(dir.join(file), value.to_string()).unwrap();
}

/// A copy of a fixture with one JSON file changed.
pub(crate) fn edited(name: &str, file: &str, change: impl FnOnce(&mut Value)) -> tempfile::TempDir {
    let dir = copy(name);
    edit(dir.path(), file, change);
    dir
}

pub(crate) fn weights(dir: &Path) -> Weights {
    read_safetensors(&dir.join("model.safetensors")).unwrap()
}

/// Changes the tensors of a folder.
pub(crate) fn edit_weights(dir: &Path, change: impl FnOnce(&mut Weights)) {
    let mut weights = weights(dir);
    change(&mut weights);
    write_safetensors(&dir.join("model.safetensors"), &weights).unwrap();
}

/// Gives every tensor another name.
pub(crate) fn rename(dir: &Path, name: impl Fn(&str) -> String) {
    edit_weights(dir, |weights| {
        *weights = std::mem::take(weights).into_iter().map(|(k, t)| (name(&k), t)).collect();
    });
}
