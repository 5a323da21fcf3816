//! Entropy of the distributions from which a policy wrote its tokens.

use tch::Tensor;

use super::target::Target;
use super::{by_level, check, legal_logps};
use crate::PolicyError;
use crate::decode::constraint::{Constraint, Scoring};
use crate::policy::LanguageModel;

/// Entropy `[N]`, in nats, of the distribution that each target's log-probability is taken from.
///
/// ```text
/// H = −Σ_v p(v) log p(v)       v over the vocabulary, or under `renormalised` over the legal codes
/// ```
/// Without a graph; 64 MiB of logits over the whole vocabulary at a time.
///
/// # Errors
/// As [`target_logp`](crate::target_logp).
pub(super) fn target_entropy(
    model: &dyn LanguageModel,
    constraint: &Constraint,
    states: &Tensor,
    targets: &[Target],
    scoring: Scoring,
) -> Result<Tensor, PolicyError> {
    let _guard = tch::no_grad_guard();
    check(constraint.trie(), states, targets)?;
    by_level(constraint, states, targets, scoring, |level, states, targets| match level {
        None => model.head().entropy(states),
        Some(level) => {
            let logp = legal_logps(model, constraint, states, level, targets)?;
            // 0·log 0 is 0.
            let finite = logp.f_masked_fill(&logp.isinf(), 0.0)?;
            Ok(-(logp.exp() * finite).sum_dim_intlist([-1i64].as_slice(), false, tch::Kind::Float))
        }
    })
}
