//! Codebooks on disk: a safetensors file and a JSON spec beside it.

use std::fs;
use std::path::Path;

use ndarray::Array2;
use safetensors::tensor::{Metadata, TensorView};
use safetensors::{Dtype, SafeTensorError};
use serde::{Deserialize, Serialize};
use sidereal_files::write_whole;

use crate::{Codebooks, QuantizerError};

/// The two files of saved codebooks.
const TENSORS: &str = "codebooks.safetensors";
const SPEC: &str = "codebooks.json";

/// Contents of the JSON file.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    codebook_sizes: Vec<usize>,
    width: usize,
}

impl Codebooks {
    /// Writes `codebooks.safetensors`, with a tensor `codebook.l` `[K, D]` for each level `l`, and
    /// `codebooks.json` into `folder`, which is created if absent. Each file is replaced whole or
    /// not at all.
    ///
    /// # Errors
    /// [`QuantizerError::Io`] and, from the writer of safetensors,
    /// [`QuantizerError::Safetensors`].
    pub fn save(&self, folder: &Path) -> Result<(), QuantizerError> {
        fs::create_dir_all(folder).map_err(io(folder))?;
        let path = folder.join(TENSORS);
        let bad = |source| QuantizerError::Safetensors { path: path.clone(), source };
        let bytes: Vec<Vec<u8>> = self
            .tables()
            .iter()
            .map(|table| table.values.iter().flat_map(|v| v.to_le_bytes()).collect())
            .collect();
        let mut tensors = Vec::new();
        for (level, (table, bytes)) in self.tables().iter().zip(&bytes).enumerate() {
            let shape = vec![table.len(), self.width()];
            let view = TensorView::new(Dtype::F32, shape, bytes).map_err(bad)?;
            tensors.push((tensor_name(level), view));
        }
        let tensors = safetensors::serialize(tensors, None).map_err(bad)?;
        write_atomically(&path, &tensors)?;
        let spec = Spec { codebook_sizes: self.sizes(), width: self.width() };
        let path = folder.join(SPEC);
        let text = serde_json::to_vec_pretty(&spec)
            .map_err(|source| QuantizerError::Spec { path: path.clone(), source })?;
        write_atomically(&path, &text)
    }

    /// Reads what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// [`QuantizerError::Io`]; [`QuantizerError::Spec`] and [`QuantizerError::SpecMismatch`] for
    /// the JSON file; [`QuantizerError::Safetensors`], [`QuantizerError::TruncatedHeader`],
    /// [`QuantizerError::TruncatedTensor`], [`QuantizerError::MissingTensor`] and
    /// [`QuantizerError::TensorKind`] for the tensors; those of [`new`](Self::new) for their
    /// values.
    pub fn load(folder: &Path) -> Result<Self, QuantizerError> {
        let path = folder.join(SPEC);
        let text = fs::read(&path).map_err(io(&path))?;
        let spec: Spec = serde_json::from_slice(&text)
            .map_err(|source| QuantizerError::Spec { path: path.clone(), source })?;
        let path = folder.join(TENSORS);
        let bytes = fs::read(&path).map_err(io(&path))?;
        let (header, data) = split_header(&path, &bytes)?;
        let stored = header.tensors().len();
        if stored != spec.codebook_sizes.len() {
            let expected = format!("{} levels", spec.codebook_sizes.len());
            let found = format!("{stored} tensors");
            return Err(QuantizerError::SpecMismatch { path, expected, found });
        }
        let mut levels = Vec::with_capacity(spec.codebook_sizes.len());
        for (level, size) in spec.codebook_sizes.iter().enumerate() {
            let tensor = tensor_name(level);
            let values = read_f32(&path, &header, data, &tensor, &[*size, spec.width])?;
            let shape = (*size, spec.width);
            let codebook = Array2::from_shape_vec(shape, values).map_err(linfa::Error::NdShape)?;
            levels.push(codebook);
        }
        Self::new(levels)
    }
}

fn tensor_name(level: usize) -> String {
    format!("codebook.{level}")
}

pub(crate) fn io(path: &Path) -> impl Fn(std::io::Error) -> QuantizerError {
    move |source| QuantizerError::Io { path: path.to_owned(), source }
}

/// Replaces a file whole or not at all; a failed write leaves nothing behind.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), QuantizerError> {
    write_whole(path, |out| out.write_all(bytes)).map_err(|error| {
        let (path, source) = error.into_parts();
        QuantizerError::Io { path, source }
    })
}

