//! Pretrained decoders in GGUF, the format of llama.cpp: settings, tokenizer and weights in one file.
//!
//! Everything is turned into what an HF folder of the same model holds, so that no other code knows the format.

mod config;
mod model;
mod names;
mod split;
mod tokenizer;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tch::{Kind, Tensor};

use self::model::with;
pub(crate) use self::tokenizer::GgufTokenizer;
use crate::PolicyError;
use crate::weights::{Weights, to_i64};

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
                numbers = halves(&numbers, heads, name)?;
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
fn halves(mixed: &Tensor, heads: usize, name: &str) -> Result<Tensor, PolicyError> {
    let shape = mixed.size();
    let rows = shape.first().copied().unwrap_or(0);
    let of_halves = to_i64(heads).checked_mul(2).filter(|halves| *halves > 0 && rows % halves == 0);
    let Some(halves) = of_halves else {
        let found = format!("{heads} for the {rows} rows of `{name}`");
        let expected = "a number of heads of which each has an even number of rows";
        return Err(PolicyError::Unsupported { field: "attention.head_count", found, expected });
    };
    let pairs = mixed.f_reshape([halves / 2, rows / halves, 2, -1])?; // [H, head / 2, 2, D]
    Ok(pairs.f_transpose(1, 2)?.f_reshape(shape.as_slice())?)
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
        assert_eq!(halves(&mixed, 2, "t").unwrap(), whole);
        let bias = Tensor::arange(8, (Kind::Int64, tch::Device::Cpu));
        let mixed = bias.view([2, 2, 2]).transpose(1, 2).reshape([8]);
        assert_eq!(halves(&mixed, 2, "t").unwrap(), bias);
    }

    #[test]
    fn rows_that_are_no_heads_are_an_error() {
        let rows = Tensor::zeros([10, 3], (Kind::Float, tch::Device::Cpu));
        for heads in [0, 3, usize::MAX] {
            let error = halves(&rows, heads, "t").unwrap_err().to_string();
            assert!(error.contains(&format!("{heads} for the 10 rows of `t`")), "{error}");
        }
    }
}
