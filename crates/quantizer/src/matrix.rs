//! Matrices of embeddings in files, mapped where that is possible.
#![allow(unsafe_code, reason = "a file is mapped, so that a matrix may exceed memory")]

use std::fs::File;
use std::path::Path;

use half::{bf16, f16};
use memmap2::Mmap;
use ndarray::{Array2, ArrayView2, ShapeBuilder};
use safetensors::Dtype;

use crate::QuantizerError;
use crate::npy::NpyHeader;
use crate::storage::{io, split_header};

/// A matrix `[N, D]` of `f32` from a file.
///
/// Little-endian `f32` stays in the file and is paged in as it is read, so the matrix may be
/// larger than memory; other element types are converted into memory. The file must not be
/// changed while the matrix lives.
#[derive(Debug)]
pub struct Matrix(Source);

#[derive(Debug)]
enum Source {
    /// Bytes `start..end` of the map hold the values row after row.
    Mapped {
        map: Mmap,
        start: usize,
        end: usize,
        shape: (usize, usize),
    },
    Memory(Array2<f32>),
}

impl Matrix {
    /// Opens a `NumPy` file, `.npy`, of little-endian `float32`, `float64` or `float16`.
    ///
    /// # Errors
    /// [`QuantizerError::Io`]; [`QuantizerError::NpyHeader`] for a damaged header,
    /// [`QuantizerError::NpyKind`] for another element type or number of dimensions and
    /// [`QuantizerError::NpyLength`] for a file that ends too early or too late.
    pub fn open_npy(path: &Path) -> Result<Self, QuantizerError> {
        let map = map(path)?;
        let header = NpyHeader::read(path, &map)?;
        let (rows, columns) = header.shape;
        let size = match header.descr.as_str() {
            "<f2" => 2,
            "<f4" => 4,
            "<f8" => 8,
            other => {
                let (path, found) = (path.to_owned(), format!("of type {other}"));
                return Err(QuantizerError::NpyKind { path, found });
            }
        };
        let bytes = &map[header.data..];
        let expected = rows.checked_mul(columns).and_then(|count| count.checked_mul(size));
        if expected != Some(bytes.len()) {
            let (path, found) = (path.to_owned(), bytes.len());
            return Err(QuantizerError::NpyLength { path, rows, columns, size, found });
        }
        let values: Vec<f32> = match size {
            2 => convert(bytes, |v| f16::from_le_bytes(v).to_f32()),
            8 => convert(bytes, |v| narrow(f64::from_le_bytes(v))),
            _ if LITTLE && !header.fortran_order && view_of(bytes, header.shape).is_some() => {
                let (start, end) = (header.data, map.len());
                return Ok(Self(Source::Mapped { map, start, end, shape: header.shape }));
            }
            _ => convert(bytes, f32::from_le_bytes),
        };
        let shape = header.shape.set_f(header.fortran_order);
        let values = Array2::from_shape_vec(shape, values).map_err(linfa::Error::NdShape)?;
        Ok(Self(Source::Memory(values)))
    }

