//! Counts of neighbours by the prefixes of both.

use std::collections::HashMap;

use sidereal_sid::{Catalog, ItemId, NodeId, Trie};

use super::smoothing::Link;

/// Every item's way down the trie.
pub(super) struct Paths {
    trie: Trie,
    /// Nodes from the root to the leaf, by item.
    nodes: Vec<Vec<NodeId>>,
}

impl Paths {
    pub(super) fn new(catalog: &Catalog) -> Self {
        let trie = Trie::from_catalog(catalog);
        let parents = trie.parents();
        let path = |(item, _)| {
            let mut node = trie.leaf(item).unwrap_or(Trie::ROOT);
            let mut path = vec![node];
            while node != Trie::ROOT {
                node = parents[node.index()];
                path.push(node);
            }
            path.reverse();
            path
        };
        let nodes = catalog.iter().map(path).collect();
        Self { trie, nodes }
    }

    /// Length of the longest Semantic ID.
    pub(super) fn depth(&self) -> usize {
        self.trie.max_depth()
    }

    /// Items that share the item's Semantic ID, itself included.
    pub(super) fn num_at_leaf(&self, item: ItemId) -> usize {
        self.nodes[item.index()].last().map_or(1, |leaf| self.trie.items(*leaf).len())
    }
}

/// How often prefixes of later items were seen after prefixes of earlier ones.
pub(super) struct Counts {
    /// By node of the later item and node of the earlier one.
    pairs: HashMap<(NodeId, NodeId), u32>,
    /// How often each item is the later one.
    items: Vec<u32>,
    total: u32,
}

impl Counts {
    pub(super) fn new(paths: &Paths, pairs: &[(ItemId, ItemId)]) -> Self {
        let mut counts =
            Self { pairs: HashMap::new(), items: vec![0; paths.nodes.len()], total: 0 };
        for (before, next) in pairs {
            for later in &paths.nodes[next.index()] {
                for earlier in &paths.nodes[before.index()] {
                    *counts.pairs.entry((*later, *earlier)).or_default() += 1;
                }
            }
            counts.items[next.index()] += 1;
            counts.total += 1;
        }
        counts
    }

    /// Counts of the next item's code at a level, in contexts that grow from nothing to the whole item
    /// before; empty if the next item has no code at this level.
    pub(super) fn chain(
        &self,
        paths: &Paths,
        before: ItemId,
        next: ItemId,
        level: usize,
    ) -> Vec<Link> {
        let Some([parent, node, ..]) = paths.nodes[next.index()].get(level..) else {
            return Vec::new();
        };
        let of = |later: &NodeId, earlier: &NodeId| {
            // A pair that is not there was seen no time.
            f64::from(self.pairs.get(&(*later, *earlier)).copied().unwrap_or(0))
        };
        let choices = paths.trie.children(*parent).len();
        let link = |earlier| Link { hits: of(node, earlier), total: of(parent, earlier), choices };
        paths.nodes[before.index()].iter().map(link).collect()
    }

    /// Counts of an item, whatever came before it.
    pub(super) fn items(&self, next: ItemId) -> Vec<Link> {
        let hits = f64::from(self.items[next.index()]);
        vec![Link { hits, total: f64::from(self.total), choices: self.items.len() }]
    }
}
