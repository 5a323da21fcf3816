//! The branch that smooths a history, and its backward pass.
//!
//! ```text
//! a[t, i]  = softmax over i ≤ t of w[i]                          the share of what is i places back, any history
//! l[t]     = Σ_i a[t, i] · x[t − i]                              [D]
//! y        = g ∘ x + (1 − g) ∘ l                                 f = norm(x + drop(y)), which the layer mixes in
//! dl       = (1 − g) ∘ dy      dx += g ∘ dy      dg += Σ dy ∘ (x − l)
//! dx[t − i] += a[t, i] · dl[t]                                   da[t, i] = dl[t] · x[t − i]
//! dw[i]    += a[t, i] · (da[t, i] − Σ_k a[t, k] · da[t, k])
//! ```

use super::dropout::{self, Dropout};
use super::functions::exp;
use super::layout::Filter;
use super::norm::{Added, Normed};
use super::rows::{Rows, sized};
use super::sums::{add, dot, sum};
use super::wide::wide;

/// What the branch computed, for the backward pass.
#[derive(Debug, Default)]
pub(super) struct Filtered {
    /// `a`, row after row: `t + 1` shares of the place `t`.
    shares: Vec<f32>,
    /// `l`, `[m, D]`.
    low: Vec<f32>,
    norm: Normed,
    /// `y`, and in the backward pass nothing.
    y: Vec<f32>,
    /// No bias, `[D]`.
    zeros: Vec<f32>,
}

/// The weights that a step works with.
#[derive(Clone, Copy)]
pub(super) struct Working<'a> {
    pub(super) filter: Filter,
    pub(super) weights: &'a [f32],
    pub(super) epsilon: f32,
    /// Of `y`.
    pub(super) dropout: Dropout,
}

impl Working<'_> {
    /// `out = f`, `[m, D]`, of vectors `[m, D]`.
    pub(super) fn forward(&self, rows: Rows<'_>, x: &[f32], kept: &mut Filtered, out: &mut [f32]) {
        let Self { filter, weights, epsilon, dropout } = *self;
        let high = filter.high.of(weights);
        let longest = rows.lens.iter().copied().max().unwrap_or(0); // a block without histories has no rows
        let shares = sized(&mut kept.shares, longest * (longest + 1) / 2);
        share(filter.distance.of(weights), longest, shares);
        let (low, y) = (sized(&mut kept.low, x.len()), sized(&mut kept.y, x.len()));
        smooth(rows.lens, high, shares, x, low, y);
        kept.zeros.resize(high.len(), 0.0);
        let added = Some(Added { y, bias: &kept.zeros, dropout, first: rows.first });
        kept.norm.forward((filter.norm, epsilon), weights, x, added, out);
    }

    /// `d_f`, `[m, D]`, becomes what is lost on the way; the derivatives by `x` are added to `d`.
    pub(super) fn back(
        &self,
        rows: Rows<'_>,
        x: &[f32],
        kept: &Filtered,
        gradients: &mut [f32],
        d_f: &mut [f32],
        d: &mut [f32],
    ) {
        let Self { filter, weights, dropout, .. } = *self;
        let high = filter.high.of(weights);
        kept.norm.back(filter.norm, weights, gradients, d_f);
        add(d, 1.0, d_f);
        dropout::apply(dropout, rows.first, high.len(), d_f);
        learn_high(x, &kept.low, d_f, filter.high.of_mut(gradients));
        let d_distance = filter.distance.of_mut(gradients);
        unsmooth(rows.lens, high, &kept.shares, x, d_f, (d, d_distance));
    }
}

/// The shares of each place up to `longest`.
fn share(distance: &[f32], longest: usize, shares: &mut [f32]) {
    let mut from = 0;
    for place in 0..longest {
        let (of_place, weights) = (&mut shares[from..=from + place], &distance[..=place]);
        let highest = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        for (share, weight) in of_place.iter_mut().zip(weights) {
            *share = exp(weight - highest);
        }
        let whole: f32 = of_place.iter().sum();
        for share in of_place.iter_mut() {
            *share /= whole;
        }
        from += place + 1;
    }
}

wide! {
    /// `l` and `y`, `[m, D]` each.
    fn smooth<'a>(
        lens: &'a [usize],
        high: &'a [f32],
        shares: &'a [f32],
        x: &'a [f32],
        low: &'a mut [f32],
        y: &'a mut [f32],
    ) {
        let width = high.len();
        let mut start = 0;
        for len in lens {
            let mut from = 0;
            for place in 0..*len {
                let begin = (start + place) * width;
                let low = &mut low[begin..begin + width];
                low.fill(0.0);
                for (back, share) in shares[from..=from + place].iter().enumerate() {
                    let begin = (start + place - back) * width;
                    add(low, *share, &x[begin..begin + width]);
                }
                from += place + 1;
                let (x, y) = (&x[begin..begin + width], &mut y[begin..begin + width]);
                for (((y, x), low), high) in y.iter_mut().zip(x).zip(&*low).zip(high) {
                    *y = low + high * (x - low);
                }
            }
            start += len;
        }
    }

    /// `dg += Σ dy ∘ (x − l)`.
    fn learn_high<'a>(x: &'a [f32], low: &'a [f32], dy: &'a [f32], d_high: &'a mut [f32]) {
        let width = d_high.len();
        let rows = x.chunks_exact(width).zip(low.chunks_exact(width)).zip(dy.chunks_exact(width));
        for ((x, low), dy) in rows {
            for (((d_high, x), low), dy) in d_high.iter_mut().zip(x).zip(low).zip(dy) {
                *d_high += dy * (x - low);
            }
        }
    }

    /// Adds the derivatives by `x` and by distances; `dy` becomes `dl`.
    fn unsmooth<'a>(
        lens: &'a [usize],
        high: &'a [f32],
        shares: &'a [f32],
        x: &'a [f32],
        dy: &'a mut [f32],
        out: (&'a mut [f32], &'a mut [f32]),
    ) {
        let (d, d_distance) = out;
        let width = high.len();
        for (dy, d) in dy.chunks_exact_mut(width).zip(d.chunks_exact_mut(width)) {
            for ((dy, d), high) in dy.iter_mut().zip(d).zip(high) {
                *d += high * *dy;
                *dy *= 1.0 - high;
            }
        }
        let mut start = 0;
        let mut d_shares = Vec::new();
        for len in lens {
            let mut from = 0;
            for place in 0..*len {
                let shares = &shares[from..=from + place];
                from += place + 1;
                let begin = (start + place) * width;
                let d_low = &dy[begin..begin + width];
                d_shares.resize(place + 1, 0.0);
                for (back, (share, d_share)) in shares.iter().zip(&mut d_shares).enumerate() {
                    let begin = (start + place - back) * width;
                    *d_share = dot(d_low, &x[begin..begin + width]);
                    add(&mut d[begin..begin + width], *share, d_low);
                }
                let along = sum(place + 1, |back| shares[back] * d_shares[back]);
                for ((d_weight, share), d_share) in d_distance.iter_mut().zip(shares).zip(&d_shares) {
                    *d_weight += share * (d_share - along);
                }
            }
            start += len;
        }
    }
}
