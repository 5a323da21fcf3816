//! Balanced assignment of a batch to codes by entropic optimal transport.

use tch::{Kind, Tensor};

use crate::QuantizerError;

/// Logarithm of the transport plan that gives each row `1 / B` and each code `1 / K` of the mass,
/// at the cost of `distances`, after a number of Sinkhorn iterations.
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

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Reference {
        b: i64,
        k: i64,
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        epsilon: f64,
        iterations: usize,
        plan: Vec<f64>,
    }

    fn reference() -> Reference {
        serde_json::from_str(include_str!("../tests/parity/sinkhorn.json")).unwrap()
    }

    /// The distances of `tests/parity/sinkhorn.py`.
    fn distances(reference: &Reference) -> Tensor {
        let value = |i: i64, k: i64| {
            let wave = (0.9 * i as f64 + 1.7 * k as f64).sin();
            let other = (2.3 * i as f64 * (k + 1) as f64).cos();
            (1.5 + wave + 0.5 * other).powi(2) + if k == 2 { 0.3 } else { 0.0 }
        };
        let values: Vec<f64> = (0..reference.b * reference.k)
            .map(|at| value(at / reference.k, at % reference.k))
            .collect();
        Tensor::from_slice(&values).view((reference.b, reference.k))
    }

    fn largest_difference(plan: &Tensor, expected: &[f64]) -> f64 {
        let expected = Tensor::from_slice(expected).view(&*plan.size());
        (plan.to_kind(Kind::Double) - expected).abs().max().double_value(&[])
    }

    #[test]
    fn plans_equal_those_of_the_plain_domain_in_double_precision() {
        let reference = reference();
        let distances = distances(&reference);
        for case in &reference.cases {
            let plan = log_plan(&distances, case.epsilon, case.iterations).unwrap().exp();
            let difference = largest_difference(&plan, &case.plan);
            assert!(difference < 1e-12, "epsilon {}: {difference}", case.epsilon);
        }
    }

    #[test]
    fn single_precision_gives_the_same_codes_where_the_plain_domain_overflows() {
        let reference = reference();
        let distances = distances(&reference);
        for case in &reference.cases {
            let single = distances.to_kind(Kind::Float);
            let plan = log_plan(&single, case.epsilon, case.iterations).unwrap().exp();
            // Scores reach 1 / epsilon = 333, whose rounding is 2e-5; a plan's entries are 1 / B
            // at most.
            let difference = largest_difference(&plan, &case.plan);
            assert!(difference < 1e-4, "epsilon {}: {difference}", case.epsilon);
            let codes = balanced_codes(&single, case.epsilon, case.iterations).unwrap();
            let expected = Tensor::from_slice(&case.plan).view((reference.b, reference.k));
            assert_eq!(codes, expected.argmax(1, false));
        }
    }

    #[test]
    fn one_code_for_all_is_spread_over_all_codes() {
        // Every row is nearest to code 0, by margins that grow with the row.
        let values: Vec<f32> = (0..64)
            .flat_map(|i| [0.0, 1.0 + 0.01 * i as f32, 1.2, 1.4 - 0.005 * i as f32])
            .collect();
        let distances = Tensor::from_slice(&values).view((64, 4));
        let codes = balanced_codes(&distances, 0.01, 200).unwrap();
        let counts = Vec::<i64>::try_from(codes.bincount(None::<Tensor>, 4)).unwrap();
        assert!(counts.iter().all(|count| (8..=24).contains(count)), "{counts:?}");
    }

    #[test]
    fn equal_distances_are_no_division_by_zero() {
        let plan = log_plan(&Tensor::full([4, 2], 3.0, tch::kind::FLOAT_CPU), 0.003, 5).unwrap();
        assert!(largest_difference(&plan.exp(), &[0.125; 8]) < 1e-6);
    }
}
