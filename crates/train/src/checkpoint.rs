//! Training state on disk, written whole or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sidereal_policy::{Weights, read_safetensors, write_safetensors};

use crate::TrainError;
use crate::files::{io, write_json};

/// What a checkpoint belongs to, by name: hashes of catalogue, prompts, tokenizer, data, settings.
///
/// Resuming under another binding is refused, naming the part that differs.
pub type Binding = BTreeMap<String, String>;

/// A folder of training checkpoints, of which the newest are kept; each holds the best weights so far too.
///
/// Each checkpoint is a folder of its own, made under another name and renamed, so that a kill or a
/// full disk leaves the one before it valid.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    dir: PathBuf,
    binding: Binding,
    last: NonZeroUsize,
}

#[derive(Debug, Serialize, Deserialize)]
struct Head<S> {
    binding: Binding,
    state: S,
}

const TENSORS: &str = "state.safetensors";
const HEAD: &str = "state.json";

impl Checkpoints {
    /// The checkpoints in `dir`, which is created with the first one; one is kept.
    #[must_use]
    pub fn new(dir: &Path, binding: Binding) -> Self {
        Self { dir: dir.to_owned(), binding, last: NonZeroUsize::MIN }
    }

    /// Keeps so many, the newest. A run goes on from the newest that it finds: whoever wants it to go
    /// on from an earlier one removes those behind it.
    #[must_use]
    pub fn keeping(mut self, last: NonZeroUsize) -> Self {
        self.last = last;
        self
    }

    /// Where the checkpoints are.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes the checkpoint of `step` and then removes those of steps behind it and the oldest.
    ///
    /// # Errors
    /// Those of files, by name; older checkpoints then stay, and nothing of this one.
    pub fn save<S: Serialize>(
        &self,
        step: usize,
        state: &S,
        tensors: &Weights,
    ) -> Result<(), TrainError> {
        let partial = self.dir.join("partial");
        if partial.exists() {
            fs::remove_dir_all(&partial).map_err(io(&partial))?;
        }
        fs::create_dir_all(&partial).map_err(io(&partial))?;
        let head = Head { binding: self.binding.clone(), state };
        let whole = self.dir.join(format!("{step:08}"));
        let write = || {
            write_safetensors(&partial.join(TENSORS), tensors)?;
            write_json(&partial.join(HEAD), &head)?;
            if whole.exists() {
                fs::remove_dir_all(&whole).map_err(io(&whole))?;
            }
            fs::rename(&partial, &whole).map_err(io(&whole))
        };
        write().inspect_err(|_| {
            let _ = fs::remove_dir_all(&partial); // best effort: the write's own error is the news
        })?;
        let (earlier, later): (Vec<_>, Vec<_>) = self
            .list()?
            .into_iter()
            .filter(|(other, _)| *other != step)
            .partition(|(other, _)| *other < step);
        let oldest = (earlier.len() + 1).saturating_sub(self.last.get());
        for (_, path) in earlier.iter().take(oldest).chain(&later) {
            fs::remove_dir_all(path).map_err(io(path))?;
        }
        Ok(())
    }

    /// The newest checkpoint, if there is one.
    ///
    /// # Errors
    /// [`TrainError::Binding`] where it belongs to another run; damaged files by name.
    pub fn load<S: DeserializeOwned>(&self) -> Result<Option<(S, Weights)>, TrainError> {
        let Some(path) = self.newest()? else { return Ok(None) };
        let head = path.join(HEAD);
        let text =
            fs::read(&head).map_err(|source| TrainError::Io { path: head.clone(), source })?;
        let head: Head<S> = serde_json::from_slice(&text)
            .map_err(|source| TrainError::Json { path: head, source })?;
        for (part, needed) in &self.binding {
            let found = head.binding.get(part).cloned().unwrap_or_default();
            if found != *needed {
                let (part, needed) = (part.clone(), needed.clone());
                return Err(TrainError::Binding { path, part, found, needed });
            }
        }
        Ok(Some((head.state, read_safetensors(&path.join(TENSORS))?)))
    }

