//! Log-probabilities of given tokens, through which gradients flow.

pub(crate) mod branches;
pub(crate) mod completions;
pub(crate) mod ends;
mod entropy;
pub(crate) mod item_head;
pub(crate) mod law;
pub(crate) mod pass;
pub(crate) mod read;
pub(crate) mod sequences;
pub(crate) mod target;
mod vocabulary;
pub(crate) mod way_back;

use sidereal_sid::{NodeId, Trie};
use tch::Tensor;

use crate::PolicyError;
use crate::decode::constraint::{Constraint, Scoring};
use crate::policy::LanguageModel;
use crate::sizes::{axes, to_usize};
use crate::tensor::pick;
use crate::weights::to_i64;

use self::target::{Target, check_codes};

/// Log-probability `[N]`, in nats, of each target given the hidden state `[N, D]` before it.
///
/// ```text
/// full          log p = z[t] − log Σ_v exp z[v]            v over the vocabulary
/// renormalised  log p = z[t] − log Σ_c exp z[c]            c over the codes legal after `node`
/// ```
/// Only the rows of the output head that a formula names are computed: a level's codes, or the
/// vocabulary for words and for `full`, 64 MiB of logits at a time. A graph keeps all of them; for
/// training over a large vocabulary there is [`target_pass`](crate::target_pass).
///
/// # Errors
/// [`PolicyError::Size`] if states and targets differ in number or there are none;
/// [`PolicyError::IllegalCode`] for a code that cannot follow its node, under either scoring.
pub fn target_logp(
    model: &dyn LanguageModel,
    constraint: &Constraint,
    states: &Tensor,
    targets: &[Target],
    scoring: Scoring,
) -> Result<Tensor, PolicyError> {
    check(constraint.trie(), states, targets)?;
    by_level(constraint, states, targets, scoring, |level, states, targets| match level {
        None => {
            let ids: Vec<i64> = targets.iter().map(|target| target.id(constraint).into()).collect();
            model.head().logp_of(states, &ids)
        }
        Some(level) => {
            let columns: Vec<i64> = targets
                .iter()
                .filter_map(|target| match target {
                    Target::Code { token, .. } => Some(to_i64(constraint.column(level, *token))),
                    Target::Word(_) => None,
                })
                .collect();
            pick(&legal_logps(model, constraint, states, level, targets)?, &columns)
        }
    })
}

/// The results of `of_group` for the states before targets of one kind, `[N]`, in the order of the
/// targets: those over the whole vocabulary (`None`), then those over the legal codes of each
/// level.
fn by_level(
    constraint: &Constraint,
    states: &Tensor,
    targets: &[Target],
    scoring: Scoring,
    of_group: impl Fn(Option<usize>, &Tensor, &[Target]) -> Result<Tensor, PolicyError>,
) -> Result<Tensor, PolicyError> {
    let mut groups: Vec<Vec<usize>> = vec![Vec::new(); 1 + constraint.max_len()];
    for (row, target) in targets.iter().enumerate() {
        let group = match target {
            Target::Code { token, .. } if scoring == Scoring::Renormalised => {
                1 + constraint.level(*token)
            }
            _ => 0,
        };
        groups[group].push(row);
    }
    let (mut parts, mut order) = (Vec::new(), vec![0i64; targets.len()]);
    let mut placed = 0;
    for (group, rows) in groups.iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
        let index: Vec<i64> = rows.iter().map(|row| to_i64(*row)).collect();
        let picked =
            states.f_index_select(0, &Tensor::from_slice(&index).to_device(states.device()))?;
        let of_rows: Vec<Target> = rows.iter().map(|row| targets[*row]).collect();
        parts.push(of_group(group.checked_sub(1), &picked, &of_rows)?);
        for row in rows {
            order[*row] = placed;
            placed += 1;
        }
    }
    let order = Tensor::from_slice(&order).to_device(states.device());
    Ok(Tensor::f_cat(&parts, 0)?.f_index_select(0, &order)?)
}

/// Accepts as many targets as states, at least one, whose codes can follow their nodes.
fn check(trie: &Trie, states: &Tensor, targets: &[Target]) -> Result<(), PolicyError> {
    let [found, _] = axes("axes of hidden states", states)?;
    let found = to_usize(found)?;
    if found != targets.len() || found == 0 {
        let expected = targets.len().max(1);
        return Err(PolicyError::Size { what: "hidden states", found, expected });
    }
    check_codes(trie, targets)
}

/// Log-probabilities `[n, K]` of a level's codes among those that are legal after each target's
/// node; −∞ elsewhere.
fn legal_logps(
    model: &dyn LanguageModel,
    constraint: &Constraint,
    states: &Tensor,
    level: usize,
    targets: &[Target],
) -> Result<Tensor, PolicyError> {
    let nodes: Vec<NodeId> = targets
        .iter()
        .filter_map(|target| match target {
            Target::Code { node, .. } => Some(*node),
            Target::Word(_) => None,
        })
        .collect();
    let logits = model.head().logits_of(states, constraint.rows(level))?; // [n, K]
    let legal = logits + constraint.mask(level, &nodes);
    Ok(legal.f_log_softmax(-1, tch::Kind::Float)?)
}
