//! The compiled trie: which token may follow which prefix.

use crate::{Catalog, Code, ItemId};

/// A node of a [`Trie`]: one prefix of at least one Semantic ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl NodeId {
    /// The node as an index into node-major arrays.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// All prefixes of a catalogue's Semantic IDs, as compressed sparse rows.
///
/// Nodes are numbered breadth first, so the children of a node are consecutive and ordered by
/// token: child `k` of node `n` is `first + k`. A step of a decoder is one row look-up, never a
/// hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trie {
    /// First child of each node, `[nodes + 1]`; node 0 is the root, which is not a child.
    first_child: Vec<u32>,
    /// Flat token index that leads into each node, `[nodes]`; unused for the root.
    token: Vec<u32>,
    /// Start of each node's items in `items`, `[nodes + 1]`.
    first_item: Vec<u32>,
    items: Vec<ItemId>,
    /// Where each item ends, `[items]`.
    leaf: Vec<NodeId>,
    max_depth: usize,
}

/// Why a trie could not be made of sequences.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each message names its fields")]
pub enum TrieError {
    /// There are no sequences.
    #[error("a trie needs at least one sequence")]
    Empty,
    /// More sequences than an [`ItemId`] can number.
    #[error("a trie holds at most 4294967295 sequences, but there are {found}")]
    TooMany { found: usize },
    /// An item that would end at the root.
    #[error("item {item}: its sequence is empty")]
    EmptySequence { item: ItemId },
    /// One sequence is the beginning of another.
    #[error("item {short}: its sequence is the beginning of that of item {long}")]
    Prefix { short: ItemId, long: ItemId },
}

/// The legal continuations of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Children<'a> {
    /// Flat token index of each child, ascending.
    pub tokens: &'a [u32],
    /// Node of the first child; child `k` is `first + k`.
    pub first: NodeId,
}

impl Children<'_> {
    /// Number of legal continuations; 0 at the end of a Semantic ID.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether the node ends a Semantic ID.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The `k`-th child.
    #[must_use]
    pub fn node(&self, k: usize) -> NodeId {
        NodeId(self.first.0 + u32::try_from(k).unwrap_or(u32::MAX))
    }

    /// The child that `token` leads to.
    #[must_use]
    pub fn find(&self, token: u32) -> Option<NodeId> {
        self.tokens.binary_search(&token).ok().map(|k| self.node(k))
    }
}

impl Trie {
    /// The empty prefix.
    pub const ROOT: NodeId = NodeId(0);

    /// Compiles the trie of a catalogue. Time and memory are linear in the number of codes.
    #[must_use]
    pub fn from_catalog(catalog: &Catalog) -> Self {
        Self::build(catalog.items_by_sid(), |item, depth| {
            let code: Code = *catalog.sids()[item.index()].get(depth)?;
            Some(catalog.spec().token(depth, code).unwrap_or(u32::MAX))
        })
    }

    /// Compiles the trie in which item `i` is written as `sequences[i]`, a sequence of any tokens:
    /// for titles and other texts. Items may share a sequence.
    ///
    /// # Errors
    /// [`TrieError`]: no sequences, an empty one, one that is the beginning of another, or more
    /// than there are identities.
    pub fn from_sequences<S: AsRef<[u32]>>(sequences: &[S]) -> Result<Self, TrieError> {
        let num_items = u32::try_from(sequences.len())
            .map_err(|_| TrieError::TooMany { found: sequences.len() })?;
        if num_items == 0 {
            return Err(TrieError::Empty);
        }
        let of = |item: ItemId| sequences[item.index()].as_ref();
        let mut order: Vec<ItemId> = (0..num_items).map(ItemId).collect();
        if let Some(item) = order.iter().find(|item| of(**item).is_empty()) {
            return Err(TrieError::EmptySequence { item: *item });
        }
        order.sort_by(|a, b| of(*a).cmp(of(*b)).then(a.cmp(b)));
        for pair in order.windows(2) {
            let (short, long) = (of(pair[0]), of(pair[1]));
            if short.len() < long.len() && long.starts_with(short) {
                return Err(TrieError::Prefix { short: pair[0], long: pair[1] });
            }
        }
        Ok(Self::build(&order, |item, depth| of(item).get(depth).copied()))
    }

    /// The trie of prefix-free sequences, given in their order.
    fn build(order: &[ItemId], token_at: impl Fn(ItemId, usize) -> Option<u32>) -> Self {
        // One range of `order` per node of the current depth; its items share the node's prefix.
        let mut level = vec![(0, order.len())];
        let (mut first_child, mut token) = (Vec::new(), vec![u32::MAX]);
        let (mut first_item, mut items) = (vec![0], Vec::new());
        let mut leaf = vec![Self::ROOT; order.len()];
        let mut depth = 0;
        while !level.is_empty() {
            let mut next = Vec::new();
            for (first, end_of_node) in level {
                let node = NodeId(to_u32(first_child.len()));
                first_child.push(to_u32(token.len()));
                let mut start = first;
                while start < end_of_node {
                    let Some(found) = token_at(order[start], depth) else {
                        // No sequence begins another, so this is a leaf: all its items end here.
                        items.push(order[start]);
                        leaf[order[start].index()] = node;
                        start += 1;
                        continue;
                    };
                    let same = |item: &ItemId| token_at(*item, depth) == Some(found);
                    let end = start + order[start..end_of_node].partition_point(same);
                    token.push(found);
                    next.push((start, end));
                    start = end;
                }
                first_item.push(to_u32(items.len()));
            }
            level = next;
            depth += 1;
        }
        first_child.push(to_u32(token.len()));
        Self { first_child, token, first_item, items, leaf, max_depth: depth - 1 }
    }

