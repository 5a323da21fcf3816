//! A step of next-item learning.
//!
//! ```text
//! E₀    = base[first level] + text · T₀      [M₀, D]: once for all blocks, for the head and for what is read
//! ∂     = Σ over blocks of the derivatives of their losses
//! dT₀  += textᵀ · dE₀      d base += what the choices and the items of all positions say, in their order
//! ```

use std::sync::PoisonError;

use rayon::prelude::*;
use tch::Tensor;

use super::super::ItemPolicy;
use super::super::body::ItemDropout;
use super::super::kernel::{Chosen, Tables, tables_back};
use super::super::lesson::Lesson;
use super::super::tables::{accumulate, gradient};
use super::block::{self, Block, BlockFound};
use super::dropout::Dropout;
use super::first_level::FirstLevel;
use super::gradients::Gradients;
use super::items::Items;
use super::layer::Dropouts;
use super::level::Reading;
use super::linear::add_all;
use super::memory::{Group, Memory, is_plain};
use super::products::{self, Matrix};
use super::raw::move_into;
use super::repeats::{self, Given, Known};
use super::rows::sized;
use super::split::{blocks, groups};
use crate::PolicyError;
use crate::weights::share;

impl ItemPolicy {
    /// Whether the weights are where this computes: f32 on the CPU.
    pub(in super::super) fn is_on_host(&self) -> bool {
        self.weights.values().all(is_plain)
    }

    /// Adds `slope` times the gradient of a lesson's loss to the weights' gradients, and returns the loss of each
    /// level.
    pub(in super::super) fn learn_on_host(
        &self,
        lesson: &Lesson,
        dropout: ItemDropout,
        slope: f64,
    ) -> Result<Vec<f64>, PolicyError> {
        // A second caller at the same time has memory of its own.
        let kept = self.memory.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut memory = kept.unwrap_or_else(|| Memory::new(self));
        let losses = learn(self, lesson, dropout, slope, &mut memory)?;
        *self.memory.lock().unwrap_or_else(PoisonError::into_inner) = Some(memory);
        Ok(losses)
    }
}

