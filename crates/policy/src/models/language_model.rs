//! How a language model is a policy.

use tch::Device;

use crate::PolicyError;
use crate::cache::TokenBatch;
use crate::decode::branches::Branches;
use crate::decode::constraint::Constraint;
use crate::decode::walk::Prefilled;
use crate::policy::{LanguageModel, Policy};
use crate::score::completions::{CompletionPass, Completions};
use crate::score::law::TokenLaw;
use crate::score::read::completion_pass;

impl<M: LanguageModel> Policy for M {
    fn device(&self) -> Device {
        self.head().device()
    }

    fn longest_prompt(&self, answer_len: usize) -> usize {
        self.positions().map_or(usize::MAX, |positions| positions.saturating_sub(answer_len))
    }

    fn read<'a>(
        &'a self,
        prompts: &TokenBatch,
        begun: &[usize],
    ) -> Result<Box<dyn Branches + 'a>, PolicyError> {
        Ok(Prefilled::read(self, prompts, begun)?.branches(self))
    }

    fn completion_pass<'a>(
        &'a self,
        constraint: &'a Constraint,
        completions: &Completions<'_>,
        law: TokenLaw,
    ) -> Result<CompletionPass<'a>, PolicyError> {
        completion_pass(self, constraint, completions, law)
    }

    fn language_model(&self) -> Option<&dyn LanguageModel> {
        Some(self)
    }
}
