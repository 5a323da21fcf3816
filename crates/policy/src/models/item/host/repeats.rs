//! What the next items teach the weights of repeats, whose equations stand in [`super::super::repeats`].
//!
//! ```text
//! loss[l]  = log r(parent) − log r(node)                  of the next item's node at level l, besides that of p₀
//! q(c)     = q(m) · p₀(c | m) · r(c) / r(m)               the probability of node c; q(root) = 1
//! dw[d]   += (q(leaf) − 1{the next item's}) · exp(w[d]) / (items of the leaf · r(leaf))
//! ```
//! `p₀` counts as a constant, so it is learned as without repeats.

use std::ops::Range;

use sidereal_sid::Trie;

use super::super::kernel::Tables;
use super::super::repeats::{BOUND, leaf_factor, node_of};
use super::super::tree::{Paths, children};
use super::functions::exp;
use super::layout::Repeats;
use super::level::{Found, Reading};
use super::reweigh::NEARLY_ALL;
use super::sums::dot;
use super::wide::wide;

/// What all blocks of a step read.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) trie: &'a Trie,
    pub(super) paths: &'a Paths,
    /// `exp w` of each distance.
    pub(super) factors: &'a [f64],
}

/// A block's histories, their items `[m]`, what follows each, and what was found of each level.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    /// Positions of each history.
    pub(super) lens: &'a [usize],
    pub(super) items: &'a [u32],
    pub(super) targets: &'a [u32],
    pub(super) levels: &'a [Found],
}

/// An item of the history.
#[derive(Debug, Clone, Copy)]
struct Held {
    item: u32,
    /// Its latest place in the block.
    place: usize,
}

/// A node above items of the history, or the root.
#[derive(Debug, Clone)]
struct Node {
    /// `None` for the root.
    row: Option<usize>,
    level: usize,
    /// The items below it.
    held: Range<usize>,
    /// Its children among these nodes.
    children: Range<usize>,
    /// `p₀` among its siblings.
    share: f64,
    r: f64,
    q: f64,
}

/// Memory of a position.
#[derive(Debug, Default)]
pub(super) struct Passing {
    /// In the order of their Semantic IDs.
    held: Vec<Held>,
    /// Breadth first.
    nodes: Vec<Node>,
    scores: Vec<f32>,
}

/// `exp w` of each distance.
pub(super) fn factors(place: Repeats, weights: &[f32]) -> Vec<f64> {
    let level = f64::from(place.level.of(weights)[0]);
    let of_distance = |distance: &f32| (BOUND * (level + f64::from(*distance)).tanh()).exp();
    place.distance.of(weights).iter().map(of_distance).collect()
}

/// Adds derivatives by the weights, given those by `w` of each distance.
#[allow(clippy::cast_possible_truncation, reason = "applied in f32")]
pub(super) fn to_weights(place: Repeats, weights: &[f32], d_w: &[f64], gradients: &mut [f32]) {
    let level = f64::from(place.level.of(weights)[0]);
    let distances = place.distance.of(weights).iter().zip(d_w);
    let slope = |(distance, d_w): (&f32, &f64)| {
        d_w * BOUND * (1.0 - (level + f64::from(*distance)).tanh().powi(2))
    };
    let slopes: Vec<f64> = distances.map(slope).collect();
    let out = place.distance.of_mut(gradients).iter_mut();
    out.zip(&slopes).for_each(|(out, slope)| *out += *slope as f32);
    place.level.of_mut(gradients)[0] += slopes.iter().sum::<f64>() as f32;
}

/// Adds the losses of a block's positions to those of the levels, and their derivatives times the slope to
/// those by `w`.
pub(super) fn learn(
    known: Known<'_>,
    reading: Reading<'_>,
    given: Given<'_>,
    passing: &mut Passing,
    (losses, d_w): (&mut [f64], &mut [f64]),
) {
    let slope = f64::from(reading.slope);
    let path = |item: u32| known.paths.of(item as usize);
    let mut start = 0;
    for len in given.lens {
        passing.held.clear();
        for at in start..start + len {
            let Passing { held, nodes, scores } = &mut *passing;
            let new = Held { item: given.items[at], place: at };
            let order =
                |other: &Held| path(other.item).cmp(path(new.item)).then(other.item.cmp(&new.item));
            match held.binary_search_by(order) {
                Ok(found) => held[found] = new,
                Err(between) => held.insert(between, new),
            }
            grow(known, held, nodes);
            let position = Position { known, reading, levels: given.levels, at };
            for node in (0..nodes.len()).rev() {
                position.weigh(node, held, nodes, scores);
            }
            let target = path(given.targets[at]);
            add_losses(nodes, target, losses);
            for parent in 0..nodes.len() {
                let (q, r) = (nodes[parent].q, nodes[parent].r);
                let below = nodes[parent].children.clone();
                for node in &mut nodes[below.clone()] {
                    node.q = q * node.share * node.r / r;
                }
                if !below.is_empty() || nodes[parent].row.is_none() {
                    continue;
                }
                let Node { row, held: own, .. } = &nodes[parent];
                let is_target =
                    row.is_some_and(|row| target.last().is_some_and(|last| *last as usize == row));
                let count = position.count(&nodes[parent]) as f64;
                let d = slope * (q - if is_target { 1.0 } else { 0.0 }) / (count * r);
                for held in &held[own.clone()] {
                    let distance = at - held.place;
                    d_w[distance] += d * known.factors[distance];
                }
            }
        }
        start += len;
    }
}

