//! Conditions that each answer must meet, besides being legal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sidereal_sid::{ItemId, NodeId, Trie};

use crate::PolicyError;
use crate::decode::prior::TriePrior;

/// What the answer of each prompt must begin with and must not be. A list has one entry for each
/// prompt, or is empty if there is no such condition.
#[derive(Debug, Clone, Copy, Default)]
pub struct Conditions<'a> {
    /// Flat tokens that an answer begins with; the prompt's own tokens end with the same.
    pub guides: &'a [&'a [u32]],
    /// The answers that are not allowed.
    pub excluded: &'a [Excluded],
    /// What guides a beam search besides the policy. Draws have no priors, because they follow the
    /// policy alone.
    pub priors: &'a [TriePrior],
    /// Keys of the prompts for their random numbers: what is drawn for a prompt depends on its key,
    /// not on its neighbours. Without keys, the places of the prompts in the batch are used.
    pub keys: &'a [u64],
}

/// One prompt's conditions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begin<'a> {
    pub(crate) guide: &'a [u32],
    /// Node of the guide; `None` if everything after it is excluded.
    pub(crate) node: Option<NodeId>,
    pub(crate) excluded: Option<&'a Excluded>,
    pub(crate) prior: Option<&'a TriePrior>,
    pub(crate) key: u64,
}

impl<'a> Conditions<'a> {
    /// Answers that begin with these guides.
    #[must_use]
    pub const fn guided(guides: &'a [&'a [u32]]) -> Self {
        Self { guides, excluded: &[], priors: &[], keys: &[] }
    }

    /// Tokens of each prompt that are the beginning of its answer, `[U]`.
    pub(crate) fn begun(&self, users: usize) -> Vec<usize> {
        match self.guides {
            [] => vec![0; users],
            guides => guides.iter().map(|guide| guide.len()).collect(),
        }
    }

    /// As [`begin`](Self::begin), for draws. A prior cannot guide them, because then they would no
    /// longer follow the policy.
    ///
    /// # Errors
    /// [`PolicyError::Unsupported`] for priors, and those of [`begin`](Self::begin).
    pub(crate) fn begin_draws(
        &self,
        trie: &Trie,
        users: usize,
    ) -> Result<Vec<Begin<'a>>, PolicyError> {
        if !self.priors.is_empty() {
            return Err(PolicyError::Unsupported {
                field: "priors",
                found: "draws led by a prior".to_owned(),
                expected: "a beam search, or draws without a prior",
            });
        }
        self.begin(trie, users)
    }

    /// The node where each of `users` prompts begins.
    ///
    /// # Errors
    /// [`PolicyError::Size`] for a list of another length; [`PolicyError::Empty`] if no sequence
    /// goes on after a guide.
    pub(crate) fn begin(&self, trie: &Trie, users: usize) -> Result<Vec<Begin<'a>>, PolicyError> {
        let lists = [
            ("guides", self.guides.len()),
            ("exclusions", self.excluded.len()),
            ("priors", self.priors.len()),
            ("keys of prompts", self.keys.len()),
        ];
        for (what, found) in lists {
            if found != 0 && found != users {
                return Err(PolicyError::Size { what, found, expected: users });
            }
        }
        let nodes = trie.num_nodes();
        if let Some(prior) = self.priors.iter().find(|prior| prior.num_nodes() != nodes) {
            let (found, expected) = (prior.num_nodes(), nodes);
            return Err(PolicyError::Size { what: "nodes of a prior's trie", found, expected });
        }
        (0..users)
            .map(|user| {
                // There are guides for all users or for none.
                let guide: &[u32] = self.guides.get(user).copied().unwrap_or_default();
                let node = trie
                    .walk(guide)
                    .filter(|node| !trie.is_leaf(*node))
                    .ok_or(PolicyError::Empty { what: "the set of Semantic IDs after a guide" })?;
                let excluded = self.excluded.get(user).filter(|excluded| !excluded.is_empty());
                let dead = excluded.is_some_and(|excluded| excluded.contains(node));
                let key = self.keys.get(user).copied().unwrap_or(user as u64);
                let prior = self.priors.get(user);
                Ok(Begin { guide, node: (!dead).then_some(node), excluded, prior, key })
            })
            .collect()
    }
}

/// The part of a trie that only leads to items that are not wanted, such as those that a user has
/// seen, or all that are not in a pool to choose from.
///
/// A Semantic ID is excluded if all its items are, and a prefix is excluded if all its
/// continuations are. The scores are the same as without an exclusion; they are not normalised
/// again over what is left. Clones share one set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excluded {
    nodes: Nodes,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Nodes {
    Out(Arc<BTreeSet<NodeId>>),
    /// All others are excluded.
    In(Arc<BTreeSet<NodeId>>),
}

impl Default for Excluded {
    /// Excludes nothing.
    fn default() -> Self {
        Self { nodes: Nodes::Out(Arc::default()) }
    }
}

