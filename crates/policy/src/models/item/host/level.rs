//! What a level's choices teach: from the body's states through the level's small network to the loss, and
//! back.
//!
//! ```text
//! h  = s + gelu(s · W₁ᵀ + b₁) · W₂ᵀ + b₂      [m, D], inside [m, hidden]
//! q  = h · Tᵀ                                 [m, T], where there is text
//! ds = dh + (dh · W₂ ∘ gelu') · W₁
//! ```
//! The first level's nodes are chosen from by all positions (`first_level`), those of other levels by the
//! positions whose items are below their parents (`kernel`).

use super::super::kernel::{Choice, Chosen, LevelGradients, Tables, gradients};
use super::first_level::{self, FirstLevel};
use super::gelu;
use super::gradients::Gradients;
use super::layout::{Layout, Place};
use super::linear::{add_all, add_to_rows};
use super::products::{self, Matrix};
use super::rows::sized;

/// What all blocks of a step read.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) layout: &'a Layout,
    pub(super) weights: &'a [f32],
    /// With rows and columns of the matrices changed.
    pub(super) turned: &'a [f32],
    pub(super) tables: Tables<'a>,
    pub(super) first_level: FirstLevel<'a>,
    /// Of the loss.
    pub(super) slope: f32,
}

/// What is found of a level's choices in a block, for the tables.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// `h`.
    pub(super) states: Vec<f32>,
    /// `q`; nothing at the first level.
    pub(super) text_states: Vec<f32>,
    /// `log Σ exp` of the scores of the first level, `[m]`; nothing at the others.
    pub(super) log_sums: Vec<f32>,
    pub(super) choices: LevelGradients,
}

/// Memory for values that are not needed later.
#[derive(Debug, Default)]
pub(super) struct Passing {
    slope: Vec<f32>,
    wide: Vec<f32>,
    d_wide: Vec<f32>,
    logits: Vec<f32>,
}

/// Adds the derivatives of the loss of a level's choices to `gradients` and, by the states `s`, to `d`.
pub(super) fn learn(
    reading: Reading<'_>,
    level: usize,
    (first, choices): (usize, &[Choice]),
    s: &[f32],
    found: &mut Found,
    passing: &mut Passing,
    (out, d): (&mut Gradients, &mut [f32]),
) {
    found.choices.loss = 0.0;
    // Weights of repeats need the states of all levels but one whose only node is certain.
    if choices.is_empty() && (level == 0 || reading.layout.repeats.is_none()) {
        return;
    }
    let Reading { layout, weights, turned, tables, .. } = reading;
    let (up, down) = layout.head[level];
    let m = s.len() / layout.sizes.width;
    let slope = sized(&mut passing.slope, m * up.outputs);
    let wide = sized(&mut passing.wide, m * up.outputs);
    let states = sized(&mut found.states, s.len());
    up.forward(turned, s, slope);
    gelu::forward(slope, up.bias.of(weights), wide);
    down.forward(turned, wide, states);
    add_to_rows(down.bias.of(weights), states);
    add_all(s, states);
    let d_states = if level == 0 {
        let logits = sized(&mut passing.logits, m * reading.first_level.bias.len());
        let d_states = sized(&mut found.choices.states, s.len());
        let targets = choices.iter().map(|choice| choice.target);
        let scale = reading.slope;
        let memory = (logits, &mut found.log_sums);
        found.choices.loss =
            first_level::learn(reading.first_level, states, targets, scale, memory, out, d_states);
        d_states
    } else {
        let text = layout.text.map(|all| all.part(level, layout.sizes.levels + 1));
        let width = layout.sizes.width;
        let text_states = sized(&mut found.text_states, m * layout.sizes.text);
        if let Some(text) = text {
            products::set(
                text_states,
                Matrix::new(states, width),
                matrix(text, weights, width).turned(),
            );
        }
        if choices.is_empty() {
            return;
        }
        let chosen = Chosen { first, states, text_states, choices };
        gradients(tables, chosen, reading.slope, &mut found.choices);
        if let Some(text) = text {
            let d_text = Matrix::new(&found.choices.text_states, layout.sizes.text);
            products::add(&mut found.choices.states, d_text, matrix(text, weights, width));
            let d_matrix = text.of_mut(&mut out.weights);
            products::add(d_matrix, d_text.turned(), Matrix::new(states, width));
        }
        found.choices.states.as_mut_slice()
    };
    down.learn(&mut out.weights, wide, d_states);
    let d_wide = sized(&mut passing.d_wide, m * up.outputs);
    down.back(weights, d_states, d_wide);
    gelu::back(slope, d_wide);
    up.learn(&mut out.weights, s, d_wide);
    up.back_add(weights, d_wide, d);
    add_all(d_states, d);
}

fn matrix(place: Place, weights: &[f32], width: usize) -> Matrix<'_> {
    Matrix::new(place.of(weights), width)
}