    /// Opens a tensor of a safetensors file, of `F32`, `F64`, `F16` or `BF16`; without a name, the
    /// only one.
    ///
    /// # Errors
    /// [`QuantizerError::Io`], [`QuantizerError::TruncatedHeader`],
    /// [`QuantizerError::Safetensors`], [`QuantizerError::TruncatedTensor`],
    /// [`QuantizerError::MissingTensor`], [`QuantizerError::AmbiguousTensor`] and
    /// [`QuantizerError::TensorKind`].
    pub fn open_safetensors(path: &Path, tensor: Option<&str>) -> Result<Self, QuantizerError> {
        let map = map(path)?;
        let (header, data) = split_header(path, &map)?;
        let mut names: Vec<String> = header.tensors().into_keys().collect();
        names.sort_unstable();
        let tensor = match (tensor, names.as_slice()) {
            (Some(tensor), _) => tensor.to_owned(),
            (None, [only]) => only.clone(),
            (None, _) => {
                let path = path.to_owned();
                return Err(QuantizerError::AmbiguousTensor { path, found: names.join(", ") });
            }
        };
        let Some(info) = header.info(&tensor) else {
            return Err(QuantizerError::MissingTensor { path: path.to_owned(), tensor });
        };
        let kind = || QuantizerError::TensorKind {
            path: path.to_owned(),
            tensor: tensor.clone(),
            found: format!("{:?} {:?}", info.dtype, info.shape),
            expected: "a float matrix [items, width]".to_owned(),
        };
        let [rows, columns] = info.shape[..] else { return Err(kind()) };
        let (start, end) = info.data_offsets;
        let bytes = data.get(start..end).ok_or_else(kind)?;
        let values: Vec<f32> = match info.dtype {
            Dtype::F32 if LITTLE && view_of(bytes, (rows, columns)).is_some() => {
                let offset = map.len() - data.len();
                let (start, end) = (offset + start, offset + end);
                return Ok(Self(Source::Mapped { map, start, end, shape: (rows, columns) }));
            }
            Dtype::F32 => convert(bytes, f32::from_le_bytes),
            Dtype::F64 => convert(bytes, |v| narrow(f64::from_le_bytes(v))),
            Dtype::F16 => convert(bytes, |v| f16::from_le_bytes(v).to_f32()),
            Dtype::BF16 => convert(bytes, |v| bf16::from_le_bytes(v).to_f32()),
            _ => return Err(kind()),
        };
        let values = Array2::from_shape_vec((rows, columns), values).map_err(|_| kind())?;
        Ok(Self(Source::Memory(values)))
    }

    /// Opens a file by its ending: `.npy`, or `.safetensors` with a single tensor.
    ///
    /// # Errors
    /// [`QuantizerError::MatrixFormat`] for another ending; else those of
    /// [`open_npy`](Self::open_npy) and [`open_safetensors`](Self::open_safetensors).
    pub fn open(path: &Path) -> Result<Self, QuantizerError> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("npy") => Self::open_npy(path),
            Some("safetensors") => Self::open_safetensors(path, None),
            _ => Err(QuantizerError::MatrixFormat { path: path.to_owned() }),
        }
    }

    /// The values `[N, D]`.
    #[must_use]
    #[allow(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "opening has taken the same view of the same bytes"
    )]
    pub fn view(&self) -> ArrayView2<'_, f32> {
        match &self.0 {
            Source::Memory(values) => values.view(),
            Source::Mapped { map, start, end, shape } => {
                view_of(&map[*start..*end], *shape).expect("the view that opening has taken")
            }
        }
    }
}

/// Bytes as a matrix, where they begin as an `f32` may and are as many as the shape asks for.
fn view_of(bytes: &[u8], shape: (usize, usize)) -> Option<ArrayView2<'_, f32>> {
    ArrayView2::from_shape(shape, bytemuck::try_cast_slice(bytes).ok()?).ok()
}

const LITTLE: bool = cfg!(target_endian = "little");

fn map(path: &Path) -> Result<Mmap, QuantizerError> {
    let file = File::open(path).map_err(io(path))?;
    // SAFETY: the map is read only and lives in a `Matrix`, whose documentation forbids changing
    // the file meanwhile. Any bytes are valid `u8` and, read as such, valid `f32`.
    unsafe { Mmap::map(&file) }.map_err(io(path))
}

fn convert<const W: usize>(bytes: &[u8], value: impl Fn([u8; W]) -> f32) -> Vec<f32> {
    let (values, _) = bytes.as_chunks::<W>();
    values.iter().map(|bytes| value(*bytes)).collect()
}