    /// The legal continuations of `node`.
    #[must_use]
    pub fn children(&self, node: NodeId) -> Children<'_> {
        let (start, end) = (self.first_child[node.index()], self.first_child[node.index() + 1]);
        Children { tokens: &self.token[start as usize..end as usize], first: NodeId(start) }
    }

    /// The items whose Semantic ID ends at `node`; empty inside the trie.
    #[must_use]
    pub fn items(&self, node: NodeId) -> &[ItemId] {
        let (start, end) = (self.first_item[node.index()], self.first_item[node.index() + 1]);
        &self.items[start as usize..end as usize]
    }

    /// The node at which an item's Semantic ID ends.
    #[must_use]
    pub fn leaf(&self, item: ItemId) -> Option<NodeId> {
        self.leaf.get(item.index()).copied()
    }

    /// The node that `node` continues; `None` for the root.
    #[must_use]
    pub fn parent(&self, node: NodeId) -> Option<NodeId> {
        let before = self.first_child.partition_point(|start| *start <= node.0);
        Some(NodeId(to_u32(before.checked_sub(1)?)))
    }

    /// Whether a Semantic ID ends at `node`.
    #[must_use]
    pub fn is_leaf(&self, node: NodeId) -> bool {
        self.children(node).is_empty()
    }

    /// The nodes at which Semantic IDs end, ascending: one for each Semantic ID.
    pub fn leaves(&self) -> impl Iterator<Item = NodeId> + '_ {
        (0..).map(NodeId).take(self.num_nodes()).filter(|node| self.is_leaf(*node))
    }

    /// The node that a prefix of flat tokens leads to; `None` where no Semantic ID begins so.
    #[must_use]
    pub fn walk(&self, tokens: &[u32]) -> Option<NodeId> {
        tokens.iter().try_fold(Self::ROOT, |node, token| self.children(node).find(*token))
    }

    /// Start of each node's items, `[nodes + 1]`, and the items.
    pub(crate) fn items_by_node(&self) -> (&[u32], &[ItemId]) {
        (&self.first_item, &self.items)
    }

    /// Number of nodes, the root included.
    #[must_use]
    pub fn num_nodes(&self) -> usize {
        self.token.len()
    }

    /// Length of the longest Semantic ID.
    #[must_use]
    pub const fn max_depth(&self) -> usize {
        self.max_depth
    }

    /// Row starts `[nodes + 1]`: the children of node `n` are the nodes `rows[n]..rows[n + 1]`.
    #[must_use]
    pub fn rows(&self) -> &[u32] {
        &self.first_child
    }

    /// Flat token index that leads into each node, `[nodes]`; [`u32::MAX`] for the root.
    #[must_use]
    pub fn tokens(&self) -> &[u32] {
        &self.token
    }
}

/// Node and item counts fit: there are at most `u32::MAX` items of a few tokens each.
fn to_u32(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SemanticId, SidSpec};

    #[test]
    fn variable_lengths_end_at_their_own_leaves() {
        let spec = SidSpec::new(vec![4, 4], 2).unwrap();
        let sids = vec![
            SemanticId::from([1, 2, 1]),
            SemanticId::from([0, 3]),
            SemanticId::from([1, 2, 0]),
        ];
        let trie = Trie::from_catalog(&Catalog::new(spec, sids).unwrap());
        // root, <a_0>, <a_1>, <a_0><b_3>, <a_1><b_2>, and the two suffixed leaves
        assert_eq!(trie.num_nodes(), 7);
        assert_eq!(trie.max_depth(), 3);
        let leaf = trie.walk(&[0, 4 + 3]).unwrap();
        assert_eq!(trie.items(leaf), [ItemId(1)]);
        assert!(trie.is_leaf(leaf));
        let inner = trie.walk(&[1, 4 + 2]).unwrap();
        assert!(trie.items(inner).is_empty());
        assert_eq!(trie.children(inner).tokens, [8, 9]);
        assert_eq!([Trie::ROOT, inner, leaf].map(|node| trie.children(node).len()), [2, 2, 0]);
        assert_eq!(trie.items(trie.walk(&[1, 6, 8]).unwrap()), [ItemId(2)]);
        assert_eq!(trie.walk(&[3]), None);
    }

    #[test]
    fn sequences_share_beginnings_and_ends_and_lead_back_to_their_items() {
        let sequences: [&[u32]; 4] = [&[9, 4, 1], &[9, 1], &[2, 1], &[9, 4, 1]];
        let trie = Trie::from_sequences(&sequences).unwrap();
        assert_eq!(trie.items(trie.walk(&[9, 4, 1]).unwrap()), [ItemId(0), ItemId(3)]);
        assert_eq!(trie.children(trie.walk(&[9]).unwrap()).tokens, [1, 4]);
        for (item, sequence) in (0..).map(ItemId).zip(sequences) {
            let (mut node, mut back) = (trie.leaf(item).unwrap(), Vec::new());
            while let Some(parent) = trie.parent(node) {
                back.push(trie.tokens()[node.index()]);
                node = parent;
            }
            back.reverse();
            assert_eq!((back.as_slice(), node), (sequence, Trie::ROOT));
        }
        assert_eq!(trie.leaf(ItemId(4)), None);
    }

    #[test]
    fn sequences_without_a_trie_are_named() {
        let none: [&[u32]; 0] = [];
        let (short, long) = (ItemId(2), ItemId(0));
        let cases: [(&[&[u32]], TrieError); 3] = [
            (&none, TrieError::Empty),
            (&[&[1], &[]], TrieError::EmptySequence { item: ItemId(1) }),
            (&[&[5, 6, 7], &[4], &[5, 6]], TrieError::Prefix { short, long }),
        ];
        for (sequences, error) in cases {
            assert_eq!(Trie::from_sequences(sequences), Err(error));
        }
    }
}
