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

use super::branches::dot;

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

/// Derivatives by the tables, which all levels add to.
#[derive(Debug)]
pub(super) struct TableGradients {
    pub(super) base: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

/// Derivatives by a level's states, and the loss.
#[derive(Debug)]
pub(super) struct LevelGradients {
    /// Sum over choices, nats.
    pub(super) loss: f64,
    /// `[n, D]`.
    pub(super) states: Vec<f32>,
    /// `[n, T]`.
    pub(super) text_states: Vec<f32>,
}

/// The summed loss of a level's choices.
pub(super) fn loss(
    tables: Tables<'_>,
    states: &[f32],
    text_states: &[f32],
    choices: &[Choice],
) -> f64 {
    let mut scores = Vec::new();
    choices.iter().map(|choice| normalise(tables, states, text_states, choice, &mut scores)).sum()
}

/// The summed loss of a level's choices and its derivatives times `slope`.
pub(super) fn gradients(
    tables: Tables<'_>,
    states: &[f32],
    text_states: &[f32],
    choices: &[Choice],
    slope: f32,
    out: &mut TableGradients,
) -> LevelGradients {
    let Tables { base, text, dim, text_dim, .. } = tables;
    let mut found = LevelGradients {
        loss: 0.0,
        states: vec![0.0; states.len()],
        text_states: vec![0.0; text_states.len()],
    };
    let mut shares = Vec::new();
    for choice in choices {
        found.loss += normalise(tables, states, text_states, choice, &mut shares);
        let at = choice.position;
        let state = &states[at * dim..(at + 1) * dim];
        let d_state = &mut found.states[at * dim..(at + 1) * dim];
        let d_text = &mut found.text_states[at * text_dim..(at + 1) * text_dim];
        for (row, share) in choice.children.clone().zip(&shares) {
            let d_score = slope * (share - if row == choice.target { 1.0 } else { 0.0 });
            out.bias[row] += d_score;
            add(d_state, d_score, &base[row * dim..(row + 1) * dim]);
            add(d_text, d_score, &text[row * text_dim..(row + 1) * text_dim]);
            add(&mut out.base[row * dim..(row + 1) * dim], d_score, state);
        }
    }
    found
}

/// The loss of a choice; `shares` become the children's probabilities.
fn normalise(
    tables: Tables<'_>,
    states: &[f32],
    text_states: &[f32],
    choice: &Choice,
    shares: &mut Vec<f32>,
) -> f64 {
    let Tables { base, text, bias, dim, text_dim } = tables;
    let at = choice.position;
    let state = &states[at * dim..(at + 1) * dim];
    let text_state = &text_states[at * text_dim..(at + 1) * text_dim];
    shares.clear();
    shares.extend(choice.children.clone().map(|row| {
        let of_text = dot(text_state, &text[row * text_dim..(row + 1) * text_dim]);
        dot(state, &base[row * dim..(row + 1) * dim]) + of_text + bias[row]
    }));
    let highest = shares.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let right = shares[choice.target - choice.children.start] - highest;
    let mut sum = 0.0;
    for share in shares.iter_mut() {
        *share = (*share - highest).exp();
        sum += *share;
    }
    for share in shares.iter_mut() {
        *share /= sum;
    }
    f64::from(sum.ln() - right)
}

/// `out += factor · x`.
pub(super) fn add(out: &mut [f32], factor: f32, x: &[f32]) {
    out.iter_mut().zip(x).for_each(|(out, x)| *out += factor * x);
}
