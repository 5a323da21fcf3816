//! The tokens whose log-probabilities are wanted.

use sidereal_sid::{NodeId, Trie};

use crate::PolicyError;
use crate::decode::constraint::Constraint;

/// A token whose log-probability is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A token of text by its vocabulary id, always against the whole vocabulary.
    Word(u32),
    /// A code by its flat token, after the prefix `node` of the trie.
    Code {
        /// Node of the prefix.
        node: NodeId,
        /// Flat token of the code.
        token: u32,
    },
}

impl Target {
    /// Vocabulary id; a code must be one of the constraint's.
    pub(crate) fn id(&self, constraint: &Constraint) -> u32 {
        match self {
            Self::Word(id) => *id,
            Self::Code { token, .. } => constraint.id(*token),
        }
    }
}

/// Accepts targets whose codes can follow their nodes.
pub(crate) fn check_codes(trie: &Trie, targets: &[Target]) -> Result<(), PolicyError> {
    for (target, found) in targets.iter().enumerate() {
        if let Target::Code { node, token } = found
            && !(node.index() < trie.num_nodes() && trie.children(*node).find(*token).is_some())
        {
            return Err(PolicyError::IllegalCode { target, token: *token, node: node.0 });
        }
    }
    Ok(())
}

/// The codes of a Semantic ID as targets, from the prefix `guide` on.
///
/// # Errors
/// [`PolicyError::Empty`] if the codes leave the trie.
pub fn code_targets(
    trie: &Trie,
    guide: &[u32],
    tokens: &[u32],
) -> Result<Vec<Target>, PolicyError> {
    const OUTSIDE: PolicyError =
        PolicyError::Empty { what: "the set of Semantic IDs with these codes" };
    let mut node = trie.walk(guide).ok_or(OUTSIDE)?;
    tokens
        .iter()
        .map(|token| {
            let target = Target::Code { node, token: *token };
            node = trie.children(node).find(*token).ok_or(OUTSIDE)?;
            Ok(target)
        })
        .collect()
}
