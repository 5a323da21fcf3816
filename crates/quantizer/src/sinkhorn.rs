//! Balanced assignment of a batch to codes by entropic optimal transport.

use tch::{Kind, Tensor};

use crate::QuantizerError;

/// Logarithm of the transport plan that gives each row `1 / B` and each code `1 / K` of the mass,
/// at the cost of `distances`, after so many rounds of Sinkhorn's iterations.
///
/// ```text
/// m = (max D + min D) / 2          S = -(D - m) / (max D - m + 1e-5) / ε
/// repeat: f_b = -ln B - lse_k (S_bk + g_k)
///         g_k = -ln K - lse_b (S_bk + f_b)
/// plan = exp(S + f + g)
/// ```
/// Cuturi 2013; centred and scaled as in LC-Rec, [arXiv:2311.09049](https://arxiv.org/abs/2311.09049).
/// Deviation: in the log domain, because `exp(1 / 0.003)` leaves the range of `f32`.
///
/// # Shapes
/// - `distances`: `[B, K]`; returns `[B, K]`
pub(crate) fn log_plan(
    distances: &Tensor,
    epsilon: f64,
    iterations: usize,
) -> Result<Tensor, QuantizerError> {
    let (rows, codes) = distances.size2()?;
    let (low, high) = (distances.f_min()?, distances.f_max()?);
    let middle = (&low + &high) / 2.0;
    let scale = (&high - &middle + 1e-5) * -epsilon;
    let scores = distances.f_sub(&middle)?.f_div(&scale)?; // [B, K]
    let share = |count: i64| -(count as f64).ln();
    let options = (distances.kind(), distances.device());
    let mut by_code = Tensor::f_zeros([1, codes], options)?;
    let mut by_row = Tensor::f_zeros([rows, 1], options)?;
    let sum = scores.f_empty_like()?;
    for _ in 0..iterations {
        let _ = scores.f_add_out(&sum, &by_code)?;
        by_row = -sum.f_logsumexp(1, true)? + share(rows); // [B, 1]
        let _ = scores.f_add_out(&sum, &by_row)?;
        by_code = -sum.f_logsumexp(0, true)? + share(codes); // [1, K]
    }
    Ok(scores + by_row + by_code)
}

/// The code that each row sends most of its mass to, `[B]`.
pub(crate) fn balanced_codes(
    distances: &Tensor,
    epsilon: f64,
    iterations: usize,
) -> Result<Tensor, QuantizerError> {
    Ok(log_plan(distances, epsilon, iterations)?.f_argmax(1, false)?.f_to_kind(Kind::Int64)?)
}
