//! Matrices between ndarray and libtorch.

use ndarray::{Array2, ArrayView2};
use tch::{Device, Kind, Tensor};

use super::layout::to_i64;
use crate::QuantizerError;

/// Smaller values are read as zero. Beside the other values of an embedding they vanish in
/// rounding, but their products are subnormal numbers, which halve the speed of matrix products on
/// a processor. Some encoders write columns of 1e-37.
const SMALLEST: f32 = 1e-30;

/// A copy `[N, D]` on `device`.
pub(super) fn to_tensor(
    rows: &ArrayView2<'_, f32>,
    device: Device,
) -> Result<Tensor, QuantizerError> {
    let shape = to_i64(&[rows.nrows(), rows.ncols()]);
    let values: Vec<f32> = rows.iter().map(|v| if v.abs() < SMALLEST { 0.0 } else { *v }).collect();
    Ok(Tensor::f_from_slice(&values)?.f_view(&*shape)?.f_to_device(device)?)
}

/// A size of a tensor as a count.
pub(super) fn to_usize(found: i64) -> Result<usize, QuantizerError> {
    usize::try_from(found).map_err(|_| QuantizerError::Negative { found })
}

/// A copy of a matrix in host memory.
pub(super) fn to_array(tensor: &Tensor) -> Result<Array2<f32>, QuantizerError> {
    let (rows, columns) = tensor.size2()?;
    let shape = (to_usize(rows)?, to_usize(columns)?);
    Ok(Array2::from_shape_vec(shape, to_vec(tensor)?).map_err(linfa::Error::NdShape)?)
}

/// A copy of all values in host memory.
pub(super) fn to_vec(tensor: &Tensor) -> Result<Vec<f32>, QuantizerError> {
    Ok(Vec::try_from(tensor.f_to_kind(Kind::Float)?.f_reshape(-1)?)?)
}
