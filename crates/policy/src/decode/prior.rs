//! What is known of the items before the policy is asked, summed up the trie.

use std::sync::Arc;

use sidereal_sid::{NodeId, Trie};

use crate::PolicyError;

/// A prior over the items of a trie, which guides a beam search.
///
/// ```text
/// score(node) = log p(node) + prior(node) − prior(where the answer begins)
/// prior(node) = ln Σ exp(log prior of the item), over the items of the leaves below the node
/// ```
/// Each code adds its log-probability and its part of the prior, so a prefix is kept for the items
/// below it. A search that is wide enough finds the same items as scoring all items, and a beam of
/// twenty mostly does too. Sorting the found items again by the prior would not.
///
/// The prior is used as it is given: a weight is a factor of the log prior. Clones share one table.
#[derive(Debug, Clone, PartialEq)]
pub struct TriePrior {
    /// Of each node.
    values: Arc<[f32]>,
}

impl TriePrior {
    /// The prior of a trie whose item `i` has the log prior `items[i]`, in nats and up to a constant.
    /// An item of −∞ is not shown.
    ///
    /// # Errors
    /// [`PolicyError::NodeMass`] if items and values differ in number; [`PolicyError::NotFinite`]
    /// for a value that is NaN or +∞.
    pub fn new(trie: &Trie, items: &[f32]) -> Result<Self, PolicyError> {
        let wrong = |value: &&f32| value.is_nan() || **value == f32::INFINITY;
        if let Some(found) = items.iter().find(wrong) {
            let what = "a log prior";
            return Err(PolicyError::NotFinite { what, prompt: 0, found: *found });
        }
        Ok(Self { values: trie.node_log_mass(items)?.into() })
    }

    /// The same prior with every value multiplied by `weight`, after the sums:
    ///
    /// ```text
    /// score(node) = log p(node) + weight · (prior(node) − prior(where the answer begins))
    /// ```
    /// Each code then adds `weight` times the log of what the prior gives to the items below it, as a share
    /// of what it gives to the items below its parent. With log-probabilities of an assistant that reads no
    /// text and `weight = (1 − α) / α`, this is the order of D³'s scores
    /// `α · log p + (1 − α) · log q` ([arXiv:2406.14900](https://arxiv.org/abs/2406.14900)).
    ///
    /// # Errors
    /// [`PolicyError::Unsupported`] for a weight that is not above 0: a prior of weight 0 is none.
    pub fn weighted(&self, weight: f32) -> Result<Self, PolicyError> {
        if !(weight > 0.0 && weight.is_finite()) {
            let (field, found) = ("the weight of a prior", weight.to_string());
            return Err(PolicyError::Unsupported {
                field,
                found,
                expected: "a finite number above 0",
            });
        }
        Ok(Self { values: self.values.iter().map(|value| value * weight).collect() })
    }

    /// Number of nodes of its trie.
    pub(crate) fn num_nodes(&self) -> usize {
        self.values.len()
    }

    /// The value at a node of its trie, in nats: −∞ if no item below it is shown.
    ///
    /// # Panics
    /// If the trie has no such node.
    #[must_use]
    pub fn at(&self, node: NodeId) -> f32 {
        self.values[node.index()]
    }
}