impl Excluded {
    /// Excludes `items`, in any order, repeated or not.
    ///
    /// # Errors
    /// [`PolicyError::UnknownItem`] for an item that the trie does not have.
    pub fn new(trie: &Trie, items: impl IntoIterator<Item = ItemId>) -> Result<Self, PolicyError> {
        // How many items of a leaf, then how many children of a node, are excluded.
        let mut out: BTreeMap<NodeId, usize> = BTreeMap::new();
        for item in items.into_iter().collect::<BTreeSet<_>>() {
            let leaf = trie.leaf(item).ok_or(PolicyError::UnknownItem { item })?;
            *out.entry(leaf).or_default() += 1;
        }
        let mut nodes = BTreeSet::new();
        // Nodes are numbered breadth first: a parent comes after all its children.
        while let Some((node, count)) = out.pop_last() {
            let whole = match trie.children(node).len() {
                0 => trie.items(node).len(),
                children => children,
            };
            if count == whole {
                nodes.insert(node);
                if let Some(parent) = trie.parent(node) {
                    *out.entry(parent).or_default() += 1;
                }
            }
        }
        Ok(Self { nodes: Nodes::Out(Arc::new(nodes)) })
    }

    /// Excludes all but `items`: what is left is the trie of a pool. A Semantic ID that one of them
    /// shares with others stays. Time and memory depend on the pool, not on the trie.
    ///
    /// # Errors
    /// [`PolicyError::UnknownItem`] for an item that the trie does not have.
    pub fn all_but(
        trie: &Trie,
        items: impl IntoIterator<Item = ItemId>,
    ) -> Result<Self, PolicyError> {
        let mut nodes = BTreeSet::new();
        for item in items {
            let mut next = Some(trie.leaf(item).ok_or(PolicyError::UnknownItem { item })?);
            while let Some(node) = next.filter(|node| nodes.insert(*node)) {
                next = trie.parent(node);
            }
        }
        Ok(Self { nodes: Nodes::In(Arc::new(nodes)) })
    }

    /// Whether everything below `node` is excluded.
    #[must_use]
    pub fn contains(&self, node: NodeId) -> bool {
        match &self.nodes {
            Nodes::Out(nodes) => nodes.contains(&node),
            Nodes::In(nodes) => !nodes.contains(&node),
        }
    }

    /// Whether nothing is excluded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(&self.nodes, Nodes::Out(nodes) if nodes.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Items 0 and 1 share a sequence; 2 stands beside them, 3 alone.
    fn trie() -> Trie {
        let sequences: [&[u32]; 4] = [&[1, 5], &[1, 5], &[1, 6], &[2, 5]];
        Trie::from_sequences(&sequences).unwrap()
    }

    #[test]
    fn a_node_is_excluded_once_all_items_below_it_are() {
        let trie = trie();
        let at = |tokens: &[u32]| trie.walk(tokens).unwrap();
        let out = |items: &[u32]| Excluded::new(&trie, items.iter().copied().map(ItemId)).unwrap();
        assert!(out(&[0, 0]).is_empty());
        let both = out(&[1, 0]);
        assert!(both.contains(at(&[1, 5])) && !both.contains(at(&[1])));
        let three = out(&[2, 0, 1]);
        assert!(three.contains(at(&[1])) && !three.contains(Trie::ROOT));
        assert!(out(&[0, 1, 2, 3]).contains(Trie::ROOT));
        let error = Excluded::new(&trie, [ItemId(4)]).unwrap_err();
        assert!(matches!(error, PolicyError::UnknownItem { item: ItemId(4) }));
    }

    #[test]
    fn what_is_left_of_all_but_a_pool_is_the_trie_of_the_pool() {
        let trie = trie();
        let at = |tokens: &[u32]| trie.walk(tokens).unwrap();
        let pool = |items: &[u32]| Excluded::all_but(&trie, items.iter().copied().map(ItemId));
        let one = pool(&[0, 0]).unwrap();
        let left = [&[][..], &[1], &[1, 5]];
        assert!(left.iter().all(|tokens| !one.contains(at(tokens))) && !one.is_empty());
        assert!([&[1, 6][..], &[2], &[2, 5]].iter().all(|tokens| one.contains(at(tokens))));
        assert!(pool(&[]).unwrap().contains(Trie::ROOT));
        assert!(matches!(pool(&[4]), Err(PolicyError::UnknownItem { item: ItemId(4) })));
        // The same as excluding the others, wherever both say something.
        let others = Excluded::new(&trie, [ItemId(0), ItemId(1), ItemId(3)]).unwrap();
        let two = pool(&[2]).unwrap();
        let nodes = [&[][..], &[1], &[1, 5], &[1, 6], &[2]];
        assert!(nodes.iter().all(|tokens| two.contains(at(tokens)) == others.contains(at(tokens))));
    }

    #[test]
    fn lists_of_another_length_are_named() {
        let trie = trie();
        let two = Conditions { keys: &[1, 2], ..Conditions::default() };
        let error = two.begin(&trie, 3).unwrap_err();
        let named = matches!(error, PolicyError::Size { what: "keys of prompts", found: 2, .. });
        assert!(named, "{error}");
    }
}
