//! Log-probabilities of completions, with the backward pass.

use sidereal_sid::NodeId;
use tch::{Kind, Tensor};

use super::ItemPolicy;
use super::branches::renormalised;
use super::children::{by_fan_out, child_logits};
use super::pack::Packed;
use super::repeats::Prior;
use super::seen::Seen;
use super::vectors::indices;
use crate::PolicyError;
use crate::decode::constraint::Constraint;
use crate::score::completions::{CompletionPass, Completions};
use crate::score::law::TokenLaw;
use crate::score::pass::LogpPass;
use crate::score::target::Target;
use crate::tensor::pick;
use crate::weights::to_i64;

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
    let repeats = policy.repeats(&states, &Seen::of(&packed), Prior::Learned)?;
    let mut codes = Vec::with_capacity(tokens.targets.len());
    for target in &tokens.targets {
        let Target::Code { node, token } = target else {
            return Err(PolicyError::Unsupported {
                field: "completion",
                found: "a word".to_owned(),
                expected: "codes: a policy that reads items writes no text",
            });
        };
        codes.push((*node, *token));
    }
    let groups = by_fan_out(&policy.tree, codes.iter().map(|(node, _)| *node));
    let (mut logps, mut all, mut order) = (Vec::new(), Vec::new(), Vec::new());
    for ((level, _), members) in groups {
        let prompts: Vec<usize> = members.iter().map(|at| tokens.places[*at].prompt).collect();
        let of_members = indices(prompts.iter().map(|prompt| to_i64(*prompt)), states.device());
        let of_members = Tensor::f_embedding(&states, &of_members, -1, false, false)?;
        let of_members = policy.level_states(level, &of_members)?;
        let nodes: Vec<NodeId> = members.iter().map(|at| codes[*at].0).collect();
        let mut logits = child_logits(policy, &of_members, &nodes)?; // [n, K]
        if let Some(repeats) = &repeats {
            let widest = logits.size()[1];
            logits += repeats.of_children(policy, level, &prompts, &nodes, widest)?;
        }
        let logp = (logits / law.codes).f_log_softmax(-1, states.kind())?;
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
