//! The norm of a sum of a vector with what a part of a layer adds to it, and the backward pass.
//!
//! ```text
//! r = x + drop(y + b)                       [D] for each of m rows; r = x before the first layer
//! r̂ = (r − mean r) / √(var r + ε)           z = w ∘ r̂ + c
//! dr̂ = w ∘ dz      dr = (dr̂ − mean dr̂ − r̂ · mean(dr̂ ∘ r̂)) / √(var r + ε)
//! dw += Σ dz ∘ r̂      dc += Σ dz      dy = drop(dr)      dx = dr
//! ```

use super::dropout::Dropout;
use super::layout::Norm;
use super::sums::sum;
use super::wide::wide;

/// What the backward pass needs to know of a norm's rows.
#[derive(Debug, Default)]
pub(super) struct Normed {
    /// `r̂`, `[m, D]`.
    pub(super) hat: Vec<f32>,
    /// `1/√(var r + ε)`, `[m]`.
    pub(super) inverse: Vec<f32>,
}

/// What a part of a layer adds.
#[derive(Clone, Copy)]
pub(super) struct Added<'a> {
    /// `[m, D]`.
    pub(super) y: &'a [f32],
    /// `[D]`.
    pub(super) bias: &'a [f32],
    pub(super) dropout: Dropout,
    /// The step's number of the first row.
    pub(super) first: usize,
}

impl Normed {
    /// `out = z`, `[m, D]`.
    pub(super) fn forward(
        &mut self,
        (norm, epsilon): (Norm, f32),
        weights: &[f32],
        x: &[f32],
        added: Option<Added<'_>>,
        out: &mut [f32],
    ) {
        let (weight, bias) = (norm.weight.of(weights), norm.bias.of(weights));
        self.hat.resize(x.len(), 0.0);
        self.inverse.resize(x.len() / weight.len(), 0.0);
        match added {
            None => self.hat.copy_from_slice(x),
            Some(added) => add(x, added, &mut self.hat),
        }
        normalise((weight, bias), epsilon, &mut self.hat, &mut self.inverse, out);
    }

    /// `dz` becomes `dr`.
    pub(super) fn back(&self, norm: Norm, weights: &[f32], gradients: &mut [f32], dz: &mut [f32]) {
        learn_factor(&self.hat, dz, norm.weight.of_mut(gradients));
        super::linear::add_rows(dz, norm.bias.of_mut(gradients));
        back(norm.weight.of(weights), &self.hat, &self.inverse, dz);
    }
}

wide! {
    /// `r = x + drop(y + b)`.
    fn add<'a>(x: &'a [f32], added: Added<'a>, r: &'a mut [f32]) {
        let Added { y, bias, dropout, first } = added;
        let width = bias.len();
        let rows = x.chunks_exact(width).zip(y.chunks_exact(width)).zip(r.chunks_exact_mut(width));
        if dropout.is_off() {
            for ((x, y), r) in rows {
                for (((r, x), y), bias) in r.iter_mut().zip(x).zip(y).zip(bias) {
                    *r = x + (y + bias);
                }
            }
            return;
        }
        for (row, ((x, y), r)) in rows.enumerate() {
            let factor = dropout.factors(first + row);
            for (at, (((r, x), y), bias)) in r.iter_mut().zip(x).zip(y).zip(bias).enumerate() {
                *r = x + (y + bias) * factor(at);
            }
        }
    }

    /// `r` becomes `r̂`.
    fn normalise<'a>(
        scale: (&'a [f32], &'a [f32]),
        epsilon: f32,
        r: &'a mut [f32],
        inverse: &'a mut [f32],
        out: &'a mut [f32],
    ) {
        let (weight, bias) = scale;
        let width = weight.len();
        let share = 1.0 / width as f32;
        let rows = r.chunks_exact_mut(width).zip(out.chunks_exact_mut(width));
        for ((r, out), inverse) in rows.zip(inverse) {
            let mean = share * sum(width, |at| r[at]);
            let variance = share * sum(width, |at| (r[at] - mean) * (r[at] - mean));
            *inverse = 1.0 / (variance + epsilon).sqrt();
            for (((r, out), weight), bias) in r.iter_mut().zip(out).zip(weight).zip(bias) {
                *r = (*r - mean) * *inverse;
                *out = *r * weight + bias;
            }
        }
    }

    /// `dw += Σ dz ∘ r̂`.
    fn learn_factor<'a>(hat: &'a [f32], dz: &'a [f32], d_weight: &'a mut [f32]) {
        let width = d_weight.len();
        for (hat, dz) in hat.chunks_exact(width).zip(dz.chunks_exact(width)) {
            for ((d_weight, hat), dz) in d_weight.iter_mut().zip(hat).zip(dz) {
                *d_weight += hat * dz;
            }
        }
    }

    /// `dz` becomes `dr`.
    fn back<'a>(weight: &'a [f32], hat: &'a [f32], inverse: &'a [f32], dz: &'a mut [f32]) {
        let width = weight.len();
        let share = 1.0 / width as f32;
        let rows = hat.chunks_exact(width).zip(dz.chunks_exact_mut(width));
        for ((hat, dz), inverse) in rows.zip(inverse) {
            for (dz, weight) in dz.iter_mut().zip(weight) {
                *dz *= weight;
            }
            let mean = share * sum(width, |at| dz[at]);
            let along = share * sum(width, |at| dz[at] * hat[at]);
            for (dz, hat) in dz.iter_mut().zip(hat) {
                *dz = (*dz - mean - hat * along) * inverse;
            }
        }
    }
}
