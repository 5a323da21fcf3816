//! The graph of items that the same users chose.

use std::collections::BTreeSet;

use ndarray::{Array1, Array2, ArrayView1, Axis};
use rayon::prelude::*;
use sidereal_sid::ItemId;

use crate::QuantizerError;

/// An undirected graph with weights, as compressed sparse rows; both directions of an edge are stored.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Graph {
    /// The neighbours of node `i` are `offsets[i]..offsets[i + 1]` of the other two.
    offsets: Vec<usize>,
    neighbours: Vec<usize>,
    weights: Vec<f64>,
}

impl Graph {
    /// The nodes are the items; the weight of an edge is the number of sequences that hold both items.
    ///
    /// # Errors
    /// [`QuantizerError::Item`] for an item outside the catalogue.
    pub(super) fn of_sequences<S: AsRef<[ItemId]>>(
        num_items: usize,
        sequences: &[S],
    ) -> Result<Self, QuantizerError> {
        let mut rows: Vec<Vec<usize>> = vec![Vec::new(); num_items];
        for sequence in sequences {
            let items: BTreeSet<ItemId> = sequence.as_ref().iter().copied().collect();
            if let Some(item) = items.iter().find(|item| item.index() >= num_items).copied() {
                return Err(QuantizerError::Item { item, num_items });
            }
            for one in &items {
                let others = items.iter().filter(|other| *other != one);
                rows[one.index()].extend(others.map(|other| other.index()));
            }
        }
        let counted = rows.into_par_iter().map(|mut row| {
            row.sort_unstable();
            row.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as f64)).collect()
        });
        Ok(Self::of_rows(counted.collect()))
    }

    fn of_rows(rows: Vec<Vec<(usize, f64)>>) -> Self {
        let mut graph = Self { offsets: vec![0], neighbours: Vec::new(), weights: Vec::new() };
        for (neighbour, weight) in rows.into_iter().map(|row| row.into_iter().unzip()) {
            let (neighbour, weight): (Vec<usize>, Vec<f64>) = (neighbour, weight);
            graph.neighbours.extend(neighbour);
            graph.weights.extend(weight);
            graph.offsets.push(graph.neighbours.len());
        }
        graph
    }

    /// The graph of some nodes, renumbered in their order, with the edges between them.
    pub(super) fn among(&self, nodes: &[usize]) -> Self {
        let mut place = vec![usize::MAX; self.num_nodes()];
        for (new, node) in nodes.iter().enumerate() {
            place[*node] = new;
        }
        let rows = nodes.iter().map(|node| {
            let kept = self.edges(*node).filter(|(other, _)| place[*other] != usize::MAX);
            kept.map(|(other, weight)| (place[other], weight)).collect()
        });
        Self::of_rows(rows.collect())
    }

    pub(super) fn num_nodes(&self) -> usize {
        self.offsets.len() - 1
    }

    /// The neighbours of a node with the weights of their edges.
    fn edges(&self, node: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let range = self.offsets[node]..self.offsets[node + 1];
        self.neighbours[range.clone()].iter().copied().zip(self.weights[range].iter().copied())
    }

    /// The connected components, largest first, equal ones by their first node; nodes in order.
    pub(super) fn components(&self) -> Vec<Vec<usize>> {
        let mut reached = vec![false; self.num_nodes()];
        let mut components = Vec::new();
        for start in 0..self.num_nodes() {
            if reached[start] {
                continue;
            }
            reached[start] = true;
            let (mut component, mut next) = (vec![start], 0);
            while let Some(node) = component.get(next).copied() {
                next += 1;
                for (other, _) in self.edges(node) {
                    if !reached[other] {
                        reached[other] = true;
                        component.push(other);
                    }
                }
            }
            component.sort_unstable();
            components.push(component);
        }
        components.sort_by_key(|component| std::cmp::Reverse(component.len()));
        components
    }

    /// The sum of the weights of each node's edges, `[n]`.
    pub(super) fn degrees(&self) -> Array1<f64> {
        (0..self.num_nodes()).map(|node| self.edges(node).map(|(_, weight)| weight).sum()).collect()
    }
}

