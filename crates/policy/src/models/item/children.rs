//! Scores of the children of some nodes, side by side.

use std::collections::BTreeMap;

use sidereal_sid::NodeId;
use tch::Tensor;

use super::ItemPolicy;
use super::tree::Tree;
use super::vectors::indices;
use crate::PolicyError;
use crate::weights::to_i64;

/// Nodes are computed together if their numbers of children are between the same
/// two of these bounds.
const FAN_OUTS: [usize; 5] = [4, 16, 48, 128, usize::MAX];

/// Places of nodes among those given, by the level of their children and by their number.
pub(super) fn by_fan_out(
    tree: &Tree,
    nodes: impl Iterator<Item = NodeId>,
) -> BTreeMap<(usize, usize), Vec<usize>> {
    let mut groups: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
    for (at, node) in nodes.enumerate() {
        let children = tree.children(node);
        let fan_out = FAN_OUTS.partition_point(|most| *most < children.len());
        groups.entry((tree.level_of(children.start), fan_out)).or_default().push(at);
    }
    groups
}

/// Scores `[n, K]` of the children of nodes of one level, given the level's states `[n, D]`; −∞
/// after a node's last child.
pub(super) fn child_logits(
    policy: &ItemPolicy,
    states: &Tensor,
    nodes: &[NodeId],
) -> Result<Tensor, PolicyError> {
    let mut met = nodes.to_vec();
    met.sort_unstable();
    met.dedup();
    let rows: Vec<usize> = met.iter().flat_map(|node| policy.tree.children(*node)).collect();
    let vectors = policy.node_vectors(&rows)?; // [R, D]
    let index = indices(rows.iter().map(|row| to_i64(*row)), states.device());
    let bias = policy.bias.f_index_select(0, &index)?; // [R]
    if met.len() == 1 {
        return Ok(states.f_matmul(&vectors.f_transpose(0, 1)?)? + bias);
    }
    // Without nodes there is nothing to choose from.
    let widest = met.iter().map(|node| policy.tree.children(*node).len()).max().unwrap_or(0);
    let mut starts = BTreeMap::new();
    let mut next = 0;
    for node in met {
        let len = policy.tree.children(node).len();
        starts.insert(node, (next, len));
        next += len;
    }
    let (mut children, mut mask) = (Vec::new(), Vec::new());
    for node in nodes {
        let (start, len) = starts[node];
        children.extend((0..widest).map(|k| to_i64(if k < len { start + k } else { start })));
        mask.extend((0..widest).map(|k| if k < len { 0.0 } else { f32::NEG_INFINITY }));
    }
    let shape = [to_i64(nodes.len()), to_i64(widest)];
    let children = indices(children.into_iter(), states.device()).view(shape);
    let mask = Tensor::from_slice(&mask).view(shape).to_device(states.device());
    let of_children = |table: &Tensor| Tensor::f_embedding(table, &children, -1, false, false);
    let products = of_children(&vectors)?.f_matmul(&states.unsqueeze(2))?; // [n, K, 1]
    let logits = (products + of_children(&bias.unsqueeze(1))?).squeeze_dim(2);
    Ok(logits + mask.f_to_kind(states.kind())?)
}
