//! Sums of item values over the leaves under every node: the mass of a prefix.

use crate::{ItemId, NodeId, Trie};

/// Why item values could not be summed over the nodes of a trie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each message names its fields")]
pub enum NodeMassError {
    /// The number of values is not the number of items of the trie.
    #[error("found values of {found} items, the trie has {expected}")]
    Items { found: usize, expected: usize },
    /// The slice for the sums does not have one place for each node of the trie.
    #[error("found room for the sums of {found} nodes, the trie has {expected}")]
    Nodes { found: usize, expected: usize },
}

impl Trie {
    /// The mass of every node: the sum of `values` over all items whose Semantic ID begins with the
    /// node's prefix.
    ///
    /// ```text
    /// mass(n) = Σ value(i) over the items i that end at n  +  Σ mass(c) over the children c of n
    /// ```
    /// If several items share a leaf, each of them counts. The root holds the sum of all values.
    /// Time is linear in items and nodes; each node's sum is formed in `f64`.
    ///
    /// ```
    /// use sidereal_sid::{Catalog, SemanticId, SidSpec, Trie};
    ///
    /// let sids = [[0, 1], [0, 2], [3, 1], [3, 1]].map(SemanticId::from).to_vec();
    /// let trie = Trie::from_catalog(&Catalog::new(SidSpec::new(vec![4, 4], 0)?, sids)?);
    /// let mass = trie.node_mass(&[1.0, 2.0, 4.0, 8.0])?;
    /// assert_eq!(mass, [15.0, 3.0, 12.0, 1.0, 2.0, 12.0]); // root, <a_0>, <a_3>, three leaves
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Shapes
    /// - `values`: `[N]`, by item; returns `[nodes]`
    ///
    /// # Errors
    /// [`NodeMassError::Items`] if `values` is not `[N]`.
    pub fn node_mass(&self, values: &[f32]) -> Result<Vec<f32>, NodeMassError> {
        let mut sums = vec![0.0; self.num_nodes()];
        self.node_mass_into(values, &mut sums)?;
        Ok(sums)
    }

    /// Writes the [`node_mass`](Self::node_mass) into a slice of the caller.
    ///
    /// # Shapes
    /// - `values`: `[N]`, by item; `sums`: `[nodes]`, overwritten
    ///
    /// # Errors
    /// [`NodeMassError`], of either kind.
    pub fn node_mass_into(&self, values: &[f32], sums: &mut [f32]) -> Result<(), NodeMassError> {
        self.fold_up(values, sums, sum)
    }

    /// The logarithm of every node's mass from the logarithms of the items' values: the
    /// [`node_mass`](Self::node_mass) of `exp(logs)`, without its overflow and underflow.
    ///
    /// ```text
    /// log_mass(n) = ln( Σ exp(log(i)) + Σ exp(log_mass(c)) )
    /// ```
    /// `−∞` stands for no mass; a node that has only such items has `−∞`. NaN makes all nodes above
    /// it NaN.
    ///
    /// # Shapes
    /// - `logs`: `[N]`, by item, in nats; returns `[nodes]`, in nats
    ///
    /// # Errors
    /// [`NodeMassError::Items`] if `logs` is not `[N]`.
    pub fn node_log_mass(&self, logs: &[f32]) -> Result<Vec<f32>, NodeMassError> {
        let mut sums = vec![0.0; self.num_nodes()];
        self.node_log_mass_into(logs, &mut sums)?;
        Ok(sums)
    }

    /// Writes the [`node_log_mass`](Self::node_log_mass) into a slice of the caller.
    ///
    /// # Shapes
    /// - `logs`: `[N]`, by item, in nats; `sums`: `[nodes]`, overwritten, in nats
    ///
    /// # Errors
    /// [`NodeMassError`], of either kind.
    pub fn node_log_mass_into(&self, logs: &[f32], sums: &mut [f32]) -> Result<(), NodeMassError> {
        self.fold_up(logs, sums, log_sum_exp)
    }

