//! The first level, whose nodes all positions choose from: products of matrices.
//!
//! ```text
//! z = h · Eᵀ + bias      loss = Σ_n log Σ_c exp z[n, c] − z[n, target]      [m, M₀]
//! dz = softmax z − 1{target}      dE += dzᵀ · h      dh = dz · E
//! ```

use super::functions::exp;
use super::gradients::Gradients;
use super::linear::add_rows;
use super::products::{self, Matrix};
use super::sums::{add, sum};
use super::wide::wide;

/// The nodes to choose from.
#[derive(Debug, Clone, Copy)]
pub(super) struct FirstLevel<'a> {
    /// `[M₀, D]`, text included.
    pub(super) vectors: &'a [f32],
    /// `[M₀]`.
    pub(super) bias: &'a [f32],
}

/// The summed loss of states `[m, D]`, each with the row that is right; adds the derivatives times `slope` by
/// vectors and biases, and sets those by the states and `log Σ exp z` of each. `logits` is memory, `[m, M₀]`.
pub(super) fn learn(
    nodes: FirstLevel<'_>,
    states: &[f32],
    targets: impl Iterator<Item = usize>,
    slope: f32,
    (logits, log_sums): (&mut [f32], &mut Vec<f32>),
    out: &mut Gradients,
    d_states: &mut [f32],
) -> f64 {
    let (count, width) = (nodes.bias.len(), nodes.vectors.len() / nodes.bias.len());
    let (states, vectors) = (Matrix::new(states, width), Matrix::new(nodes.vectors, width));
    products::set(logits, states, vectors.turned());
    log_sums.clear();
    let mut loss = 0.0;
    for (logits, target) in logits.chunks_exact_mut(count).zip(targets) {
        let (of_position, log_sum) = differences(nodes.bias, target, slope, logits);
        loss += of_position;
        log_sums.push(log_sum);
    }
    products::add(&mut out.first_vectors, Matrix::new(logits, count).turned(), states);
    add_rows(logits, &mut out.first_bias);
    products::set(d_states, Matrix::new(logits, count), vectors);
    loss
}

wide! {
    /// The loss of one position, and `log Σ exp z`; its scores without biases become `dz`.
    fn differences<'a>(bias: &'a [f32], target: usize, slope: f32, scores: &'a mut [f32]) -> (f64, f32) {
        add(scores, 1.0, bias);
        let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let right = scores[target] - highest;
        for score in scores.iter_mut() {
            *score = exp(*score - highest);
        }
        let whole = sum(scores.len(), |at| scores[at]);
        let factor = slope / whole;
        for score in scores.iter_mut() {
            *score *= factor;
        }
        scores[target] -= slope;
        let log = whole.ln();
        (f64::from(log - right), log + highest)
    }
}
