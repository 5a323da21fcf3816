//! Completions of prompts, and the results of scoring them.

use std::fmt;

use tch::Tensor;

use super::pass::LogpPass;
use super::target::{Target, check_codes};
use crate::PolicyError;
use crate::cache::TokenBatch;
use crate::decode::constraint::Constraint;

/// A token of a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompletionToken {
    /// Read but not scored, by its vocabulary id: forced tokens, a newline, the end of a turn.
    Read(u32),
    /// Scored, and read by what comes after it.
    Scored(Target),
}

impl CompletionToken {
    /// Vocabulary id; a code must have been checked.
    pub(crate) fn id(&self, constraint: &Constraint) -> u32 {
        match self {
            Self::Read(id) => *id,
            Self::Scored(target) => target.id(constraint),
        }
    }
}

/// Completions of prompts that are read once each.
#[derive(Debug, Clone, Copy)]
pub struct Completions<'a> {
    /// The prompts, with the given beginning of the answer.
    pub prompts: &'a TokenBatch,
    /// Number of tokens at each prompt's end that are the beginning of the answer, as
    /// [`Policy::read`](crate::Policy::read) takes them.
    pub begun: &'a [usize],
    /// Per prompt, per rollout: its tokens. A prompt may have any number of rollouts.
    pub rollouts: &'a [Vec<Vec<CompletionToken>>],
}

impl Completions<'_> {
    /// The tokens that are scored, in the order prompt, rollout, token; codes must be able to follow
    /// their nodes.
    ///
    /// # Errors
    /// [`PolicyError::Size`] if the numbers of prompts and groups differ; [`PolicyError::Empty`] if
    /// nothing is scored; [`PolicyError::IllegalCode`].
    pub fn scored(&self, constraint: &Constraint) -> Result<ScoredTokens, PolicyError> {
        let (found, expected) = (self.rollouts.len(), self.prompts.rows()?);
        if found != expected {
            return Err(PolicyError::Size { what: "groups of completions", found, expected });
        }
        let (mut targets, mut places, mut lens) = (Vec::new(), Vec::new(), Vec::new());
        for (prompt, group) in self.rollouts.iter().enumerate() {
            for (rollout, tokens) in group.iter().enumerate() {
                let before = targets.len();
                for (token, found) in tokens.iter().enumerate() {
                    if let CompletionToken::Scored(target) = found {
                        targets.push(*target);
                        places.push(TokenPlace { prompt, rollout, token });
                    }
                }
                lens.push(targets.len() - before);
            }
        }
        if targets.is_empty() {
            return Err(PolicyError::Empty { what: "the set of scored tokens" });
        }
        check_codes(constraint.trie(), &targets)?;
        Ok(ScoredTokens { targets, places, lens })
    }
}

/// The scored tokens of completions, in the order prompt, rollout, token.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScoredTokens {
    /// What is scored, `N`.
    pub targets: Vec<Target>,
    /// The token that each is, `N`.
    pub places: Vec<TokenPlace>,
    /// Number of scored tokens of each rollout, in the order prompt, rollout.
    pub lens: Vec<usize>,
}

/// Which token a log-probability belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenPlace {
    /// Prompt of the batch.
    pub prompt: usize,
    /// Rollout of the prompt.
    pub rollout: usize,
    /// Token of the rollout.
    pub token: usize,
}

/// Log-probabilities of the scored tokens of completions, with the backward pass.
#[non_exhaustive]
pub struct CompletionPass<'a> {
    /// `[N]`, in the order prompt, rollout, token.
    pub pass: LogpPass<'a>,
    /// The token that each belongs to.
    pub places: Vec<TokenPlace>,
    /// Number of scored tokens of each rollout, in the order prompt, rollout.
    pub lens: Vec<usize>,
    entropy: Box<dyn Fn() -> Result<Tensor, PolicyError> + 'a>,
}

impl fmt::Debug for CompletionPass<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompletionPass").field("pass", &self.pass).finish_non_exhaustive()
    }
}

impl<'a> CompletionPass<'a> {
    /// Log-probabilities of these tokens, and what computes the entropy of each: `[N]`, in nats, without
    /// a graph. It is only computed if an objective or a log needs it.
    pub fn new(
        pass: LogpPass<'a>,
        tokens: ScoredTokens,
        entropy: impl Fn() -> Result<Tensor, PolicyError> + 'a,
    ) -> Self {
        let ScoredTokens { places, lens, .. } = tokens;
        Self { pass, places, lens, entropy: Box::new(entropy) }
    }

    /// Entropy `[N]`, in nats, of the distribution that each token's log-probability is taken from: what
    /// the policy might have written instead. Without a graph.
    ///
    /// # Errors
    /// Those of tensors.
    pub fn entropy(&self) -> Result<Tensor, PolicyError> {
        (self.entropy)()
    }

    /// Mean entropy of each rollout's scored tokens, in the order prompt, rollout; in nats a token, 0 for
    /// a rollout without any.
    ///
    /// # Errors
    /// Those of tensors.
    pub fn mean_entropies(&self) -> Result<Vec<f64>, PolicyError> {
        let entropy = Vec::<f64>::try_from(self.entropy()?.to_kind(tch::Kind::Double))?;
        let mut tokens = entropy.into_iter();
        let mean = |len: &usize| tokens.by_ref().take(*len).sum::<f64>() / (*len).max(1) as f64;
        Ok(self.lens.iter().map(mean).collect())
    }
}
