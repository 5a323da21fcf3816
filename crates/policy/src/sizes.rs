//! Sizes of tensors, as numbers that index slices.

use tch::Tensor;

use crate::PolicyError;

/// A size of a tensor, or an index into one, as a count.
///
/// # Errors
/// [`PolicyError::Negative`].
pub(crate) fn to_usize(found: i64) -> Result<usize, PolicyError> {
    usize::try_from(found).map_err(|_| PolicyError::Negative { found })
}

/// The sizes of a tensor of `N` axes; `what` names them in the error.
///
/// # Errors
/// [`PolicyError::Size`] for another number of axes.
pub(crate) fn axes<const N: usize>(
    what: &'static str,
    tensor: &Tensor,
) -> Result<[i64; N], PolicyError> {
    let found = tensor.dim();
    let refuse = |_| PolicyError::Size { what, found, expected: N };
    <[i64; N]>::try_from(tensor.size()).map_err(refuse)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn another_number_of_axes_and_a_size_below_0_are_errors() {
        let tensor = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));
        assert_eq!(axes("axes of states", &tensor).unwrap(), [2, 3]);
        let error = axes::<3>("axes of states", &tensor).unwrap_err().to_string();
        assert_eq!(error, "axes of states: found 2, expected 3");
        assert_eq!(to_usize(3).unwrap(), 3);
        assert!(to_usize(-1).is_err());
    }
}