    /// Gives each node the `total` of the values of its items and of the results of its children.
    ///
    /// Nodes are numbered breadth first: children have higher numbers than their parent, so that one
    /// pass downwards through the numbers meets every node after its children.
    fn fold_up(
        &self,
        values: &[f32],
        sums: &mut [f32],
        total: impl Fn(&[f32]) -> f32,
    ) -> Result<(), NodeMassError> {
        let (first_item, items) = self.items_by_node();
        let (found, expected) = (values.len(), items.len());
        if found != expected {
            return Err(NodeMassError::Items { found, expected });
        }
        let (found, expected) = (sums.len(), self.num_nodes());
        if found != expected {
            return Err(NodeMassError::Nodes { found, expected });
        }
        let value = |item: &ItemId| values[item.index()];
        let mut shared = Vec::new();
        for node in (0..self.num_nodes()).rev() {
            let items = &items[first_item[node] as usize..first_item[node + 1] as usize];
            let children = self.rows()[node] as usize..self.rows()[node + 1] as usize;
            // No Semantic ID begins another: a node has items or children, never both.
            sums[node] = match items {
                [] => total(&sums[children]),
                [one] => value(one),
                several => {
                    shared.clear();
                    shared.extend(several.iter().map(value));
                    total(&shared)
                }
            };
        }
        Ok(())
    }

    /// Number of items of the trie.
    #[must_use]
    pub fn num_items(&self) -> usize {
        self.items_by_node().1.len()
    }

    /// The node that each node continues, `[nodes]`; the root is its own.
    #[must_use]
    pub fn parents(&self) -> Vec<NodeId> {
        let mut parents = vec![Self::ROOT; self.num_nodes()];
        for (parent, row) in (0..).map(NodeId).zip(self.rows().windows(2)) {
            parents[row[0] as usize..row[1] as usize].fill(parent);
        }
        parents
    }
}

#[allow(clippy::cast_possible_truncation, reason = "sums of f32 values are kept as f32")]
fn sum(values: &[f32]) -> f32 {
    values.iter().map(|value| f64::from(*value)).sum::<f64>() as f32
}

/// `ln Σ exp(x)`; exact for a single value, and `−∞` for none.
#[allow(clippy::cast_possible_truncation, reason = "sums of f32 values are kept as f32")]
fn log_sum_exp(logs: &[f32]) -> f32 {
    let largest =
        logs.iter().fold(f32::NEG_INFINITY, |max, x| if *x > max || x.is_nan() { *x } else { max });
    if logs.len() == 1 || !largest.is_finite() {
        return largest;
    }
    let sum: f64 = logs.iter().map(|x| f64::from((x - largest).exp())).sum();
    (f64::from(largest) + sum.ln()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_values_neither_overflow_nor_vanish() {
        let trie = Trie::from_sequences(&[[0, 0], [0, 1], [1, 0]]).unwrap();
        let mass = trie.node_log_mass(&[-1e4, -1e4, 2e3]).unwrap();
        // root, <0>, <1>, three leaves: the two far below are twice one of them.
        assert!((mass[0] - 2e3).abs() < 1e-6);
        assert!((mass[1] - (-1e4 + 2f32.ln())).abs() < 2e-3, "{mass:?}");
        let none = trie.node_log_mass(&[f32::NEG_INFINITY; 3]).unwrap();
        assert!(none.iter().all(|x| *x == f32::NEG_INFINITY), "{none:?}");
        let nan = trie.node_log_mass(&[f32::NAN, 0.0, 0.0]).unwrap();
        assert!(nan[0].is_nan() && nan[1].is_nan() && nan[2] == 0.0, "{nan:?}");
    }

    #[test]
    fn other_numbers_of_items_and_nodes_are_refused() {
        let trie = Trie::from_sequences(&[[0, 0], [0, 1]]).unwrap();
        assert_eq!(trie.node_mass(&[1.0]), Err(NodeMassError::Items { found: 1, expected: 2 }));
        let refused = trie.node_log_mass_into(&[1.0; 2], &mut [0.0; 3]);
        assert_eq!(refused, Err(NodeMassError::Nodes { found: 3, expected: 4 }));
    }
}
