//! Pretrained decoders in GGUF, the format of llama.cpp: settings, tokenizer and weights in one file.
//!
//! Everything is turned into what an HF folder of the same model holds, so that no other code knows the format.

mod config;
mod names;
mod split;
mod tokenizer;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use sidereal_gguf::{Gguf, GgufError};
use tch::{Kind, Tensor};

pub(crate) use self::tokenizer::GgufTokenizer;
use crate::PolicyError;
use crate::mapped::Mapped;
use crate::weights::{Weights, to_i64};

/// A file that is open, with its path for messages.
#[derive(Debug)]
struct Model<'a> {
    path: &'a Path,
    file: Gguf<'a>,
}

impl Model<'_> {
    /// What is wrong with the file.
    fn fail(&self, source: GgufError) -> PolicyError {
        PolicyError::Gguf { path: self.path.to_owned(), source }
    }

    /// A setting that must be there.
    fn need<T>(&self, key: &str, found: Result<Option<T>, GgufError>) -> Result<T, PolicyError> {
        let missing = || GgufError::MissingKey { key: key.to_owned() };
        found.and_then(|found| found.ok_or_else(missing)).map_err(|source| self.fail(source))
    }

    /// A setting that may be missing.
    fn may<T>(&self, found: Result<Option<T>, GgufError>) -> Result<Option<T>, PolicyError> {
        found.map_err(|source| self.fail(source))
    }
}

/// The GGUF file that `base` is, or the only one in the folder `base` if that has no `config.json`.
///
/// # Errors
/// [`PolicyError::SeveralGguf`] for a folder of several.
pub(crate) fn find(base: &Path) -> Result<Option<PathBuf>, PolicyError> {
    let is_gguf =
        |path: &Path| path.extension().is_some_and(|end| end.eq_ignore_ascii_case("gguf"));
    if is_gguf(base) && base.is_file() {
        return Ok(Some(base.to_owned()));
    }
    if base.join("config.json").exists() {
        return Ok(None);
    }
    // A folder that cannot be listed is reported by who reads its `config.json`.
    let Ok(entries) = fs::read_dir(base) else { return Ok(None) };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut found: Vec<PathBuf> = paths.filter(|path| is_gguf(path) && path.is_file()).collect();
    found.sort();
    if found.len() > 1 {
        let name = |path: &PathBuf| path.file_name().unwrap_or_default().display().to_string();
        let found = found.iter().map(name).collect::<Vec<_>>().join(", ");
        return Err(PolicyError::SeveralGguf { dir: base.to_owned(), found });
    }
    Ok(found.pop())
}

/// What `config.json` of the same model holds.
///
/// # Errors
/// [`PolicyError::Gguf`], and [`PolicyError::Unsupported`] for a model of another architecture or with settings that
/// are not computed here.
pub(crate) fn read_config(path: &Path) -> Result<Map<String, Value>, PolicyError> {
    with(path, config::config)
}

/// The tokenizer.
///
/// # Errors
/// [`PolicyError::Gguf`], [`PolicyError::GgufList`], [`PolicyError::Tokenizer`], and [`PolicyError::Unsupported`] for
/// another kind of tokenizer than byte-level BPE, or an unknown way of splitting texts.
pub(crate) fn read_tokenizer(path: &Path) -> Result<GgufTokenizer, PolicyError> {
    with(path, tokenizer::tokenizer)
}

/// All tensors under their names in HF checkpoints, in f32 or as `kind`, on the CPU.
///
/// # Errors
/// [`PolicyError::Gguf`], [`PolicyError::UnknownTensor`], and those of [`read_config`].
pub(crate) fn read_weights(path: &Path, kind: Option<Kind>) -> Result<Weights, PolicyError> {
    with(path, |model| {
        let heads = config::Heads::of(model)?;
        let mut weights = Weights::new();
        for (name, tensor) in model.file.tensors() {
            let hf = names::hf(name).ok_or_else(|| PolicyError::UnknownTensor {
                path: model.path.to_owned(),
                name: (*name).to_owned(),
            })?;
            let shape: Vec<i64> = tensor.shape().iter().copied().map(to_i64).collect();
            let mut numbers = Tensor::f_from_slice(&tensor.to_f32())?.f_view(shape.as_slice())?;
            if let Some(heads) = heads.paired(&hf) {
                numbers = halves(&numbers, heads, model.path, name)?;
            }
            if let Some(kind) = kind {
                numbers = numbers.f_to_kind(kind)?;
            }
            weights.insert(hf, numbers);
        }
        Ok(weights)
    })
}

/// Rows of queries or keys in the order of HF. llama.cpp turns neighbouring rows of a head as a pair, HF the rows that
/// are half a head apart; the converter to GGUF therefore mixes the two halves of each head for Llama.
fn halves(mixed: &Tensor, heads: usize, path: &Path, name: &str) -> Result<Tensor, PolicyError> {
    let shape = mixed.size();
    let rows = shape.first().copied().unwrap_or(0);
    let heads = to_i64(heads);
    if heads == 0 || rows % (2 * heads) != 0 {
        let (path, name) = (path.to_owned(), name.to_owned());
        let mut expected = shape.clone();
        if let Some(first) = expected.first_mut() {
            *first = (rows / (2 * heads.max(1))).max(1) * 2 * heads;
        }
        return Err(PolicyError::TensorShape { path, name, found: shape, expected });
    }
    let pairs = mixed.f_reshape([heads, rows / heads / 2, 2, -1])?; // [H, head/2, 2, D]
    Ok(pairs.f_transpose(1, 2)?.f_reshape(shape.as_slice())?)
}

/// What `read` makes of a file that is mapped.
fn with<T>(
    path: &Path,
    read: impl FnOnce(&Model<'_>) -> Result<T, PolicyError>,
) -> Result<T, PolicyError> {
    let bytes = Mapped::open(path)?;
    let fail = |source| PolicyError::Gguf { path: path.to_owned(), source };
    read(&Model { path, file: Gguf::parse(&bytes).map_err(fail)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_put_back_where_the_converter_took_them_from() {
        // `permute` of llama.cpp's converter: reshape(H, 2, head / 2, D).swapaxes(1, 2).
        let whole = Tensor::arange(2 * 6 * 3, (Kind::Int64, tch::Device::Cpu)).view([12, 3]);
        let mixed = whole.view([2, 2, 3, 3]).transpose(1, 2).reshape([12, 3]);
        assert_ne!(mixed, whole);
        assert_eq!(halves(&mixed, 2, Path::new("x"), "t").unwrap(), whole);
        let bias = Tensor::arange(8, (Kind::Int64, tch::Device::Cpu));
        let mixed = bias.view([2, 2, 2]).transpose(1, 2).reshape([8]);
        assert_eq!(halves(&mixed, 2, Path::new("x"), "t").unwrap(), bias);
    }

    #[test]
    fn rows_that_are_no_heads_are_an_error() {
        let error = halves(
            &Tensor::zeros([10, 3], (Kind::Float, tch::Device::Cpu)),
            3,
            Path::new("x"),
            "t",
        );
        assert!(matches!(error, Err(PolicyError::TensorShape { name, .. }) if name == "t"));
    }
}
