//! The loss of a level's choices and its derivatives, child by child, without a padded batch.
//!
//! ```text
//! loss[n]      = log Σ_c exp z[c] − z[target]        z[c] = h · base[c] + q · text[c] + bias[c]
//! d/d z[c]     = p(c) − 1{c = target}                c over the children of position n's node
//! d/d h        = Σ_c d z[c] · base[c]                d/d q likewise by the texts
//! d/d base[c] += d z[c] · h                          d/d bias[c] += d z[c]
//! ```
//! The children of a node are consecutive rows, so every product reads memory in order.

use std::ops::Range;

use super::host::functions::exp;
use super::host::sums::{add, dot};
use super::host::wide::wide;

/// A choice among the children of a node.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    /// Position whose state chooses.
    pub(super) position: usize,
    /// Rows to choose from.
    pub(super) children: Range<usize>,
    /// Row that is right.
    pub(super) target: usize,
}

/// What the children's scores are made of, row by row of all nodes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tables<'a> {
    /// `[M, D]`.
    pub(super) base: &'a [f32],
    /// `[M, T]`; empty without text.
    pub(super) text: &'a [f32],
    /// `[M]`.
    pub(super) bias: &'a [f32],
    pub(super) dim: usize,
    /// 0 without text.
    pub(super) text_dim: usize,
}

/// States of consecutive positions, and the choices that they make at a level.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chosen<'a> {
    /// The position of the first state.
    pub(super) first: usize,
    /// `[n, D]`.
    pub(super) states: &'a [f32],
    /// `[n, T]`.
    pub(super) text_states: &'a [f32],
    pub(super) choices: &'a [Choice],
}

/// Derivatives by the tables, which all levels add to.
#[derive(Debug, Default)]
pub(super) struct TableGradients {
    pub(super) base: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

/// Derivatives by a level's states and scores, and the loss; memory that is used again.
#[derive(Debug, Default)]
pub(super) struct LevelGradients {
    /// Sum over choices, nats.
    pub(super) loss: f64,
    /// `[n, D]`.
    pub(super) states: Vec<f32>,
    /// `[n, T]`.
    pub(super) text_states: Vec<f32>,
    /// `d z` of the children of each choice, one choice after the other.
    pub(super) scores: Vec<f32>,
}

/// The summed loss of a level's choices.
pub(super) fn loss(tables: Tables<'_>, chosen: Chosen<'_>) -> f64 {
    let mut scores = Vec::new();
    let one = |choice| normalise(tables, chosen, choice, &mut scores);
    chosen.choices.iter().map(one).sum()
}

wide! {
    /// The summed loss of a level's choices and its derivatives times `slope`.
    pub(super) fn gradients<'a>(
        tables: Tables<'a>,
        chosen: Chosen<'a>,
        slope: f32,
        found: &'a mut LevelGradients,
    ) {
        let Tables { base, text, dim, text_dim, .. } = tables;
        for (memory, like) in [
            (&mut found.states, chosen.states),
            (&mut found.text_states, chosen.text_states),
        ] {
            memory.clear();
            memory.resize(like.len(), 0.0);
        }
        found.loss = 0.0;
        found.scores.clear();
        for choice in chosen.choices {
            let start = found.scores.len();
            found.loss += normalise(tables, chosen, choice, &mut found.scores);
            let scores = &mut found.scores[start..];
            scores[choice.target - choice.children.start] -= 1.0;
            let at = choice.position - chosen.first;
            let d_state = &mut found.states[at * dim..(at + 1) * dim];
            let d_text = &mut found.text_states[at * text_dim..(at + 1) * text_dim];
            for (row, score) in choice.children.clone().zip(scores) {
                *score *= slope;
                add(d_state, *score, &base[row * dim..(row + 1) * dim]);
                add(d_text, *score, &text[row * text_dim..(row + 1) * text_dim]);
            }
        }
    }

    /// Adds the derivatives by the tables, given those by the scores.
    pub(super) fn tables_back<'a>(
        chosen: Chosen<'a>,
        scores: &'a [f32],
        dim: usize,
        out: &'a mut TableGradients,
    ) {
        let mut rest = scores;
        for choice in chosen.choices {
            let (scores, after) = rest.split_at(choice.children.len());
            rest = after;
            let at = choice.position - chosen.first;
            let state = &chosen.states[at * dim..(at + 1) * dim];
            for (row, score) in choice.children.clone().zip(scores) {
                out.bias[row] += score;
                add(&mut out.base[row * dim..(row + 1) * dim], *score, state);
            }
        }
    }
}

/// The loss of a choice; the children's probabilities follow what is in `shares`.
#[allow(
    clippy::inline_always,
    reason = "part of a loop that is compiled for several widths of vectors"
)]
#[inline(always)]
fn normalise(
    tables: Tables<'_>,
    chosen: Chosen<'_>,
    choice: &Choice,
    shares: &mut Vec<f32>,
) -> f64 {
    let Tables { base, text, bias, dim, text_dim } = tables;
    let at = choice.position - chosen.first;
    let state = &chosen.states[at * dim..(at + 1) * dim];
    let text_state = &chosen.text_states[at * text_dim..(at + 1) * text_dim];
    let start = shares.len();
    for row in choice.children.clone() {
        let of_text = dot(text_state, &text[row * text_dim..(row + 1) * text_dim]);
        shares.push(dot(state, &base[row * dim..(row + 1) * dim]) + of_text + bias[row]);
    }
    let shares = &mut shares[start..];
    let highest = shares.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let right = shares[choice.target - choice.children.start] - highest;
    let mut sum = 0.0;
    for share in shares.iter_mut() {
        *share = exp(*share - highest);
        sum += *share;
    }
    for share in shares.iter_mut() {
        *share /= sum;
    }
    f64::from(sum.ln() - right)
}
