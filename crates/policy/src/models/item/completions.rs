//! Log-probabilities of completions, with the backward pass.

use std::collections::BTreeMap;

use sidereal_sid::NodeId;
use tch::{Kind, Tensor};

use super::ItemPolicy;
use super::branches::renormalised;
use super::pack::Packed;
use super::vectors::indices;
use crate::PolicyError;
use crate::decode::constraint::Constraint;
use crate::score::completions::{CompletionPass, Completions};
use crate::score::law::TokenLaw;
use crate::score::pass::LogpPass;
use crate::score::target::Target;
use crate::tensor::pick;
use crate::weights::to_i64;

/// Nodes are computed together if their numbers of children are between the same
/// two of these bounds.
const FAN_OUTS: [usize; 5] = [4, 16, 48, 128, usize::MAX];

/// Log-probabilities of the scored tokens of completions.
pub(super) fn completion_pass<'a>(
    policy: &'a ItemPolicy,
    constraint: &Constraint,
    completions: &Completions<'_>,
    law: TokenLaw,
) -> Result<CompletionPass<'a>, PolicyError> {
    policy.tree.check(constraint)?;
    renormalised(law.scoring)?;
    let tokens = completions.scored(constraint)?;
    let packed = Packed::of_prompts(policy, completions.prompts, completions.begun)?;
    let states = packed.last_states(policy, &policy.item_vectors(&packed.items)?)?; // [U, D]
    let mut groups: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
    let mut codes = Vec::with_capacity(tokens.targets.len());
    for (at, target) in tokens.targets.iter().enumerate() {
        let Target::Code { node, token } = target else {
            return Err(PolicyError::Unsupported {
                field: "completion",
                found: "a word".to_owned(),
                expected: "codes: a policy that reads items writes no text",
            });
        };
        let children = policy.tree.children(*node);
        let fan_out = FAN_OUTS.partition_point(|most| *most < children.len());
        groups.entry((policy.tree.level_of(children.start), fan_out)).or_default().push(at);
        codes.push((*node, *token));
    }
    let (mut logps, mut all, mut order) = (Vec::new(), Vec::new(), Vec::new());
    for ((level, _), members) in groups {
        let prompts = members.iter().map(|at| to_i64(tokens.places[*at].prompt));
        let of_members = indices(prompts, states.device());
        let of_members = Tensor::f_embedding(&states, &of_members, -1, false, false)?;
        let of_members = policy.level_states(level, &of_members)?;
        let nodes: Vec<NodeId> = members.iter().map(|at| codes[*at].0).collect();
        let logp = children_logp(policy, &of_members, &nodes, law.codes)?; // [n, K]
        let columns: Vec<i64> = members
            .iter()
            .map(|at| {
                let (node, token) = codes[*at];
                let tokens = constraint.trie().children(node).tokens;
                to_i64(tokens.partition_point(|other| *other < token)) // `scored` has found it
            })
            .collect();
        logps.push(pick(&logp, &columns)?);
        all.push(logp.detach());
        order.extend(members);
    }
    let mut back = vec![0i64; order.len()];
    for (place, at) in order.iter().enumerate() {
        back[*at] = to_i64(place);
    }
    let back = indices(back.into_iter(), states.device());
    let logp = Tensor::f_cat(&logps, 0)?.f_index_select(0, &back)?;
    Ok(CompletionPass::new(LogpPass::of_graph(logp)?, tokens, move || {
        let entropy = |logp: &Tensor| -> Result<Tensor, PolicyError> {
            let finite = logp.f_masked_fill(&logp.isinf(), 0.0)?; // 0·log 0 is 0
            let sum =
                (logp.exp() * finite).f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float)?;
            Ok(sum.f_neg()?)
        };
        let found = all.iter().map(entropy).collect::<Result<Vec<_>, _>>()?;
        Ok(Tensor::f_cat(&found, 0)?.f_index_select(0, &back)?)
    }))
}

/// Log-probabilities `[n, K]` of the children of nodes of one level, given the level's states `[n, D]`; −∞
/// after a node's last child.
fn children_logp(
    policy: &ItemPolicy,
    states: &Tensor,
    nodes: &[NodeId],
    temperature: f64,
) -> Result<Tensor, PolicyError> {
    let mut met = nodes.to_vec();
    met.sort_unstable();
    met.dedup();
    let rows: Vec<usize> = met.iter().flat_map(|node| policy.tree.children(*node)).collect();
    let vectors = policy.node_vectors(&rows)?; // [R, D]
    let index = indices(rows.iter().map(|row| to_i64(*row)), states.device());
    let bias = policy.bias.f_index_select(0, &index)?; // [R]
    if met.len() == 1 {
        let logits = states.f_matmul(&vectors.f_transpose(0, 1)?)? + bias;
        return Ok((logits / temperature).f_log_softmax(-1, states.kind())?);
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
    Ok((logits / temperature + mask).f_log_softmax(-1, states.kind())?)
}
