//! What decoding, scoring and training need from a policy, and what a language model has besides.

use std::fmt::Debug;

use tch::{Device, Tensor};

use crate::PolicyError;
use crate::cache::{KvCache, TokenBatch};
use crate::decode::branches::Branches;
use crate::decode::constraint::Constraint;
use crate::models::head::Head;
use crate::score::completions::{CompletionPass, Completions};
use crate::score::law::TokenLaw;
use crate::score::pass::LogpPass;

/// A policy that recommends items by writing them down a trie.
///
/// [`BeamSearch`](crate::BeamSearch) and [`Sampler`](crate::Sampler) decode any policy, and every
/// training of the crate `sidereal-train` improves one. Every [`LanguageModel`] is a policy. A policy of
/// another kind, such as one that reads a history item by item, implements this trait itself.
///
/// A prompt is a row of ids, whose meaning is the policy's own: tokens of a vocabulary for a language
/// model, items for a policy that reads items. An answer is a path of the constraint's trie.
pub trait Policy: Debug {
    /// The device of the weights, on which ids must be too.
    fn device(&self) -> Device;

    /// Largest number of ids of a prompt after which an answer of `answer_len` tokens still fits.
    fn longest_prompt(&self, answer_len: usize) -> usize;

    /// Reads prompts. Each gets one branch. The branch is at the node to which the last `begun[u]`
    /// ids of prompt `u`, the beginning of its answer, lead.
    ///
    /// # Errors
    /// [`PolicyError::Size`] if prompts and `begun` differ in number; [`PolicyError::Positions`]
    /// for rows that are too long.
    fn read<'a>(
        &'a self,
        prompts: &TokenBatch,
        begun: &[usize],
    ) -> Result<Box<dyn Branches + 'a>, PolicyError>;

    /// Log-probability of every scored token of every completion under `law`, with the backward
    /// pass to the weights.
    ///
    /// # Errors
    /// Those of [`read`](Self::read); [`PolicyError::Empty`] if nothing is scored;
    /// [`PolicyError::IllegalCode`] for a code that cannot follow its node.
    fn completion_pass<'a>(
        &'a self,
        constraint: &'a Constraint,
        completions: &Completions<'_>,
        law: TokenLaw,
    ) -> Result<CompletionPass<'a>, PolicyError>;

    /// The policy as a language model, which can reason in free text and write titles; `None` if it
    /// is not one.
    fn language_model(&self) -> Option<&dyn LanguageModel> {
        None
    }

    /// The policy as one that knows the probability of every answer; `None` where it is none.
    fn exact(&self) -> Option<&dyn ExactPolicy> {
        None
    }
}

/// The policy as a language model. `what` names the thing that needs one, for the error.
///
/// # Errors
/// [`PolicyError::Unsupported`] for a policy that is not a language model.
pub fn as_language_model<'m>(
    policy: &'m dyn Policy,
    what: &'static str,
) -> Result<&'m dyn LanguageModel, PolicyError> {
    policy.language_model().ok_or_else(|| PolicyError::Unsupported {
        field: "policy",
        found: format!("{what} by a policy that writes no text"),
        expected: "a language model for it",
    })
}

/// A model that writes an answer token by token: a decoder, or an encoder-decoder.
///
/// Prompts are read once; branches (beams, rollouts) continue them. The model is immutable, and
/// what it has read is in a [`KvCache`] that the caller owns and passes to the same model again.
/// Every language model is a [`Policy`].
pub trait LanguageModel: Policy {
    /// Hidden state `[U, D]` before the next token of each answer, and the cache that branches
    /// read.
    ///
    /// The last `begun[u]` tokens of prompt `u` are the beginning of its answer. A decoder reads
    /// them like the rest; an encoder-decoder reads them in its decoder, after its start token,
    /// and the rest in its encoder.
    ///
    /// # Errors
    /// [`PolicyError::Size`] if prompts and `begun` differ in number, or if nothing of a prompt is
    /// left for an encoder; [`PolicyError::Positions`] for rows beyond the model's positions;
    /// [`PolicyError::Torch`] for ids outside the vocabulary.
    fn prefill(
        &self,
        prompts: &TokenBatch,
        begun: &[usize],
    ) -> Result<(Tensor, KvCache), PolicyError>;

    /// Hidden states `[U, W, S, D]` of `S` more tokens `[U, W, S]` in each of `W` branches of each
    /// prompt, which it appends to `cache`. A branch sees its prompt and its own earlier tokens.
    ///
    /// # Errors
    /// [`PolicyError::Size`] if the branches do not fit the cache, [`PolicyError::Positions`] if
    /// the longest would exceed the model's positions; `cache` is then unchanged.
    fn extend(&self, tokens: &Tensor, cache: &mut KvCache) -> Result<Tensor, PolicyError>;

    /// The output head, which turns hidden states into logits.
    fn head(&self) -> &Head;

    /// Longest sequence that the model reads, prompt and answer together; `None` if there is no
    /// limit.
    fn positions(&self) -> Option<usize>;
}

/// A policy that gives the probabilities of all answers of its trie at once.
///
/// An answer is a leaf of the trie, that is a Semantic ID. What is otherwise estimated from rollouts is then
/// a sum over all answers: the expected reward, the entropy, the divergence from another policy, and the
/// gradients of these.
pub trait ExactPolicy: Policy {
    /// Log-probability of every answer after each prompt under `law`, `[U·A]`, in nats, with the backward pass to
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
