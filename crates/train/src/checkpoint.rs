//! Training state on disk, written whole or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use sidereal_files::{FolderLock, move_folder, read_json, write_json};
use sidereal_policy::{PolicyError, Weights, read_safetensors, write_safetensors};
use tch::Tensor;

use crate::TrainError;
use crate::error::io;

/// What a checkpoint belongs to, by name: hashes of catalogue, prompts, tokenizer, data, settings.
///
/// Resuming under another binding is an error that names the part that differs.
pub type Binding = BTreeMap<String, String>;

/// A folder of training checkpoints, of which the newest are kept. Each also holds the best weights so far.
///
/// Each checkpoint is a folder of its own. It is made under another name and then renamed, so that after a
/// kill, a full disk or a power cut the checkpoint before it is still valid. That one is removed after the
/// new name is on the disk. The first read or write locks the folder for this value and its clones; for
/// another process the folder is then an error.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    dir: PathBuf,
    binding: Binding,
    last: NonZeroUsize,
    lock: Arc<Mutex<Option<FolderLock>>>,
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
        let lock = Arc::default();
        Self { dir: dir.to_owned(), binding, last: NonZeroUsize::MIN, lock }
    }

    /// Keeps the newest `last` checkpoints. A run goes on from the newest that it finds. To go on
    /// from an earlier one, remove those after it.
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

    /// Writes the checkpoint of `step` and then removes those of steps after it and the oldest.
    ///
    /// # Errors
    /// Those of files, by name. Then older checkpoints stay, and nothing of this one. [`TrainError::File`]
    /// if another process works in the folder.
    pub fn save<S: Serialize>(
        &self,
        step: usize,
        state: &S,
        tensors: &Weights,
    ) -> Result<(), TrainError> {
        self.acquire()?;
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
            Ok(move_folder(&partial, &whole)?)
        };
        write().inspect_err(|_: &TrainError| {
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
    /// [`TrainError::Binding`] if it belongs to another run; damaged files by name;
    /// [`TrainError::File`] if another process works in the folder.
    pub fn load<S: DeserializeOwned>(&self) -> Result<Option<(S, Weights)>, TrainError> {
        if self.dir.exists() {
            self.acquire()?;
        }
        let Some(path) = self.newest()? else { return Ok(None) };
        let head: Head<S> = read_json(&path.join(HEAD))?;
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

    /// What the newest checkpoint has for a part of its binding; `None` without one.
    ///
    /// # Errors
    /// Those of files, by name.
    pub fn bound_to(&self, part: &str) -> Result<Option<String>, TrainError> {
        let head = self.head::<IgnoredAny>()?;
        Ok(head.and_then(|head| head.binding.get(part).cloned()))
    }

    /// The step whose weights are the best of the newest checkpoint, if its state says so.
    ///
    /// # Errors
    /// Those of files, by name.
    pub fn best_step(&self) -> Result<Option<usize>, TrainError> {
        #[derive(Deserialize)]
        struct Best {
            #[serde(default)]
            best_step: Option<usize>,
        }
        Ok(self.head::<Best>()?.and_then(|head| head.state.best_step))
    }

    /// The newest checkpoint without its tensors.
    fn head<S: DeserializeOwned>(&self) -> Result<Option<Head<S>>, TrainError> {
        let Some(path) = self.newest()? else { return Ok(None) };
        Ok(Some(read_json(&path.join(HEAD))?))
    }

    /// Removes all checkpoints, when the stage is done and its result is stored elsewhere.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn clear(&self) -> Result<(), TrainError> {
        if !self.dir.exists() {
            return Ok(());
        }
        self.acquire()?;
        fs::remove_dir_all(&self.dir).map_err(io(&self.dir))?;
        // The file of the lock is removed with the folder.
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }

    /// Locks the folder for this value and its clones.
    fn acquire(&self) -> Result<(), TrainError> {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if lock.is_none() {
            *lock = Some(FolderLock::acquire(&self.dir)?);
        }
        Ok(())
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
) -> impl Iterator<Item = (String, Tensor)> + 'a {
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

/// Copies of the current weights.
pub(crate) fn copies(weights: &Weights) -> Weights {
    prefixed("", weights).map(|(name, weight)| (name, weight.copy())).collect()
}

/// Overwrites weights in place by those of a checkpoint, which has all of them in the same shapes.
pub(crate) fn copy_into(weights: &Weights, from: &Weights) -> Result<(), TrainError> {
    let _guard = tch::no_grad_guard();
    for (name, weight) in weights {
        let source = from.get(name).ok_or_else(|| PolicyError::MissingTensor {
            path: "checkpoint".into(),
            name: name.clone(),
        })?;
        same_shape(name, source, weight)?;
        weight.detach().f_copy_(source)?;
    }
    Ok(())
}

/// Accepts a tensor of a checkpoint if it has the shape of the tensor that it overwrites. A smaller one
/// would be repeated to fill it.
pub(crate) fn same_shape(name: &str, found: &Tensor, needed: &Tensor) -> Result<(), PolicyError> {
    let (found, expected) = (found.size(), needed.size());
    if found == expected {
        return Ok(());
    }
    Err(PolicyError::TensorShape {
        path: "checkpoint".into(),
        name: name.to_owned(),
        found,
        expected,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_folder_that_somebody_else_trains_into_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let first = Checkpoints::new(dir.path(), binding("x"));
        first.save(1, &1usize, &Weights::new()).unwrap();
        first.clone().load::<usize>().unwrap();
        let second = Checkpoints::new(dir.path(), binding("x"));
        let refused = [
            second.load::<usize>().map(drop),
            second.save(2, &2usize, &Weights::new()),
            second.clear(),
        ];
        for error in refused.map(Result::unwrap_err) {
            let named = format!("the folder `{}` is in use", dir.path().display());
            assert!(error.to_string().contains(&named), "{error}");
        }
        drop(first);
        assert_eq!(second.load::<usize>().unwrap().unwrap().0, 1);
    }

    #[test]
    fn a_weight_of_another_shape_is_refused_by_name_and_not_repeated() {
        let of = |values: &[f32]| Weights::from([("w".to_owned(), Tensor::from_slice(values))]);
        let weights = of(&[1.0, 2.0, 3.0]);
        let error = copy_into(&weights, &of(&[7.0])).unwrap_err().to_string();
        assert!(error.contains("`w` has the shape [1]"), "{error}");
        assert!(copy_into(&weights, &Weights::new()).unwrap_err().to_string().contains("`w`"));
        copy_into(&weights, &of(&[7.0, 8.0, 9.0])).unwrap();
        assert_eq!(Vec::<f32>::try_from(&weights["w"]).unwrap(), [7.0, 8.0, 9.0]);
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
