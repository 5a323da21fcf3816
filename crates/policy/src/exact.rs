//! Policies that know the probability of every answer.

use crate::PolicyError;
use crate::cache::TokenBatch;
use crate::decode::constraint::Constraint;
use crate::policy::Policy;
use crate::score::law::TokenLaw;
use crate::score::pass::LogpPass;

/// A policy that gives the probabilities of all answers of its trie at once.
///
/// An answer is a leaf of the trie, that is a Semantic ID. What is otherwise estimated from rollouts is then
/// a sum over all answers: the expected reward, the entropy, the divergence from another policy, and the
/// gradients of these.
pub trait ExactPolicy: Policy {
    /// Log-probability of every answer after each prompt under `law`, `[U·A]`, in nats, with the way back to
    /// the weights. The answers of a prompt are adjacent, in the order of
    /// [`Trie::leaves`](sidereal_sid::Trie::leaves), and their probabilities sum to one.
    ///
    /// The pass holds a few values for each prompt and each node of the trie. Who has many prompts gives
    /// some of them at a time.
    ///
    /// # Errors
    /// Those of [`Policy::read`]; [`PolicyError::OtherTrie`] for a constraint over another trie;
    /// [`PolicyError::Unsupported`] for a law that the policy does not have.
    fn answer_pass<'a>(
        &'a self,
        constraint: &'a Constraint,
        prompts: &TokenBatch,
        law: TokenLaw,
    ) -> Result<LogpPass<'a>, PolicyError>;
}

/// The policy as one that knows the probability of every answer; `what` needs one, for the error.
///
/// # Errors
/// [`PolicyError::Unsupported`] for a policy that is none.
pub fn as_exact<'m>(
    policy: &'m dyn Policy,
    what: &'static str,
) -> Result<&'m dyn ExactPolicy, PolicyError> {
    policy.exact().ok_or_else(|| PolicyError::Unsupported {
        field: "policy",
        found: format!("{what} by a policy that scores only what it is asked for"),
        expected: "a policy that gives the probabilities of all answers, such as one that reads items",
    })
}
