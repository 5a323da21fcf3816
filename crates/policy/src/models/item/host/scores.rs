//! Exact log-probabilities of all items, node by node for some users side by side.
//!
//! ```text
//! z[m]     = E[m] · s_l + bias[m]                              m of level l; [M, U]
//! log p(m) = log p(parent) + z[m] − log Σ exp z over the children of the parent
//! log p(i) = log p(leaf of i) − log(items of the leaf)         [U, N]
//! ```

use rayon::prelude::*;
use sidereal_sid::{ItemId, NodeId, Trie};

use super::super::tree::children;
use super::functions::exp;
use super::products::{self, Matrix};
use super::wide::wide;

/// Users that are scored side by side: a few registers of them, and few enough that the scores of thousands of
/// nodes stay near.
const USERS: usize = 32;
/// Items that are written next to each other.
const TILE: usize = 16;

/// The nodes to score.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Nodes<'a> {
    pub(in super::super) trie: &'a Trie,
    /// `[M, D]`.
    pub(in super::super) vectors: &'a [f32],
    /// `[M]`.
    pub(in super::super) bias: &'a [f32],
    /// `D`.
    pub(in super::super) width: usize,
}

/// Sets `out` to the log-probabilities `[U, N]` of all items, given the users' states `[U, D]` of each level with the number of the
/// level's nodes.
pub(in super::super) fn of_items(
    nodes: Nodes<'_>,
    levels: &[(usize, Vec<f32>)],
    out: &mut Vec<f32>,
) {
    let items = (0..).map(ItemId).map_while(|item| nodes.trie.leaf(item));
    #[allow(clippy::cast_possible_truncation, reason = "a logarithm of a count")]
    let log = |leaf: NodeId| (nodes.trie.items(leaf).len() as f64).ln() as f32;
    let leaves: Vec<(usize, f32)> = items.map(|leaf| (leaf.index() - 1, log(leaf))).collect();
    let users = levels.first().map_or(0, |(_, states)| states.len() / nodes.width);
    out.resize(users * leaves.len(), 0.0);
    let blocks = out.par_chunks_mut(USERS * leaves.len()).enumerate();
    blocks.for_each_init(Vec::new, |all: &mut Vec<f32>, (block, out)| {
        let users = out.len() / leaves.len();
        all.resize(nodes.bias.len() * users, 0.0);
        let (mut rest, mut vectors) = (all.as_mut_slice(), nodes.vectors);
        for (rows, states) in levels {
            let (own, after) = rest.split_at_mut(rows * users);
            let (of_level, later) = vectors.split_at(rows * nodes.width);
            let states = &states[block * USERS * nodes.width..][..users * nodes.width];
            let states = Matrix::new(states, nodes.width).turned();
            products::set(own, Matrix::new(of_level, nodes.width), states);
            (rest, vectors) = (after, later);
        }
        normalise(nodes, users, all);
        write(&leaves, users, all, out);
    });
}

wide! {
    /// Scores without biases, `[M, U]`, become log-probabilities.
    fn normalise<'a>(nodes: Nodes<'a>, users: usize, all: &'a mut [f32]) {
        let (mut highest, mut sums) = ([0f32; USERS], [0f32; USERS]);
        let (highest, sums) = (&mut highest[..users], &mut sums[..users]);
        for node in (0..).map(NodeId).take(nodes.trie.num_nodes()) {
            let rows = children(nodes.trie, node);
            if rows.is_empty() {
                continue;
            }
            // A parent is before its children.
            let (before, rest) = all.split_at_mut(rows.start * users);
            let scores = &mut rest[..rows.len() * users];
            highest.fill(f32::NEG_INFINITY);
            for (scores, bias) in scores.chunks_exact_mut(users).zip(&nodes.bias[rows]) {
                for (score, highest) in scores.iter_mut().zip(&mut *highest) {
                    *score += bias;
                    *highest = if *score > *highest { *score } else { *highest };
                }
            }
            sums.fill(0.0);
            for scores in scores.chunks_exact(users) {
                for ((score, highest), sum) in scores.iter().zip(&*highest).zip(&mut *sums) {
                    *sum += exp(score - highest);
                }
            }
            for (sum, highest) in sums.iter_mut().zip(&*highest) {
                *sum = -highest - sum.ln();
            }
            if let Some(parent) = node.index().checked_sub(1) {
                let parent = &before[parent * users..(parent + 1) * users];
                sums.iter_mut().zip(parent).for_each(|(sum, parent)| *sum += parent);
            }
            for scores in scores.chunks_exact_mut(users) {
                scores.iter_mut().zip(&*sums).for_each(|(score, sum)| *score += sum);
            }
        }
    }

    /// Writes the items' log-probabilities, `[U, N]`, given their leaves and the logarithms of what they share.
    fn write<'a>(
        leaves: &'a [(usize, f32)],
        users: usize,
        all: &'a [f32],
        out: &'a mut [f32],
    ) {
        for (tile, leaves_of_tile) in leaves.chunks(TILE).enumerate() {
            for (user, out) in out.chunks_exact_mut(leaves.len()).enumerate() {
                let out = out[tile * TILE..].iter_mut().zip(leaves_of_tile);
                out.for_each(|(out, (row, shared))| *out = all[row * users + user] - shared);
            }
        }
    }
}
