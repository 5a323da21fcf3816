//! Some histories of a step, from what is read of their items to the losses and back.

use super::super::kernel::Choice;
use super::dropout;
use super::gradients::Gradients;
use super::layer::{self, Dropouts, Kept, Working};
use super::level::{self, Found, Reading};
use super::norm::Normed;
use super::products::{self, Matrix};
use super::repeats;
use super::rows::{Rows, sized};

/// Histories that follow each other in a step.
#[derive(Debug, Clone)]
pub(super) struct Block<'a> {
    /// Positions of each.
    pub(super) lens: &'a [usize],
    /// The step's number of the first position.
    pub(super) first: usize,
    /// Choices of each level.
    pub(super) choices: Vec<&'a [Choice]>,
}

impl Block<'_> {
    /// Positions, `m`.
    pub(super) fn len(&self) -> usize {
        self.lens.iter().sum()
    }
}

/// What is found in a block for the tables of nodes and features.
#[derive(Debug, Default)]
pub(super) struct BlockFound {
    /// Of each level.
    pub(super) levels: Vec<Found>,
    /// By what is read of the items, `[m, D]`.
    pub(super) d_vectors: Vec<f32>,
    /// What repeats add to the loss of each level.
    pub(super) repeats: Vec<f64>,
}

/// Memory that a block works in, and the next block again.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// What is read of the items, `[m, D]`; before the texts are added, the sums of their vectors.
    pub(super) vectors: Vec<f32>,
    /// Their texts, level by level from the second and then their own, `[m, L·T]`.
    pub(super) texts: Vec<f32>,
    norm: Normed,
    begun: Vec<f32>,
    layers: Vec<Kept>,
    passing: layer::Passing,
    level_passing: level::Passing,
    pub(super) repeats: repeats::Passing,
}

/// Adds the derivatives of a block's losses to `out`; `memory` holds the vectors and texts of its items.
pub(super) fn learn(
    reading: Reading<'_>,
    dropouts: Dropouts,
    block: &Block<'_>,
    memory: &mut Memory,
    found: &mut BlockFound,
    out: &mut Gradients,
) {
    let Reading { layout, weights, turned, .. } = reading;
    let (width, text_width) = (layout.sizes.width, layout.sizes.levels * layout.sizes.text);
    let Memory { vectors, texts, norm, begun, layers, passing, level_passing, .. } = memory;
    let projections = layout.text.map(|all| all.rest(layout.sizes.levels + 1));
    let rows = Rows { lens: block.lens, first: block.first };
    if let Some(place) = projections {
        let matrix = Matrix::new(place.of(weights), width);
        products::add(vectors, Matrix::new(texts, text_width), matrix);
    }
    let begun = sized(begun, vectors.len());
    norm.forward((layout.norm, layout.sizes.epsilon), weights, vectors, None, begun);
    let at_start = dropouts.hidden.at(0);
    dropout::apply(at_start, block.first, width, begun);
    layers.resize_with(layout.layers.len(), Kept::default);
    let working =
        |at: usize| Working { layout, weights, turned, layer: layout.layers[at], at, dropouts };
    for at in 0..layers.len() {
        let (before, after) = layers.split_at_mut(at);
        let x = before.last().map_or(&*begun, |kept| kept.out.as_slice());
        working(at).forward(rows, x, &mut after[0], passing);
    }
    let states = layers.last().map_or(&*begun, |kept| kept.out.as_slice());
    let d = sized(&mut found.d_vectors, vectors.len());
    d.fill(0.0);
    found.levels.resize_with(block.choices.len(), Found::default);
    for (level, (choices, found)) in block.choices.iter().zip(&mut found.levels).enumerate() {
        let choices = (block.first, *choices);
        level::learn(reading, level, choices, states, found, level_passing, (out, d));
    }
    for at in (0..layers.len()).rev() {
        let (before, after) = layers.split_at(at);
        let x = before.last().map_or(&*begun, |kept| kept.out.as_slice());
        working(at).back(rows, x, &after[0], passing, &mut out.weights, d);
    }
    dropout::apply(at_start, block.first, width, d);
    norm.back(layout.norm, weights, &mut out.weights, d);
    if let Some(place) = projections {
        let texts = Matrix::new(texts, text_width);
        products::add(place.of_mut(&mut out.weights), texts.turned(), Matrix::new(d, width));
    }
}