/// The nodes above items, their values unknown.
fn grow(known: Known<'_>, held: &[Held], nodes: &mut Vec<Node>) {
    let node =
        |row, level, held| Node { row, level, held, children: 0..0, share: 1.0, r: 1.0, q: 1.0 };
    nodes.clear();
    nodes.push(node(None, 0, 0..held.len()));
    let mut at = 0;
    while at < nodes.len() {
        let Node { level, held: own, .. } = nodes[at].clone();
        let below = nodes.len();
        let row = |held: &Held| known.paths.of(held.item as usize).get(level).copied();
        let mut start = own.start;
        for same in held[own].chunk_by(|a, b| row(a) == row(b)) {
            // A leaf has no next level.
            if let Some(row) = row(&same[0]) {
                nodes.push(node(Some(row as usize), level + 1, start..start + same.len()));
            }
            start += same.len();
        }
        nodes[at].children = below..nodes.len();
        at += 1;
    }
}

/// Adds `log r(parent) − log r(node)` of the path to the next item.
fn add_losses(nodes: &[Node], target: &[u32], losses: &mut [f64]) {
    let mut parent = &nodes[0];
    for (row, loss) in target.iter().zip(losses) {
        *loss += parent.r.ln();
        let mut children = nodes[parent.children.clone()].iter();
        let Some(node) = children.find(|node| node.row == Some(*row as usize)) else { return };
        *loss -= node.r.ln();
        parent = node;
    }
}

/// A position, whose states choose.
struct Position<'a> {
    known: Known<'a>,
    reading: Reading<'a>,
    levels: &'a [Found],
    at: usize,
}

impl Position<'_> {
    /// Items of a leaf.
    fn count(&self, node: &Node) -> usize {
        node.row.map_or(0, |row| self.known.trie.items(node_of(row)).len())
    }

    /// Sets `r` of a node, and `p₀` of its children, whose `r` is known.
    fn weigh(&self, at: usize, held: &[Held], nodes: &mut [Node], scores: &mut Vec<f32>) {
        let node = nodes[at].clone();
        if node.children.is_empty() {
            let factor = |held: &Held| self.known.factors[self.at - held.place];
            nodes[at].r = leaf_factor(self.count(&node), held[node.held].iter().map(factor));
            return;
        }
        let all = children(self.known.trie, node.row.map_or(Trie::ROOT, node_of));
        let below = &mut nodes[node.children];
        let mut others = 0.0;
        // An only child is certain.
        if all.len() > 1 {
            let known = node.level == 0 && {
                let sum = self.first_shares(below);
                others = 1.0 - sum;
                sum < NEARLY_ALL
            };
            if !known {
                others = self.shares(node.level, all, below, scores);
            }
        }
        nodes[at].r = below.iter().map(|child| child.share * child.r).sum::<f64>() + others;
    }

    /// `p₀` of nodes of the first level, and their sum.
    fn first_shares(&self, below: &mut [Node]) -> f64 {
        let nodes = self.reading.first_level;
        let (state, width) = (self.state(0), self.reading.layout.sizes.width);
        let log_sum = self.levels[0].log_sums[self.at];
        let mut sum = 0.0;
        for node in below {
            let Some(row) = node.row else { continue };
            let score = product(state, &nodes.vectors[row * width..(row + 1) * width]);
            node.share = f64::from(score + nodes.bias[row] - log_sum).exp();
            sum += node.share;
        }
        sum
    }

    /// `p₀` of some of a node's children; returns the sum of all others.
    fn shares(
        &self,
        level: usize,
        all: Range<usize>,
        below: &mut [Node],
        scores: &mut Vec<f32>,
    ) -> f64 {
        let Tables { text_dim, .. } = self.reading.tables;
        let texts = &self.levels[level].text_states;
        let text_state = if level == 0 { &[] } else { &texts[self.at * text_dim..][..text_dim] };
        let tables = if level == 0 {
            let first = self.reading.first_level;
            Tables {
                base: first.vectors,
                bias: first.bias,
                text: &[],
                text_dim: 0,
                ..self.reading.tables
            }
        } else {
            self.reading.tables
        };
        let first = all.start;
        let sum = f64::from(exponentials(tables, all, self.state(level), text_state, scores));
        for node in below {
            let Some(row) = node.row else { continue };
            node.share = f64::from(std::mem::take(&mut scores[row - first])) / sum;
        }
        scores.iter().map(|score| f64::from(*score)).sum::<f64>() / sum
    }

    fn state(&self, level: usize) -> &[f32] {
        let width = self.reading.layout.sizes.width;
        &self.levels[level].states[self.at * width..(self.at + 1) * width]
    }
}

wide! {
    fn product<'a>(a: &'a [f32], b: &'a [f32]) -> f32 {
        dot(a, b)
    }

    /// The exponentials of some rows' scores, times a factor, and their sum.
    fn exponentials<'a>(
        tables: Tables<'a>,
        rows: Range<usize>,
        state: &'a [f32],
        text_state: &'a [f32],
        out: &'a mut Vec<f32>,
    ) -> f32 {
        let Tables { base, text, bias, dim, text_dim } = tables;
        out.clear();
        for row in rows {
            let of_text = dot(text_state, &text[row * text_dim..(row + 1) * text_dim]);
            out.push(dot(state, &base[row * dim..(row + 1) * dim]) + of_text + bias[row]);
        }
        let highest = out.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        for score in out.iter_mut() {
            *score = exp(*score - highest);
            sum += *score;
        }
        sum
    }
}