    /// The folder of the newest checkpoint, if there is one.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn newest(&self) -> Result<Option<PathBuf>, TrainError> {
        Ok(self.list()?.pop().map(|(_, path)| path))
    }

    /// Removes all checkpoints: the stage is done and its result stands elsewhere.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn clear(&self) -> Result<(), TrainError> {
        if !self.dir.exists() {
            return Ok(());
        }
        fs::remove_dir_all(&self.dir)
            .map_err(|source| TrainError::Io { path: self.dir.clone(), source })
    }

    /// Whole checkpoints by step, ascending.
    fn list(&self) -> Result<Vec<(usize, PathBuf)>, TrainError> {
        if !self.dir.exists() {
            return Ok(Vec::new());
        }
        let io = |source| TrainError::Io { path: self.dir.clone(), source };
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(io)? {
            let path = entry.map_err(io)?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if let Some(step) = name.and_then(|name| name.parse().ok()) {
                found.push((step, path));
            }
        }
        found.sort();
        Ok(found)
    }
}

/// Prefixes every name, so that several sets of weights share a file.
pub(crate) fn prefixed<'a>(
    prefix: &'a str,
    weights: &'a Weights,
) -> impl Iterator<Item = (String, tch::Tensor)> + 'a {
    weights.iter().map(move |(name, tensor)| (format!("{prefix}{name}"), tensor.detach()))
}

/// Takes the weights with this prefix out of a file's tensors.
pub(crate) fn without_prefix(prefix: &str, tensors: &Weights) -> Weights {
    tensors
        .iter()
        .filter_map(|(name, tensor)| {
            Some((name.strip_prefix(prefix)?.to_owned(), tensor.shallow_clone()))
        })
        .collect()
}

/// Copies of weights as they stand.
pub(crate) fn copies(weights: &Weights) -> Weights {
    prefixed("", weights).map(|(name, weight)| (name, weight.copy())).collect()
}

/// Overwrites weights in place.
pub(crate) fn copy_into(weights: &Weights, from: &Weights) -> Result<(), TrainError> {
    let _guard = tch::no_grad_guard();
    for (name, weight) in weights {
        let source = from.get(name).ok_or_else(|| sidereal_policy::PolicyError::MissingTensor {
            path: "checkpoint".into(),
            name: name.clone(),
        })?;
        weight.detach().f_copy_(source)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Tensor;

    fn binding(catalog: &str) -> Binding {
        Binding::from([("catalogue".to_owned(), catalog.to_owned())])
    }

    #[test]
    fn the_newest_checkpoint_comes_back_and_older_ones_go() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(&dir.path().join("c"), binding("x"));
        assert!(checkpoints.load::<usize>().unwrap().is_none());
        for step in [3, 12] {
            let tensors = Weights::from([("w".to_owned(), Tensor::from_slice(&[step as f32]))]);
            checkpoints.save(step, &step, &tensors).unwrap();
        }
        let (state, tensors) = checkpoints.load::<usize>().unwrap().unwrap();
        assert_eq!((state, tensors["w"].double_value(&[0])), (12, 12.0));
        assert_eq!(checkpoints.list().unwrap().len(), 1);
    }

    #[test]
    fn so_many_checkpoints_stay_as_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(dir.path(), binding("x")).keeping(2.try_into().unwrap());
        let kept =
            || checkpoints.list().unwrap().into_iter().map(|(step, _)| step).collect::<Vec<_>>();
        for step in [3, 12, 20] {
            checkpoints.save(step, &step, &Weights::new()).unwrap();
        }
        assert_eq!(kept(), [12, 20]);
        // Gone back to the earlier one, by hand: what follows replaces what followed.
        fs::remove_dir_all(dir.path().join("00000020")).unwrap();
        assert_eq!(checkpoints.load::<usize>().unwrap().unwrap().0, 12);
        checkpoints.save(15, &15usize, &Weights::new()).unwrap();
        assert_eq!(kept(), [12, 15]);
    }

    #[test]
    fn a_checkpoint_of_another_catalogue_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        Checkpoints::new(dir.path(), binding("x")).save(1, &1usize, &Weights::new()).unwrap();
        let error = Checkpoints::new(dir.path(), binding("y")).load::<usize>().unwrap_err();
        assert!(error.to_string().contains("another catalogue"), "{error}");
    }

    #[test]
    fn a_half_written_checkpoint_is_not_seen() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(dir.path(), binding("x"));
        checkpoints.save(1, &1usize, &Weights::new()).unwrap();
        fs::create_dir(dir.path().join("partial")).unwrap();
        fs::write(dir.path().join("partial").join(TENSORS), b"cut").unwrap();
        assert_eq!(checkpoints.load::<usize>().unwrap().unwrap().0, 1);
        checkpoints.save(2, &2usize, &Weights::new()).unwrap();
        assert_eq!(checkpoints.load::<usize>().unwrap().unwrap().0, 2);
    }
}
