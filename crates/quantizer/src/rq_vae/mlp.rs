//! The multi-layer perceptrons: linear layers with rectifiers between them, written out forward and
//! backward.
//!
//! Compared with automatic differentiation, this keeps each activation once, writes gradients in
//! place, and keeps its memory between steps. A test of [`step`](super::step) compares it with the
//! automatic differentiation of `tch`.

use tch::{Device, Kind, Tensor};

use super::layout::Linear;
use crate::QuantizerError;

/// The outputs of each layer for one batch, kept for the backward pass and overwritten by the next
/// batch.
#[derive(Debug)]
pub(super) struct Activations {
    /// Output `[B, out]` of each layer.
    outputs: Vec<Tensor>,
    /// Gradient of each output but the last, which the caller has.
    gradients: Vec<Tensor>,
}

impl Activations {
    pub(super) fn new(
        batch: i64,
        layers: &[Linear],
        device: Device,
    ) -> Result<Self, QuantizerError> {
        let mut outputs = Vec::with_capacity(layers.len());
        for layer in layers {
            outputs.push(empty(batch, layer.bias.size()[0], device)?);
        }
        Ok(Self { outputs, gradients: Vec::new() })
    }

    /// The last layer's output.
    pub(super) fn last(&self) -> &Tensor {
        &self.outputs[self.outputs.len() - 1]
    }
}

/// Values to be written before they are read.
pub(super) fn empty(rows: i64, width: i64, device: Device) -> Result<Tensor, QuantizerError> {
    Ok(Tensor::f_empty([rows, width], (Kind::Float, device))?)
}

/// `y = W_n relu(… relu(W_0 x + b_0) …) + b_n`, into `activations`.
pub(super) fn forward(
    layers: &[Linear],
    rows: &Tensor,
    activations: &mut Activations,
) -> Result<(), QuantizerError> {
    for (index, layer) in layers.iter().enumerate() {
        let (before, rest) = activations.outputs.split_at_mut(index);
        let input = before.last().unwrap_or(rows);
        let _ = layer.bias.f_addmm_out(&rest[0], input, &layer.weight.f_tr()?)?; // [B, out]
        if index + 1 < layers.len() {
            let _ = rest[0].f_relu_()?;
        }
    }
    Ok(())
}

/// The same without keeping anything: `[N, in]` to `[N, out]`.
pub(super) fn apply(layers: &[Linear], rows: &Tensor) -> Result<Tensor, QuantizerError> {
    let mut activations = Activations::new(rows.size()[0], layers, rows.device())?;
    forward(layers, rows, &mut activations)?;
    Ok(activations.last().shallow_clone())
}

/// Writes the gradients of the parameters to `gradients` and, if one is given, that of `rows` to
/// `row_gradient`, from the gradient of the last layer's output.
///
/// ```text
/// dW_i = g_iᵀ x_i    db_i = Σ_b g_i    g_(i-1) = (g_i W_i) where x_i > 0
/// ```
pub(super) fn backward(
    layers: &[Linear],
    gradients: &[Linear],
    rows: &Tensor,
    output_gradient: &Tensor,
    activations: &mut Activations,
    row_gradient: Option<&Tensor>,
) -> Result<(), QuantizerError> {
    let Activations { outputs, gradients: buffers } = activations;
    while buffers.len() + 1 < layers.len() {
        buffers.push(outputs[buffers.len()].f_empty_like()?);
    }
    for (index, (layer, gradient)) in layers.iter().zip(gradients).enumerate().rev() {
        let own = buffers.get(index).unwrap_or(output_gradient); // [B, out]
        let input = if index == 0 { rows } else { &outputs[index - 1] }; // [B, in]
        let _ = own.f_tr()?.f_mm_out(&gradient.weight, input)?;
        let _ = own.f_sum_intlist_out(&gradient.bias, 0, false, Kind::Float)?;
        if index > 0 {
            let before = &buffers[index - 1];
            let _ = own.f_mm_out(before, &layer.weight)?;
            let _ = input.f_threshold_backward_grad_input(before, before, 0)?;
        } else if let Some(row_gradient) = row_gradient {
            let _ = own.f_mm_out(row_gradient, &layer.weight)?;
        }
    }
    Ok(())
}