/// The header of a safetensors file and the bytes after it, of which all tensors must be there.
pub(crate) fn split_header<'a>(
    path: &Path,
    bytes: &'a [u8],
) -> Result<(Metadata, &'a [u8]), QuantizerError> {
    let truncated =
        || QuantizerError::TruncatedHeader { path: path.to_owned(), found: bytes.len() };
    let bad = |source| QuantizerError::Safetensors { path: path.to_owned(), source };
    let (size, rest) = bytes.split_first_chunk::<8>().ok_or_else(truncated)?;
    let size = usize::try_from(u64::from_le_bytes(*size)).unwrap_or(usize::MAX);
    if size > 100_000_000 {
        return Err(bad(SafeTensorError::HeaderTooLarge));
    }
    let (header, data) = rest.split_at_checked(size).ok_or_else(truncated)?;
    let header: Metadata = serde_json::from_slice(header)
        .map_err(|source| bad(SafeTensorError::InvalidHeaderDeserialization(source)))?;
    let mut tensors: Vec<_> = header.tensors().into_iter().collect();
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    for (tensor, info) in tensors {
        let (start, end) = info.data_offsets;
        if end > data.len() {
            let (expected, found) = (end - start, data.len().saturating_sub(start));
            let path = path.to_owned();
            return Err(QuantizerError::TruncatedTensor { path, tensor, expected, found });
        }
    }
    Ok((header, data))
}

/// The values of a tensor that must have this shape and hold `f32`.
pub(crate) fn read_f32(
    path: &Path,
    header: &Metadata,
    data: &[u8],
    tensor: &str,
    shape: &[usize],
) -> Result<Vec<f32>, QuantizerError> {
    let info = header.info(tensor).ok_or_else(|| QuantizerError::MissingTensor {
        path: path.to_owned(),
        tensor: tensor.to_owned(),
    })?;
    let (start, end) = info.data_offsets;
    // What the file does not hold has too few bytes for the shape.
    let bytes = data.get(start..end).unwrap_or_default();
    if info.dtype != Dtype::F32
        || info.shape != shape
        || bytes.len() != shape.iter().product::<usize>() * 4
    {
        return Err(QuantizerError::TensorKind {
            path: path.to_owned(),
            tensor: tensor.to_owned(),
            found: format!("{:?} {:?}", info.dtype, info.shape),
            expected: format!("F32 {shape:?}"),
        });
    }
    Ok(bytes.chunks_exact(4).map(|v| f32::from_le_bytes([v[0], v[1], v[2], v[3]])).collect())
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn codebooks() -> Codebooks {
        Codebooks::new(vec![array![[0.5, -1.0], [2.0, 3.0]], array![[0.25, 1e-20]]]).unwrap()
    }

    fn saved() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        codebooks().save(folder.path()).unwrap();
        folder
    }

    #[test]
    fn codebooks_that_cannot_be_written_leave_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join(TENSORS);
        fs::create_dir(&taken).unwrap();
        let refused = codebooks().save(folder.path());
        assert!(matches!(refused, Err(QuantizerError::Io { path, .. }) if path == taken));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn saved_codebooks_load_back_equal() {
        assert_eq!(Codebooks::load(saved().path()).unwrap(), codebooks());
    }

    #[test]
    fn every_truncation_is_an_error_and_one_in_the_data_names_its_tensor() {
        let folder = saved();
        let path = folder.path().join(TENSORS);
        let bytes = fs::read(&path).unwrap();
        for len in 0..bytes.len() {
            fs::write(&path, &bytes[..len]).unwrap();
            let error = Codebooks::load(folder.path()).unwrap_err();
            // 8 bytes of codebook.1 stand at the end, 16 of codebook.0 before them.
            let tensor = match bytes.len() - len {
                1..=8 => Some("codebook.1"),
                9..=24 => Some("codebook.0"),
                _ => None,
            };
            match (tensor, error) {
                (Some(name), QuantizerError::TruncatedTensor { tensor, .. }) => {
                    assert_eq!(tensor, name);
                }
                (None, QuantizerError::TruncatedHeader { .. }) => {}
                (_, other) => panic!("at {len} bytes: {other}"),
            }
        }
    }

    #[test]
    fn tensors_of_another_shape_than_the_spec_are_refused() {
        let folder = saved();
        fs::write(folder.path().join(SPEC), r#"{"codebook_sizes":[3,1],"width":2}"#).unwrap();
        assert!(matches!(
            Codebooks::load(folder.path()),
            Err(QuantizerError::TensorKind { tensor, .. }) if tensor == "codebook.0"
        ));
        fs::write(folder.path().join(SPEC), r#"{"codebook_sizes":[2],"width":2}"#).unwrap();
        assert!(matches!(Codebooks::load(folder.path()), Err(QuantizerError::SpecMismatch { .. })));
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = Codebooks::load(Path::new("/nowhere/at/all")).unwrap_err();
        assert_eq!(error.to_string(), "cannot access `/nowhere/at/all/codebooks.json`");
    }
}
