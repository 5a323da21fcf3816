//! The trie, level by level, as rows of the policy's tables.

use std::ops::Range;

use sidereal_sid::{ItemId, NodeId, Trie};
use tch::{Device, Tensor};

use super::families::Families;
use crate::PolicyError;
use crate::decode::constraint::Constraint;
use crate::weights::to_i64;

/// A trie whose nodes are rows of tables: row `m` is node `m + 1`, because the root has no vector.
///
/// Nodes are numbered breadth first, so that each level's rows, and each node's children, are a range.
#[derive(Debug)]
pub(super) struct Tree {
    trie: Trie,
    /// Rows of each level.
    levels: Vec<Range<usize>>,
    paths: Paths,
    /// Each row's parent as a row of its level, level by level from the second, i64.
    parents: Vec<Tensor>,
    /// The nodes of each level as children, from the second level on.
    families: Vec<Families>,
    /// Row of each item's leaf, `[N]`, i64.
    leaves: Tensor,
    /// ln of the number of items of each item's leaf, `[N]`; `None` if all have one.
    shared: Option<Tensor>,
}

/// Rows of each item's nodes, from the first level to its leaf.
#[derive(Debug, Clone)]
pub(super) struct Paths {
    /// Start of each item's rows, `[N + 1]`.
    starts: Vec<usize>,
    rows: Vec<u32>,
}

impl Paths {
    /// Those of an item.
    pub(super) fn of(&self, item: usize) -> &[u32] {
        &self.rows[self.starts[item]..self.starts[item + 1]]
    }
}

impl Tree {
    pub(super) fn new(trie: Trie, device: Device) -> Self {
        let first = trie.rows();
        let mut levels: Vec<Range<usize>> = Vec::with_capacity(trie.max_depth());
        let (mut start, mut end) = (0, 1);
        for _ in 0..trie.max_depth() {
            (start, end) = (first[start] as usize, first[end] as usize);
            levels.push(start - 1..end - 1);
        }
        let mut parent = vec![0u32; trie.num_nodes()];
        for (node, range) in (0u32..).zip(first.windows(2)) {
            parent[range[0] as usize..range[1] as usize].fill(node);
        }
        let (mut starts, mut paths) = (vec![0], Vec::new());
        let (mut leaves, mut counts) = (Vec::new(), Vec::new());
        for leaf in (0..).map(ItemId).map_while(|item| trie.leaf(item)) {
            let before = paths.len();
            let mut node = leaf.0;
            while node != Trie::ROOT.0 {
                paths.push(node - 1);
                node = parent[node as usize];
            }
            paths[before..].reverse();
            starts.push(paths.len());
            leaves.push(i64::from(leaf.0) - 1);
            counts.push(trie.items(leaf).len());
        }
        let parents = levels.windows(2).map(|pair| {
            let local = |row: usize| i64::from(parent[row + 1]) - 1 - to_i64(pair[0].start);
            let local: Vec<i64> = pair[1].clone().map(local).collect();
            Tensor::from_slice(&local).to_device(device)
        });
        let parents = parents.collect();
        let families = levels[..levels.len() - 1].iter().map(|parents| {
            let size = |row: usize| (first[row + 2] - first[row + 1]) as usize;
            Families::new(parents.clone().map(size), device)
        });
        let families = families.collect();
        let shared = counts.iter().any(|count| *count > 1).then(|| {
            #[allow(clippy::cast_possible_truncation, reason = "a logarithm of a count")]
            let logs: Vec<f32> = counts.iter().map(|count| (*count as f64).ln() as f32).collect();
            Tensor::from_slice(&logs).to_device(device)
        });
        let leaves = Tensor::from_slice(&leaves).to_device(device);
        let paths = Paths { starts, rows: paths };
        Self { trie, levels, paths, parents, families, leaves, shared }
    }

    pub(super) const fn trie(&self) -> &Trie {
        &self.trie
    }

    pub(super) fn num_items(&self) -> usize {
        self.paths.starts.len() - 1
    }

    /// All nodes but the root, `M`.
    pub(super) fn num_rows(&self) -> usize {
        self.trie.num_nodes() - 1
    }

    /// Codes that a table of flat tokens needs.
    pub(super) fn num_codes(&self) -> usize {
        self.trie.tokens()[1..].iter().max().map_or(0, |most| *most as usize + 1)
    }

    /// Levels, `L`.
    pub(super) fn depth(&self) -> usize {
        self.levels.len()
    }

    /// Rows of a level.
    pub(super) fn level(&self, level: usize) -> Range<usize> {
        self.levels[level].clone()
    }

    /// Level of a row.
    pub(super) fn level_of(&self, row: usize) -> usize {
        self.levels.partition_point(|rows| rows.end <= row)
    }

    /// Rows of an item's nodes.
    pub(super) fn path(&self, item: usize) -> &[u32] {
        self.paths.of(item)
    }

    /// Those of all items.
    pub(super) const fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Flat token that leads into each row.
    pub(super) fn tokens(&self) -> &[u32] {
        &self.trie.tokens()[1..]
    }

    /// Rows of a node's children.
    pub(super) fn children(&self, node: NodeId) -> Range<usize> {
        children(&self.trie, node)
    }

    pub(super) fn parents(&self, level: usize) -> &Tensor {
        &self.parents[level - 1]
    }

    /// The nodes of a level after the first, as children.
    pub(super) fn families(&self, level: usize) -> &Families {
        &self.families[level - 1]
    }

    pub(super) const fn leaves(&self) -> &Tensor {
        &self.leaves
    }

    pub(super) const fn shared(&self) -> Option<&Tensor> {
        self.shared.as_ref()
    }

    /// Accepts a constraint over the same trie.
    pub(super) fn check(&self, constraint: &Constraint) -> Result<(), PolicyError> {
        let other = constraint.trie();
        if *other == self.trie {
            return Ok(());
        }
        let (found, expected) = (other.num_nodes(), self.trie.num_nodes());
        Err(PolicyError::OtherTrie { found, expected })
    }

    pub(super) fn share(&self) -> Self {
        Self {
            trie: self.trie.clone(),
            levels: self.levels.clone(),
            paths: self.paths.clone(),
            parents: self.parents.iter().map(Tensor::shallow_clone).collect(),
            families: self.families.iter().map(Families::share).collect(),
            leaves: self.leaves.shallow_clone(),
            shared: self.shared.as_ref().map(Tensor::shallow_clone),
        }
    }
}

/// Rows of a node's children.
pub(super) fn children(trie: &Trie, node: NodeId) -> Range<usize> {
    let first = trie.rows();
    let (start, end) = (first[node.index()] as usize, first[node.index() + 1] as usize);
    // Nobody's child is the root: an empty range of the root's own number is at 0.
    start.saturating_sub(1)..end.saturating_sub(1)
}
