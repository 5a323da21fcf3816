//! Causal attention within each history, with learned weights for distances, and its backward pass.
//!
//! ```text
//! s[i, j]  = q[i] · k[j] / √d + distance[i − j]      j ≤ i, a history and a head; d = D/H
//! a[i, j]  = softmax over j of s[i, j]               out[i] = Σ_j a[i, j] · z[i, j] · v[j]
//! dz·a     : da[i, j] = z[i, j] · (d_out[i] · v[j])  dv[j] += a[i, j] · z[i, j] · d_out[i]
//! ds[i, j] = a[i, j] · (da[i, j] − Σ_k da[i, k] · a[i, k])
//! dq[i]    = Σ_j ds[i, j] · k[j] / √d                dk[j] += ds[i, j] · q[i] / √d
//! d_distance[i − j] += ds[i, j]
//! ```
//! `z` is what dropout multiplies by. Queries, keys and values of a position are a row of `3·D`, the heads of
//! each side by side.

use super::dropout::Dropout;
use super::functions::exp;
use super::sums::{add, dot, sum};
use super::wide::wide;

/// Histories of a block.
#[derive(Clone, Copy)]
pub(super) struct Attention<'a> {
    /// Positions of each history.
    pub(super) lens: &'a [usize],
    /// The step's number of the first position.
    pub(super) first: usize,
    /// `[P, H]`.
    pub(super) distance: &'a [f32],
    /// `H`.
    pub(super) heads: usize,
    /// `D`.
    pub(super) width: usize,
    pub(super) dropout: Dropout,
}

/// Places of a history's shares: those of each position after those of the one before.
const fn triangle(len: usize) -> usize {
    len * (len + 1) / 2
}

impl Attention<'_> {
    /// Attention weights of all histories and heads.
    pub(super) fn num_shares(&self) -> usize {
        self.heads * self.lens.iter().map(|len| triangle(*len)).sum::<usize>()
    }

    /// Each history and head: its first position in the block, its length, the head, its first share.
    fn each(&self) -> impl Iterator<Item = (usize, usize, usize, usize)> {
        let (mut position, mut share) = (0, 0);
        self.lens.iter().flat_map(move |len| {
            let (start, shares) = (position, share);
            position += len;
            share += self.heads * triangle(*len);
            (0..self.heads).map(move |head| (start, *len, head, shares + head * triangle(*len)))
        })
    }
}

wide! {
    /// `out`, `[m, D]`, of queries, keys and values with their biases, `[m, 3·D]`; `shares` become `a`.
    pub(super) fn forward<'a>(
        all: Attention<'a>,
        qkv: &'a [f32],
        shares: &'a mut [f32],
        out: &'a mut [f32],
    ) {
        let Attention { first, distance, heads, width, dropout, .. } = all;
        let (row, of_head) = (3 * width, width / heads);
        let scale = 1.0 / (of_head as f32).sqrt();
        for (start, len, head, from) in all.each() {
            let dropout = dropout.at(head as u64);
            let at = |position: usize, part: usize| {
                let begin = (start + position) * row + part * width + head * of_head;
                &qkv[begin..begin + of_head]
            };
            let mut from = from;
            for i in 0..len {
                let shares = &mut shares[from..=from + i];
                from += i + 1;
                let q = at(i, 0);
                let mut highest = f32::NEG_INFINITY;
                for (j, share) in shares.iter_mut().enumerate() {
                    *share = scale * dot(q, at(j, 1)) + distance[(i - j) * heads + head];
                    highest = highest.max(*share);
                }
                for share in shares.iter_mut() {
                    *share = exp(*share - highest);
                }
                let whole = 1.0 / sum(shares.len(), |j| shares[j]);
                let begin = (start + i) * width + head * of_head;
                let out = &mut out[begin..begin + of_head];
                out.fill(0.0);
                let factor = dropout.factors(first + start + i);
                for (j, share) in shares.iter_mut().enumerate() {
                    *share *= whole;
                    add(out, *share * factor(j), at(j, 2));
                }
            }
        }
    }

    /// `d_qkv`, `[m, 3·D]`, of `d_out`, `[m, D]`; adds the derivatives by distances.
    pub(super) fn back<'a>(
        all: Attention<'a>,
        qkv: &'a [f32],
        shares: &'a [f32],
        d_out: &'a [f32],
        d_qkv: &'a mut [f32],
        d_distance: &'a mut [f32],
    ) {
        let Attention { first, heads, width, dropout, .. } = all;
        let (row, of_head) = (3 * width, width / heads);
        let scale = 1.0 / (of_head as f32).sqrt();
        let mut d_shares = Vec::new();
        d_qkv.fill(0.0);
        for (start, len, head, from) in all.each() {
            let dropout = dropout.at(head as u64);
            let at = |position: usize, part: usize| {
                let begin = (start + position) * row + part * width + head * of_head;
                begin..begin + of_head
            };
            let mut from = from;
            for i in 0..len {
                let shares = &shares[from..=from + i];
                from += i + 1;
                let begin = (start + i) * width + head * of_head;
                let d_out = &d_out[begin..begin + of_head];
                let factor = dropout.factors(first + start + i);
                d_shares.resize(i + 1, 0.0);
                for (j, (share, d_share)) in shares.iter().zip(&mut d_shares).enumerate() {
                    let factor = factor(j);
                    *d_share = factor * dot(d_out, &qkv[at(j, 2)]);
                    add(&mut d_qkv[at(j, 2)], share * factor, d_out);
                }
                let along = sum(i + 1, |j| d_shares[j] * shares[j]);
                for (j, (share, d_share)) in shares.iter().zip(&d_shares).enumerate() {
                    let d_score = share * (d_share - along);
                    d_distance[(i - j) * heads + head] += d_score;
                    add(&mut d_qkv[at(i, 0)], scale * d_score, &qkv[at(j, 1)]);
                    add(&mut d_qkv[at(j, 1)], scale * d_score, &qkv[at(i, 0)]);
                }
            }
        }
    }
}
