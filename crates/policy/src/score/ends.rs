//! Completions for objectives that look at their tokens and at the state after each, with one backward pass.

use std::fmt;

use tch::{Kind, Tensor};

use super::completions::{CompletionToken, Completions};
use super::law::TokenLaw;
use super::pass::LogpPass;
use super::read::{Scored, read_states};
use super::target::Target;
use super::way_back::target_pass;
use crate::PolicyError;
use crate::decode::constraint::Constraint;
use crate::policy::LanguageModel;
use crate::weights::to_i64;

/// Completions that were read once: the log-probabilities of their scored tokens, and the state after each of them.
///
/// An objective that is a function of both gives its derivative by the log-probabilities to
/// [`backward`](Self::backward). Its derivative by the states is what autograd has added to the leaf
/// [`ends`](Self::ends) until then. What was read is then gone through once, for both.
pub struct CompletionEnds<'a> {
    /// `[N + R, D]`, with their graph: first those before scored tokens, then those after completions.
    states: Tensor,
    words: Option<Words<'a>>,
    /// `[R, D]`, a leaf with the values of the last `R` states.
    ends: Tensor,
}

/// The scored tokens.
struct Words<'a> {
    /// A leaf with the values of the first `N` states.
    leaf: Tensor,
    pass: LogpPass<'a>,
}

impl fmt::Debug for CompletionEnds<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompletionEnds").field("ends", &self.ends).finish_non_exhaustive()
    }
}

impl<'a> CompletionEnds<'a> {
    /// Reads completions. An empty one ends where its prompt does.
    ///
    /// # Errors
    /// Those of [`completion_logp`](crate::completion_logp), except that nothing needs to be scored;
    /// [`PolicyError::Empty`] without a completion.
    pub fn read(
        model: &'a dyn LanguageModel,
        constraint: &Constraint,
        completions: &Completions<'_>,
        law: TokenLaw,
    ) -> Result<Self, PolicyError> {
        // The state before a further token is the one after the completion; the token itself is never read.
        let further = CompletionToken::Scored(Target::Word(0));
        let with_end = |tokens: &Vec<CompletionToken>| {
            tokens.iter().copied().chain([further]).collect::<Vec<_>>()
        };
        let rollouts: Vec<Vec<Vec<CompletionToken>>> =
            completions.rollouts.iter().map(|group| group.iter().map(with_end).collect()).collect();
        let completions = Completions { rollouts: &rollouts, ..*completions };
        let Scored { states, tokens } = read_states(model, constraint, &completions)?;
        let (mut targets, mut before, mut after) = (Vec::new(), Vec::new(), Vec::new());
        let mut row = 0;
        for len in &tokens.lens {
            before.extend((row..row + len - 1).map(to_i64));
            targets.extend_from_slice(&tokens.targets[row..row + len - 1]);
            row += len;
            after.push(to_i64(row - 1));
        }
        let num_words = to_i64(before.len());
        let order = [before, after].concat();
        let order = Tensor::from_slice(&order).to_device(states.device());
        let states = states.f_index_select(0, &order)?;
        let on = states.requires_grad();
        let leaf = |from: i64, len: i64| -> Result<Tensor, PolicyError> {
            Ok(states.detach().f_narrow(0, from, len)?.f_contiguous()?.set_requires_grad(on))
        };
        let ends = leaf(num_words, to_i64(tokens.lens.len()))?;
        let words = if targets.is_empty() {
            None
        } else {
            let leaf = leaf(0, num_words)?;
            let tempered = law.tempered(leaf.shallow_clone(), &targets)?;
            let pass = target_pass(model, constraint, tempered, &targets, law.scoring)?;
            Some(Words { leaf, pass })
        };
        Ok(Self { states, words, ends })
    }

    /// Log-probability of every scored token, `[N]`, in nats, in the order prompt, rollout, token, without a graph.
    pub fn logp(&self) -> Tensor {
        match &self.words {
            Some(words) => words.pass.logp().shallow_clone(),
            None => Tensor::zeros([0], (Kind::Float, self.ends.device())),
        }
    }

    /// The state after each completion, `[R, D]`, in the order prompt, rollout: a leaf that collects gradients.
    pub const fn ends(&self) -> &Tensor {
        &self.ends
    }

    /// Adds to the weights' gradients that of `(logp · d_logp).sum()` and that of whatever was computed from
    /// [`ends`](Self::ends) and gone back through.
    ///
    /// # Errors
    /// [`PolicyError::Size`] for another number of derivatives; [`PolicyError::Torch`].
    pub fn backward(self, d_logp: &Tensor) -> Result<(), PolicyError> {
        let (found, expected) = (d_logp.numel(), self.logp().numel());
        if found != expected {
            let what = "derivatives by log-probabilities";
            return Err(PolicyError::Size { what, found, expected });
        }
        let Self { states, words, ends } = self;
        let mut parts = Vec::new();
        if let Some(Words { leaf, pass }) = words {
            pass.backward(d_logp)?;
            parts.push(gradient(&leaf)?);
        }
        parts.push(gradient(&ends)?);
        if states.requires_grad() {
            let d_states = Tensor::f_cat(&parts, 0)?;
            (states * d_states).f_sum(Kind::Float)?.f_backward()?;
        }
        Ok(())
    }
}

/// What a leaf has collected; zeros where nothing has reached it.
fn gradient(leaf: &Tensor) -> Result<Tensor, PolicyError> {
    let found = leaf.grad();
    if found.defined() { Ok(found) } else { Ok(leaf.detach().f_zeros_like()?) }
}