fn learn(
    policy: &ItemPolicy,
    lesson: &Lesson,
    dropout: ItemDropout,
    slope: f64,
    memory: &mut Memory,
) -> Result<Vec<f64>, PolicyError> {
    memory.read(policy)?;
    let Memory {
        layout,
        weights,
        turned,
        tables,
        categories,
        first_vectors,
        d_tables,
        groups: all,
    } = memory;
    let layout = &*layout;
    let (width, first_rows) = (layout.sizes.width, policy.tree.level(0).len());
    let view = tables.view(policy);
    let of_first = sized(first_vectors, first_rows * width);
    of_first.copy_from_slice(&view.base[..first_rows * width]);
    let first_text = first_texts(view, first_rows);
    let projection = layout.text.map(|all| all.part(0, layout.sizes.levels + 1));
    if let Some(projection) = projection {
        products::add(of_first, first_text, Matrix::new(projection.of(weights), width));
    }
    let reading = Reading {
        layout,
        weights,
        turned,
        tables: view,
        first_level: FirstLevel { vectors: of_first, bias: &view.bias[..first_rows] },
        #[allow(clippy::cast_possible_truncation, reason = "applied in f32")]
        slope: slope as f32,
    };
    let dropouts = Dropouts {
        hidden: Dropout::new(dropout.hidden, dropout.seed).at(HIDDEN),
        attention: Dropout::new(dropout.attention, dropout.seed).at(ATTENTION),
    };
    let items = Items::new(policy, of_first, view.base, categories);
    let blocks = blocks(&lesson.inputs.lens, &lesson.choices);
    let parts: Vec<&[Block<'_>]> = groups(blocks.len()).map(|part| &blocks[part]).collect();
    let factors = layout.repeats.map(|place| repeats::factors(place, weights));
    let (trie, paths) = (policy.tree.trie(), policy.tree.paths());
    let known = factors.as_ref().map(|factors| Known { trie, paths, factors });
    all.resize_with(parts.len(), Group::default);
    all.par_iter_mut().zip(&parts).for_each(|(group, blocks)| {
        group.begin([layout.len(), first_rows * width, first_rows], blocks.len());
        let Group { gradients, memory, found } = group;
        for (block, found) in blocks.iter().zip(found) {
            let own = &lesson.inputs.items[block.first..block.first + block.len()];
            items.read(own, &mut memory.vectors, &mut memory.texts);
            block::learn(reading, dropouts, block, memory, found, gradients);
            if let Some(known) = known {
                let targets = &lesson.targets[block.first..block.first + block.len()];
                let given = Given { lens: block.lens, items: own, targets, levels: &found.levels };
                let BlockFound { repeats: losses, .. } = found;
                losses.clear();
                losses.resize(lesson.choices.len(), 0.0);
                gradients.by_distance.resize(known.factors.len(), 0.0);
                let out = (losses.as_mut_slice(), gradients.by_distance.as_mut_slice());
                repeats::learn(known, reading, given, &mut memory.repeats, out);
            }
        }
    });
    let mut losses = vec![0.0; lesson.choices.len()];
    let mut d_categories = vec![0.0; categories.len()];
    for (group, blocks) in all.iter().zip(&parts) {
        for (block, found) in blocks.iter().zip(&group.found) {
            let levels = block.choices.iter().zip(&found.levels).enumerate();
            for (level, (choices, found)) in levels {
                losses[level] += found.choices.loss;
                if level > 0 {
                    let (states, scores) = (&found.states, &found.choices.scores);
                    let chosen = Chosen { first: block.first, states, text_states: &[], choices };
                    tables_back(chosen, scores, width, d_tables);
                }
            }
            losses.iter_mut().zip(&found.repeats).for_each(|(loss, more)| *loss += more);
            let own = &lesson.inputs.items[block.first..block.first + block.len()];
            policy.scatter(own, &found.d_vectors, &mut d_tables.base, &mut d_categories);
        }
    }
    let Some(sum) = sum_of(all) else { return Ok(losses) };
    if let Some(place) = layout.repeats {
        repeats::to_weights(place, weights, &sum.by_distance, &mut sum.weights);
    }
    // Those of the items that are read are there already.
    let d_first = &mut d_tables.base[..first_rows * width];
    add_all(&sum.first_vectors, d_first);
    add_all(&sum.first_bias, &mut d_tables.bias[..first_rows]);
    if let Some(projection) = projection {
        let d_first = Matrix::new(d_first, width);
        products::add(projection.of_mut(&mut sum.weights), first_text.turned(), d_first);
    }
    let _guard = tch::no_grad_guard();
    for (name, values) in layout.each(&sum.weights) {
        accumulate(&share(&policy.weights, name)?, values)?;
    }
    if let Some(table) = &policy.categories {
        accumulate(table, &d_categories)?;
    }
    policy.codes_back(d_tables)?;
    move_into_gradient(&policy.nodes, &mut d_tables.base)?;
    move_into_gradient(&policy.bias, &mut d_tables.bias)?;
    Ok(losses)
}

/// The gradients of all groups, in the first of them.
fn sum_of(all: &mut [Group]) -> Option<&mut Gradients> {
    let (first, others) = all.split_first_mut()?;
    let sum = &mut first.gradients;
    for Group { gradients, .. } in others {
        add_all(&gradients.weights, &mut sum.weights);
        add_all(&gradients.first_vectors, &mut sum.first_vectors);
        add_all(&gradients.first_bias, &mut sum.first_bias);
        let by_distance = sum.by_distance.iter_mut().zip(&gradients.by_distance);
        by_distance.for_each(|(sum, more)| *sum += more);
    }
    Some(sum)
}

/// Adds to the gradient of a leaf that is trained, and clears what was added.
fn move_into_gradient(weight: &Tensor, values: &mut [f32]) -> Result<(), PolicyError> {
    if !weight.requires_grad() || !move_into(&mut gradient(weight)?, values) {
        accumulate(weight, values)?;
        values.fill(0.0);
    }
    Ok(())
}

/// Texts of the first level's nodes, `[M₀, T]`.
fn first_texts(tables: Tables<'_>, rows: usize) -> Matrix<'_> {
    Matrix::new(&tables.text[..rows * tables.text_dim], tables.text_dim)
}

/// Where dropout acts.
pub(super) const HIDDEN: u64 = 1;
pub(super) const ATTENTION: u64 = 2;
