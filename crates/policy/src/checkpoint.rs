//! Pretrained models as others publish them: HF folders, and GGUF files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use tch::Kind;

use crate::PolicyError;
use crate::gguf;
use crate::weights::{Weights, read_file};

/// The configuration of a model under the names of HF, and the file that it was read from: `config.json` of a folder,
/// or a GGUF file.
///
/// # Errors
/// [`PolicyError::Io`], [`PolicyError::Json`], and those of a GGUF file.
pub(crate) fn read_config(base: &Path) -> Result<(Value, PathBuf), PolicyError> {
    if let Some(path) = gguf::find(base)? {
        let config = gguf::read_config(&path)?;
        return Ok((Value::Object(config), path));
    }
    let path = base.join("config.json");
    Ok((read_json(&path)?, path))
}

/// The JSON in a file.
pub(crate) fn read_json(path: &Path) -> Result<Value, PolicyError> {
    let text = fs::read_to_string(path)
        .map_err(|source| PolicyError::Io { path: path.to_owned(), source })?;
    serde_json::from_str(&text)
        .map_err(|source| PolicyError::Json { path: path.to_owned(), source })
}

/// Reads every tensor of a checkpoint directory: of `model.safetensors`, or of the shards that
/// `model.safetensors.index.json` names; or of a GGUF file, whose numbers are f32. Floats become `kind`, or stay
/// what they are.
///
/// # Errors
/// Those of [`read_safetensors`]; [`PolicyError::NoSafetensors`] if the weights have another
/// format; [`PolicyError::Json`] for a damaged index; [`PolicyError::MissingTensor`] if a shard
/// lacks a tensor that the index says it has.
pub(crate) fn read_checkpoint(dir: &Path, kind: Option<Kind>) -> Result<Weights, PolicyError> {
    if let Some(path) = gguf::find(dir)? {
        return gguf::read_weights(&path, kind);
    }
    let index = checkpoint_file(dir);
    if !index.exists()
        && let Some(found) = other_weights(dir)
    {
        return Err(PolicyError::NoSafetensors { dir: dir.to_owned(), found });
    }
    if index.extension().is_some_and(|extension| extension == "safetensors") {
        return read_file(&index, kind);
    }
    let text = fs::read_to_string(&index)
        .map_err(|source| PolicyError::Io { path: index.clone(), source })?;
    let index: ShardIndex = serde_json::from_str(&text)
        .map_err(|source| PolicyError::Json { path: index.clone(), source })?;
    let files: BTreeSet<&String> = index.weight_map.values().collect();
    let mut weights = Weights::new();
    for file in files {
        let path = dir.join(Path::new(file).file_name().unwrap_or_default());
        let mut shard = read_file(&path, kind)?;
        for name in index.weight_map.iter().filter(|(_, of)| *of == file).map(|(name, _)| name) {
            if !shard.contains_key(name) {
                return Err(PolicyError::MissingTensor { path, name: name.clone() });
            }
        }
        weights.append(&mut shard);
    }
    Ok(weights)
}

/// The file that lists a checkpoint's tensors: `model.safetensors`, the index of its shards, or a GGUF file.
pub(crate) fn checkpoint_file(dir: &Path) -> PathBuf {
    if let Ok(Some(path)) = gguf::find(dir) {
        return path;
    }
    let (whole, index) = (dir.join("model.safetensors"), dir.join("model.safetensors.index.json"));
    if whole.exists() || !index.exists() { whole } else { index }
}

/// The first file of a directory that looks like weights in another format or of adapters alone.
fn other_weights(dir: &Path) -> Option<String> {
    let formats = ["bin", "pt", "pth", "safetensors", "gguf", "h5", "msgpack", "onnx"];
    let files = fs::read_dir(dir).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let looks = |path: &PathBuf| {
        path.extension().is_some_and(|end| formats.iter().any(|format| end == *format))
    };
    let name = |path: PathBuf| Some(path.file_name()?.to_string_lossy().into_owned());
    files.filter(looks).filter_map(name).min()
}

/// Which shard holds which tensor.
#[derive(Debug, Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}
