//! A layer of the body, and its backward pass.
//!
//! ```text
//! x₁ = norm(x + drop(attention(x · Wqkvᵀ + b) · Woutᵀ + b))       [m, D]; with a filter,
//! x₁ ← α · f(x) + (1 − α) · x₁                                    [m, D]
//! x₂ = norm(x₁ + drop(gelu(x₁ · Wupᵀ + b) · Wdownᵀ + b))          [m, D], inside [m, F]
//! ```

use super::attention::{self, Attention};
use super::dropout::{self, Dropout};
use super::filter::{self, Filtered};
use super::gelu;
use super::layout::{Layer, Layout};
use super::linear::add_to_rows;
use super::norm::{Added, Normed};
use super::rows::{Rows, sized};

/// What a step zeroes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dropouts {
    pub(super) hidden: Dropout,
    pub(super) attention: Dropout,
}

/// What a layer computed, for the backward pass; kept from block to block.
#[derive(Debug, Default)]
pub(super) struct Kept {
    qkv: Vec<f32>,
    shares: Vec<f32>,
    attended: Vec<f32>,
    attention_norm: Normed,
    filtered: Filtered,
    middle: Vec<f32>,
    wide: Vec<f32>,
    slope: Vec<f32>,
    feed_forward_norm: Normed,
    /// What the layers after it read, `[m, D]`.
    pub(super) out: Vec<f32>,
}

/// Memory for values that are not needed later.
#[derive(Debug, Default)]
pub(super) struct Passing {
    narrow: Vec<f32>,
    wide: Vec<f32>,
    filtered: Vec<f32>,
}

/// A layer with the weights that it works with.
#[derive(Clone, Copy)]
pub(super) struct Working<'a> {
    pub(super) layout: &'a Layout,
    pub(super) weights: &'a [f32],
    /// With rows and columns of the matrices changed.
    pub(super) turned: &'a [f32],
    pub(super) layer: Layer,
    /// Number of the layer.
    pub(super) at: usize,
    pub(super) dropouts: Dropouts,
}

impl Working<'_> {
    fn attention<'a>(&'a self, rows: Rows<'a>) -> Attention<'a> {
        Attention {
            lens: rows.lens,
            first: rows.first,
            distance: self.layer.distance.of(self.weights),
            heads: self.layout.sizes.heads,
            width: self.layout.sizes.width,
            dropout: self.dropouts.attention.at(self.at as u64),
        }
    }

    /// Dropout after the attention, and after the feed-forward part.
    fn hidden(&self) -> (Dropout, Dropout) {
        let at = 2 * self.at as u64;
        (self.dropouts.hidden.at(at + 1), self.dropouts.hidden.at(at + 2))
    }

    /// The branch that smooths, if there is one.
    fn filter(&self) -> Option<filter::Working<'_>> {
        let Self { layout, weights, .. } = *self;
        let site = 2 * layout.sizes.layers + 1 + self.at;
        self.layer.filter.map(|filter| filter::Working {
            filter,
            weights,
            epsilon: layout.sizes.epsilon,
            dropout: self.dropouts.hidden.at(site as u64),
        })
    }

    /// States of vectors `[m, D]`.
    pub(super) fn forward(
        &self,
        rows: Rows<'_>,
        x: &[f32],
        kept: &mut Kept,
        passing: &mut Passing,
    ) {
        let Self { layout, weights, turned, layer, .. } = *self;
        let (width, inner, epsilon) =
            (layout.sizes.width, layout.sizes.inner, layout.sizes.epsilon);
        let (m, (after_attention, after_wide)) = (x.len() / width, self.hidden());
        let y = sized(&mut passing.narrow, x.len());
        layer.qkv.forward(turned, x, sized(&mut kept.qkv, 3 * x.len()));
        add_to_rows(layer.qkv.bias.of(weights), &mut kept.qkv);
        let attention = self.attention(rows);
        let shares = sized(&mut kept.shares, attention.num_shares());
        attention::forward(attention, &kept.qkv, shares, sized(&mut kept.attended, x.len()));
        layer.out.forward(turned, &kept.attended, y);
        let (bias, first) = (layer.out.bias.of(weights), rows.first);
        let added = Some(Added { y, bias, dropout: after_attention, first });
        let norm = (layer.attention_norm, epsilon);
        let middle = sized(&mut kept.middle, x.len());
        kept.attention_norm.forward(norm, weights, x, added, middle);
        if let Some(filter) = self.filter() {
            let filtered = sized(&mut passing.filtered, x.len());
            filter.forward(rows, x, &mut kept.filtered, filtered);
            let share = layout.sizes.filter_share;
            for (middle, filtered) in middle.iter_mut().zip(&*filtered) {
                *middle = share * filtered + (1.0 - share) * *middle;
            }
        }
        let slope = sized(&mut kept.slope, m * inner);
        layer.up.forward(turned, middle, slope);
        gelu::forward(slope, layer.up.bias.of(weights), sized(&mut kept.wide, m * inner));
        layer.down.forward(turned, &kept.wide, y);
        let bias = layer.down.bias.of(weights);
        let added = Some(Added { y, bias, dropout: after_wide, first });
        let norm = (layer.feed_forward_norm, epsilon);
        let out = sized(&mut kept.out, x.len());
        kept.feed_forward_norm.forward(norm, weights, &kept.middle, added, out);
    }

    /// Derivatives by the states become those by the vectors `x`.
    pub(super) fn back(
        &self,
        rows: Rows<'_>,
        x: &[f32],
        kept: &Kept,
        passing: &mut Passing,
        gradients: &mut [f32],
        d: &mut [f32],
    ) {
        let Self { layout, weights, layer, .. } = *self;
        let (width, inner) = (layout.sizes.width, layout.sizes.inner);
        let (m, (after_attention, after_wide)) = (x.len() / width, self.hidden());
        let dy = sized(&mut passing.narrow, x.len());
        kept.feed_forward_norm.back(layer.feed_forward_norm, weights, gradients, d);
        dy.copy_from_slice(d);
        dropout::apply(after_wide, rows.first, width, dy);
        layer.down.learn(gradients, &kept.wide, dy);
        let d_wide = sized(&mut passing.wide, m * inner);
        layer.down.back(weights, dy, d_wide);
        gelu::back(&kept.slope, d_wide);
        layer.up.learn(gradients, &kept.middle, d_wide);
        layer.up.back_add(weights, d_wide, d);
        let d_filtered = sized(&mut passing.filtered, x.len());
        if layer.filter.is_some() {
            let share = layout.sizes.filter_share;
            for (d_filtered, d) in d_filtered.iter_mut().zip(&mut *d) {
                *d_filtered = share * *d;
                *d *= 1.0 - share;
            }
        }
        kept.attention_norm.back(layer.attention_norm, weights, gradients, d);
        dy.copy_from_slice(d);
        dropout::apply(after_attention, rows.first, width, dy);
        layer.out.learn(gradients, &kept.attended, dy);
        let d_attended = sized(&mut passing.wide, x.len());
        layer.out.back(weights, dy, d_attended);
        let d_qkv = sized(&mut passing.narrow, 3 * x.len());
        let d_distance = layer.distance.of_mut(gradients);
        let attention = self.attention(rows);
        attention::back(attention, &kept.qkv, &kept.shares, d_attended, d_qkv, d_distance);
        layer.qkv.learn(gradients, x, d_qkv);
        layer.qkv.back_add(weights, d_qkv, d);
        if let Some(filter) = self.filter() {
            filter.back(rows, x, &kept.filtered, gradients, d_filtered, d);
        }
    }
}
