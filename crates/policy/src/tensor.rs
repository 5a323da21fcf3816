//! Small operations on tensors.

use tch::{Kind, Tensor};

use crate::PolicyError;

/// The tensor itself, or a copy in another element type through which gradients flow.
pub(crate) fn cast(tensor: &Tensor, kind: Kind) -> Result<Tensor, PolicyError> {
    Ok(if tensor.kind() == kind { tensor.shallow_clone() } else { tensor.f_to_kind(kind)? })
}

/// Element `columns[n]` of each row.
pub(crate) fn pick(rows: &Tensor, columns: &[i64]) -> Result<Tensor, PolicyError> {
    let columns = Tensor::from_slice(columns).to_device(rows.device()).unsqueeze(1);
    Ok(rows.f_gather(1, &columns, false)?.squeeze_dim(1))
}

/// Whether what is computed from a leaf has a graph: the leaf is trained, and gradients are recorded.
pub(crate) fn recorded(leaf: &Tensor) -> Result<bool, PolicyError> {
    // A view of the leaf has one exactly then.
    Ok(leaf.requires_grad() && leaf.f_narrow(0, 0, 1)?.f_add_scalar(0.0)?.requires_grad())
}
