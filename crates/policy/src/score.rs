//! Log-probabilities of given tokens, through which gradients flow.

pub(crate) mod branches;
pub(crate) mod completions;
pub(crate) mod pass;
mod vocabulary;

use sidereal_sid::{NodeId, Trie};
use tch::Tensor;

use crate::PolicyError;
use crate::decode::{Constraint, Scoring};
use crate::models::language_model::LanguageModel;
use crate::weights::to_i64;

/// A token whose log-probability is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A token of text by its vocabulary id, always against the whole vocabulary.
    Word(u32),
    /// A code by its flat token, behind the prefix `node` of the trie.
    Code {
        /// Node of the prefix.
        node: NodeId,
        /// Flat token of the code.
        token: u32,
    },
}

impl Target {
    /// Vocabulary id; a code must be one of the constraint's.
    fn id(&self, constraint: &Constraint) -> u32 {
        match self {
            Self::Word(id) => *id,
            Self::Code { token, .. } => constraint.id(*token),
        }
    }
}

/// Log-probability `[N]`, in nats, of each target given the hidden state `[N, D]` before it.
///
/// ```text
/// full          log p = z[t] − log Σ_v exp z[v]            v over the vocabulary
/// renormalised  log p = z[t] − log Σ_c exp z[c]            c over the codes legal behind `node`
/// ```
/// Only the rows of the output head that a formula names are computed: a level's codes, or the
/// vocabulary for words and for `full`, 64 MiB of logits at a time. A graph keeps all of them; for
/// training over a large vocabulary there is [`target_pass`](crate::target_pass).
///
/// # Errors
/// [`PolicyError::Size`] where states and targets differ in number or there are none;
/// [`PolicyError::IllegalCode`] for a code that cannot follow its node, under either scoring.
pub fn target_logp(
    model: &dyn LanguageModel,
    constraint: &Constraint,
    states: &Tensor,
    targets: &[Target],
    scoring: Scoring,
) -> Result<Tensor, PolicyError> {
    check(constraint.trie(), states, targets)?;
    // Rows of each kind of target: those over the whole vocabulary, then the codes of each level.
    let mut groups: Vec<Vec<i64>> = vec![Vec::new(); 1 + constraint.max_len()];
    for (row, target) in targets.iter().enumerate() {
        let group = match target {
            Target::Code { token, .. } if scoring == Scoring::Renormalised => {
                1 + constraint.level(*token)
            }
            _ => 0,
        };
        groups[group].push(to_i64(row));
    }
    let (mut parts, mut order) = (Vec::new(), vec![0i64; targets.len()]);
    let mut placed = 0;
    for (group, rows) in groups.iter().enumerate() {
        if rows.is_empty() {
            continue;
        }
        let picked =
            states.f_index_select(0, &Tensor::from_slice(rows).to_device(states.device()))?;
        let of_rows = rows.iter().filter_map(|row| targets.get(usize::try_from(*row).ok()?));
        parts.push(match group.checked_sub(1) {
            None => {
                let ids: Vec<i64> = of_rows.map(|target| target.id(constraint).into()).collect();
                model.head().logp_of(&picked, &ids)?
            }
            Some(level) => legal_logp(model, constraint, &picked, level, of_rows)?,
        });
        for row in rows {
            order[usize::try_from(*row).unwrap_or(0)] = placed;
            placed += 1;
        }
    }
    let order = Tensor::from_slice(&order).to_device(states.device());
    Ok(Tensor::f_cat(&parts, 0)?.f_index_select(0, &order)?)
}

/// Accepts as many targets as states, at least one, whose codes can follow their nodes.
fn check(trie: &Trie, states: &Tensor, targets: &[Target]) -> Result<(), PolicyError> {
    let found = states.size().first().map_or(0, |n| usize::try_from(*n).unwrap_or(0));
    if found != targets.len() || found == 0 {
        let expected = targets.len().max(1);
        return Err(PolicyError::Size { what: "hidden states", found, expected });
    }
    check_codes(trie, targets)
}

/// Accepts targets whose codes can follow their nodes.
fn check_codes(trie: &Trie, targets: &[Target]) -> Result<(), PolicyError> {
    for (target, found) in targets.iter().enumerate() {
        if let Target::Code { node, token } = found
            && !(node.index() < trie.num_nodes() && trie.children(*node).find(*token).is_some())
        {
            return Err(PolicyError::IllegalCode { target, token: *token, node: node.0 });
        }
    }
    Ok(())
}

/// Log-probabilities of codes of one level among those that are legal.
fn legal_logp<'a>(
    model: &dyn LanguageModel,
    constraint: &Constraint,
    states: &Tensor,
    level: usize,
    targets: impl Iterator<Item = &'a Target>,
) -> Result<Tensor, PolicyError> {
    let (mut nodes, mut columns) = (Vec::new(), Vec::new());
    for target in targets {
        if let Target::Code { node, token } = target {
            nodes.push(*node);
            columns.push(to_i64(constraint.column(level, *token)));
        }
    }
    let logits = model.head().logits_of(states, constraint.rows(level))?; // [n, K]
    let legal = logits + constraint.mask(level, &nodes);
    pick(&legal.f_log_softmax(-1, tch::Kind::Float)?, &columns)
}

/// Element `columns[n]` of each row.
pub(crate) fn pick(rows: &Tensor, columns: &[i64]) -> Result<Tensor, PolicyError> {
    let columns = Tensor::from_slice(columns).to_device(rows.device()).unsqueeze(1);
    Ok(rows.f_gather(1, &columns, false)?.squeeze_dim(1))
}

/// The targets that a Semantic ID's codes are, from the prefix `guide` on.
///
/// # Errors
/// [`PolicyError::Empty`] where the codes leave the trie.
pub fn code_targets(
    trie: &Trie,
    guide: &[u32],
    tokens: &[u32],
) -> Result<Vec<Target>, PolicyError> {
    const OUTSIDE: PolicyError =
        PolicyError::Empty { what: "the set of semantic ids with these codes" };
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
