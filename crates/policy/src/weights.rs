//! Named weights and safetensors files.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors, View};
use serde_json::Value;
use sidereal_files::{FileError, write_whole, write_whole_by};
use tch::{Device, Kind, Tensor};

use crate::PolicyError;
use crate::generator::SeededGenerator;
use crate::mapped::Mapped;
use crate::sizes::to_usize;

/// A model's weights by their names in HF checkpoints, in a fixed order.
pub type Weights = BTreeMap<String, Tensor>;

/// Shapes that an architecture requires, by tensor name.
pub type Shapes = BTreeMap<String, Vec<i64>>;

/// Reads every tensor of a safetensors file, as f32 on the CPU.
///
/// # Errors
/// [`PolicyError::Io`], [`PolicyError::TensorFile`] for a truncated or damaged file and
/// [`PolicyError::TensorType`].
pub fn read_safetensors(path: &Path) -> Result<Weights, PolicyError> {
    read_file(path, Some(Kind::Float))
}

/// Maps a file and copies its tensors once, floats as `kind` or as they are.
pub(crate) fn read_file(path: &Path, kind: Option<Kind>) -> Result<Weights, PolicyError> {
    let bytes = Mapped::open(path)?;
    let file = SafeTensors::deserialize(&bytes)
        .map_err(|source| PolicyError::TensorFile { path: path.to_owned(), source })?;
    let mut weights = Weights::new();
    let floats = kind;
    for (name, view) in file.tensors() {
        let kind = match view.dtype() {
            Dtype::F32 => Kind::Float,
            Dtype::F16 => Kind::Half,
            Dtype::BF16 => Kind::BFloat16,
            Dtype::I64 => Kind::Int64,
            other => {
                let found = format!("{other:?}");
                return Err(PolicyError::TensorType { path: path.to_owned(), name, found });
            }
        };
        let shape: Vec<i64> = view.shape().iter().map(|d| to_i64(*d)).collect();
        let tensor = Tensor::f_from_data_size(view.data(), &shape, kind)?;
        let tensor = match floats {
            Some(floats) if kind != Kind::Int64 => tensor.f_to_kind(floats)?,
            _ => tensor,
        };
        weights.insert(name, tensor);
    }
    Ok(weights)
}

/// Writes weights as a safetensors file; an existing file is replaced whole or not at all, and a failed
/// write leaves nothing behind.
///
/// # Errors
/// [`PolicyError::Io`] and [`PolicyError::TensorFile`].
pub fn write_safetensors(path: &Path, weights: &Weights) -> Result<(), PolicyError> {
    let views = weights
        .iter()
        .map(|(name, tensor)| Ok((name.as_str(), Cpu::new(tensor)?)))
        .collect::<Result<Vec<_>, PolicyError>>()?;
    let metadata = Some([("format".to_owned(), "pt".to_owned())].into());
    write_whole_by(path, |partial| {
        safetensors::serialize_to_file(views, metadata, partial)
            .map_err(|source| NotWritten(PolicyError::TensorFile { path: path.to_owned(), source }))
    })
    .map_err(|NotWritten(error)| error)
}

/// Writes `config.json` and `model.safetensors`, and `generation_config.json` if there is none,
/// because that of a tokenizer says more.
///
/// # Errors
/// [`PolicyError::Io`] and [`PolicyError::TensorFile`].
pub(crate) fn write_checkpoint(
    dir: &Path,
    config: &Value,
    generation: &Value,
    weights: &Weights,
) -> Result<(), PolicyError> {
    fs::create_dir_all(dir).map_err(|source| PolicyError::Io { path: dir.to_owned(), source })?;
    write_text(&dir.join("config.json"), &format!("{config:#}\n"))?;
    let path = dir.join("generation_config.json");
    if !path.exists() {
        write_text(&path, &format!("{generation:#}\n"))?;
    }
    write_safetensors(&dir.join("model.safetensors"), weights)
}

/// How a fresh tensor is filled.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fresh {
    Ones,
    Zeros,
    /// This number everywhere.
    All(f64),
    /// Draws from a normal distribution of this standard deviation around zero.
    Normal(f64),
}

/// Fresh f32 weights of these shapes, each filled as `fill` says of its name; equal seeds give
/// equal weights on every device.
pub(crate) fn random_weights(
    shapes: &Shapes,
    seed: i64,
    device: Device,
    fill: impl Fn(&str) -> Fresh,
) -> Result<Weights, PolicyError> {
    const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);
    let _generator = SeededGenerator::new(seed);
    shapes
        .iter()
        .map(|(name, shape)| {
            let tensor = match fill(name) {
                Fresh::Ones => Tensor::f_ones(shape, FLOAT)?,
                Fresh::Zeros => Tensor::f_zeros(shape, FLOAT)?,
                Fresh::All(value) => Tensor::f_full(shape, value, FLOAT)?,
                Fresh::Normal(deviation) => Tensor::f_randn(shape, FLOAT)? * deviation,
            };
            Ok((name.clone(), tensor.f_to_device(device)?))
        })
        .collect()
}