/// The adjacency of a graph, normalised by degrees and made a little denser.
///
/// ```text
/// M = S (A + τ/n 11ᵀ) S,   S = diag(d + τ)^(−1/2),   τ = regulariser · mean of d
/// ```
/// A node without edges has a row of zeros if τ is 0. The eigenvalues of `M` lie in `[−1, 1]`.
#[derive(Debug)]
pub(super) struct Normalised<'a> {
    graph: &'a Graph,
    /// Diagonal of `S`, `[n]`.
    pub(super) scale: Array1<f64>,
    /// `τ/n`.
    share: f64,
}

impl<'a> Normalised<'a> {
    pub(super) fn new(graph: &'a Graph, regulariser: f64) -> Self {
        let degrees = graph.degrees();
        let count = degrees.len().max(1) as f64;
        let added = regulariser * degrees.sum() / count;
        let root = |degree: &f64| {
            let degree = degree + added;
            if degree > 0.0 { degree.sqrt().recip() } else { 0.0 }
        };
        Self { graph, scale: degrees.iter().map(root).collect(), share: added / count }
    }

    pub(super) fn num_nodes(&self) -> usize {
        self.graph.num_nodes()
    }

    /// `M x` for every row `x` of `rows` `[W, n]`; the result has the same shape. Each number is summed
    /// by one thread in a fixed order.
    pub(super) fn times(&self, rows: &Array2<f64>) -> Array2<f64> {
        let mut product = Array2::zeros(rows.raw_dim());
        let pairs: Vec<_> = product.axis_iter_mut(Axis(0)).zip(rows.axis_iter(Axis(0))).collect();
        pairs.into_par_iter().for_each(|(mut out, row): (_, ArrayView1<'_, f64>)| {
            let scaled = &self.scale * &row;
            let even = self.share * scaled.sum();
            for (node, out) in out.iter_mut().enumerate() {
                let own: f64 =
                    self.graph.edges(node).map(|(other, weight)| weight * scaled[other]).sum();
                *out = self.scale[node] * (own + even);
            }
        });
        product
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_counts_the_sequences_with_both_items() {
        let of = |items: &[u32]| items.iter().copied().map(ItemId).collect::<Vec<_>>();
        let sequences = [of(&[0, 1, 3]), of(&[1, 0]), of(&[3, 3, 1]), of(&[2])];
        let graph = Graph::of_sequences(5, &sequences).unwrap();
        let edges = |node| graph.edges(node).collect::<Vec<_>>();
        assert_eq!(edges(0), [(1, 2.0), (3, 1.0)]);
        assert_eq!(edges(1), [(0, 2.0), (3, 2.0)]);
        assert_eq!(edges(3), [(0, 1.0), (1, 2.0)]);
        assert!(edges(2).is_empty() && edges(4).is_empty());
        assert_eq!(graph.degrees().to_vec(), [3.0, 4.0, 0.0, 3.0, 0.0]);
        assert_eq!(graph.components(), [vec![0, 1, 3], vec![2], vec![4]]);
        let part = graph.among(&[3, 2, 1]);
        assert_eq!(part.edges(0).collect::<Vec<_>>(), [(2, 2.0)]);
        let error = Graph::of_sequences(3, &sequences).unwrap_err();
        assert!(matches!(error, QuantizerError::Item { item: ItemId(3), num_items: 3 }));
    }

    #[test]
    fn the_product_is_that_of_the_dense_matrix() {
        let graph =
            Graph::of_rows(vec![vec![(1, 2.0), (2, 1.0)], vec![(0, 2.0)], vec![(0, 1.0)], vec![]]);
        for regulariser in [0.0, 0.7] {
            let matrix = Normalised::new(&graph, regulariser);
            let tau = regulariser * 6.0 / 4.0;
            let adjacency =
                [[0.0, 2.0, 1.0, 0.0], [2.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0; 4]];
            let degrees = [3.0, 2.0, 1.0, 0.0].map(|degree: f64| degree + tau);
            let dense = Array2::from_shape_fn((4, 4), |(i, j)| {
                let root = (degrees[i] * degrees[j]).sqrt();
                if root > 0.0 { (adjacency[i][j] + tau / 4.0) / root } else { 0.0 }
            });
            let found = matrix.times(&Array2::eye(4));
            assert!((found - dense).iter().all(|difference| difference.abs() < 1e-12));
        }
    }
}