#[allow(clippy::cast_possible_truncation, reason = "embeddings are used as f32")]
fn narrow(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ndarray::array;
    use safetensors::tensor::TensorView;

    use super::*;
    use crate::npy::npy;

    fn values() -> Array2<f32> {
        array![[0.5, -1.0, 2.0], [1.5, 0.0, -0.25]]
    }

    #[test]
    fn npy_files_of_every_float_type_and_order_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        let full: Vec<u8> = values().iter().flat_map(|v| v.to_le_bytes()).collect();
        let columns: Vec<u8> = values().t().iter().flat_map(|v| v.to_le_bytes()).collect();
        let wide: Vec<u8> = values().iter().flat_map(|v| f64::from(*v).to_le_bytes()).collect();
        let short: Vec<u8> =
            values().iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect();
        for (descr, fortran, bytes) in [
            ("<f4", false, full),
            ("<f4", true, columns),
            ("<f8", false, wide),
            ("<f2", false, short),
        ] {
            let file = npy(descr, fortran, "(2, 3)", &bytes);
            fs::write(&path, &file).unwrap();
            let matrix = Matrix::open(&path).unwrap();
            assert_eq!(matrix.view(), values());
            assert_eq!(matches!(matrix.0, Source::Mapped { .. }), descr == "<f4" && !fortran);
            fs::write(&path, &file[..file.len() - 1]).unwrap();
            assert!(matches!(Matrix::open(&path), Err(QuantizerError::NpyLength { .. })));
        }
    }

    #[test]
    fn a_file_of_numpy_itself_is_read() {
        // numpy 2.4.6: np.save(f, np.array([[0.5, -1, 2], [1.5, 0, -0.25]], np.float32))
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        fs::write(&path, include_bytes!("../tests/parity/matrix.npy")).unwrap();
        assert_eq!(Matrix::open(&path).unwrap().view(), values());
    }

    #[test]
    fn safetensors_of_every_float_type_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let wide: Vec<u8> = values().iter().flat_map(|v| f64::from(*v).to_le_bytes()).collect();
        let full: Vec<u8> = values().iter().flat_map(|v| v.to_le_bytes()).collect();
        let short: Vec<u8> =
            values().iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect();
        let brain: Vec<u8> =
            values().iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect();
        let types =
            [(Dtype::F64, wide), (Dtype::F32, full), (Dtype::F16, short), (Dtype::BF16, brain)];
        for (dtype, bytes) in types {
            let view = TensorView::new(dtype, vec![2, 3], &bytes).unwrap();
            let file = safetensors::serialize([("items", view)], None).unwrap();
            fs::write(&path, &file).unwrap();
            let matrix = Matrix::open(&path).unwrap();
            assert_eq!(matrix.view(), values());
            assert_eq!(matches!(matrix.0, Source::Mapped { .. }), dtype == Dtype::F32);
            fs::write(&path, &file[..file.len() - 1]).unwrap();
            assert!(matches!(
                Matrix::open(&path),
                Err(QuantizerError::TruncatedTensor { tensor, .. }) if tensor == "items"
            ));
        }
    }

    #[test]
    fn damaged_and_unknown_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        fs::write(&path, npy("<i4", false, "(1, 1)", &[0; 4])).unwrap();
        let error = Matrix::open(&path).unwrap_err();
        assert!(error.to_string().contains("x.npy` is a NumPy array of type <i4"), "{error}");
        fs::write(&path, []).unwrap();
        assert!(matches!(Matrix::open(&path), Err(QuantizerError::NpyHeader { .. })));
        assert!(matches!(
            Matrix::open(&folder.path().join("x.csv")),
            Err(QuantizerError::MatrixFormat { .. })
        ));
    }

    #[test]
    fn several_tensors_ask_for_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let bytes = 1f32.to_le_bytes();
        let view = || TensorView::new(Dtype::F32, vec![1, 1], &bytes).unwrap();
        fs::write(&path, safetensors::serialize([("b", view()), ("a", view())], None).unwrap())
            .unwrap();
        let error = Matrix::open(&path).unwrap_err();
        assert!(error.to_string().ends_with("holds several tensors: name one of a, b"), "{error}");
        assert_eq!(Matrix::open_safetensors(&path, Some("a")).unwrap().view(), array![[1.0]]);
        assert!(matches!(
            Matrix::open_safetensors(&path, Some("c")),
            Err(QuantizerError::MissingTensor { tensor, .. }) if tensor == "c"
        ));
    }
}