/// A weight by its name, sharing storage.
///
/// # Errors
/// [`PolicyError::MissingTensor`].
pub(crate) fn share(weights: &Weights, name: &str) -> Result<Tensor, PolicyError> {
    weights
        .get(name)
        .map(Tensor::shallow_clone)
        .ok_or_else(|| PolicyError::MissingTensor { path: "weights".into(), name: name.to_owned() })
}

/// Writes a text file; an existing file is replaced whole or not at all.
///
/// # Errors
/// [`PolicyError::Io`].
pub(crate) fn write_text(path: &Path, text: &str) -> Result<(), PolicyError> {
    write_whole(path, |out| out.write_all(text.as_bytes()))
        .map_err(|error| NotWritten::from(error).0)
}

/// Why a file was not written.
struct NotWritten(PolicyError);

impl From<FileError> for NotWritten {
    fn from(error: FileError) -> Self {
        let (path, source) = error.into_parts();
        Self(PolicyError::Io { path, source })
    }
}

/// Moves exactly the tensors of `shapes` from `found` to `device`.
///
/// # Errors
/// [`PolicyError::MissingTensor`], [`PolicyError::TensorShape`] and
/// [`PolicyError::UnknownTensor`].
pub(crate) fn select(
    mut found: Weights,
    shapes: &Shapes,
    device: Device,
    path: &Path,
) -> Result<Weights, PolicyError> {
    let path = || -> PathBuf { path.to_owned() };
    let mut weights = Weights::new();
    for (name, expected) in shapes {
        let tensor = found
            .remove(name)
            .ok_or_else(|| PolicyError::MissingTensor { path: path(), name: name.clone() })?;
        if tensor.size() != *expected {
            return Err(PolicyError::TensorShape {
                path: path(),
                name: name.clone(),
                found: tensor.size(),
                expected: expected.clone(),
            });
        }
        weights.insert(name.clone(), tensor.f_to_device(device)?);
    }
    match found.into_keys().next() {
        Some(name) => Err(PolicyError::UnknownTensor { path: path(), name }),
        None => Ok(weights),
    }
}

/// A tensor's elements in memory, for the writer.
#[derive(Debug)]
struct Cpu {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Cpu {
    fn new(tensor: &Tensor) -> Result<Self, PolicyError> {
        let dtype = match tensor.kind() {
            Kind::Float => Dtype::F32,
            Kind::Half => Dtype::F16,
            Kind::BFloat16 => Dtype::BF16,
            Kind::Int64 => Dtype::I64,
            other => {
                return Err(PolicyError::Unsupported {
                    field: "element type",
                    found: format!("{other:?}"),
                    expected: "F32, F16, BF16 and I64",
                });
            }
        };
        let tensor = tensor.detach().f_to_device(Device::Cpu)?.f_contiguous()?;
        let shape = tensor.size().into_iter().map(to_usize).collect::<Result<_, _>>()?;
        let numel = tensor.numel();
        let mut bytes = vec![0; numel * dtype.bitsize() / 8];
        tensor.f_copy_data_u8(&mut bytes, numel)?;
        Ok(Self { dtype, shape, bytes })
    }
}

impl View for Cpu {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// Sizes of tensors in memory fit `i64`.
pub(crate) fn to_i64(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(dir: &Path) -> PathBuf {
        let path = dir.join("model.safetensors");
        let weights = Weights::from([
            ("a".to_owned(), Tensor::from_slice(&[1f32, 2.0, 3.0]).view([3, 1])),
            ("b".to_owned(), Tensor::from_slice(&[1.5f32]).to_kind(Kind::BFloat16)),
        ]);
        write_safetensors(&path, &weights).unwrap();
        path
    }

    #[test]
    fn tensors_come_back_as_written() {
        let dir = tempfile::tempdir().unwrap();
        let back = read_safetensors(&written(dir.path())).unwrap();
        assert_eq!(back["a"].size(), [3, 1]);
        assert_eq!(Vec::<f32>::try_from(back["a"].view(-1)).unwrap(), [1.0, 2.0, 3.0]);
        assert_eq!(Vec::<f32>::try_from(&back["b"]).unwrap(), [1.5]);
    }

    #[test]
    fn a_truncated_file_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path());
        let bytes = fs::read(&path).unwrap();
        for len in [0, 7, 40, bytes.len() - 1] {
            fs::write(&path, &bytes[..len]).unwrap();
            let error = read_safetensors(&path).unwrap_err();
            assert!(error.to_string().contains("model.safetensors"), "{error}");
        }
    }

    #[test]
    fn select_names_missing_and_misshapen_tensors() {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path());
        let pick = |shapes: &[(&str, &[i64])]| {
            let shapes = shapes.iter().map(|(n, s)| ((*n).to_owned(), s.to_vec())).collect();
            select(read_safetensors(&path).unwrap(), &shapes, Device::Cpu, &path).unwrap_err()
        };
        assert!(
            matches!(pick(&[("c", &[1])]), PolicyError::MissingTensor { name, .. } if name == "c")
        );
        assert!(
            matches!(pick(&[("a", &[1, 3])]), PolicyError::TensorShape { name, .. } if name == "a")
        );
        assert!(
            matches!(pick(&[("a", &[3, 1])]), PolicyError::UnknownTensor { name, .. } if name == "b")
        );
    }
}
