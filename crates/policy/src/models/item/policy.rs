//! The implementation of `Policy`.

use tch::Device;

use super::ItemPolicy;
use super::branches::ItemBranches;
use super::completions::completion_pass;
use super::pack::Packed;
use crate::PolicyError;
use crate::cache::TokenBatch;
use crate::decode::branches::Branches;
use crate::decode::constraint::Constraint;
use crate::policy::ExactPolicy;
use crate::policy::Policy;
use crate::score::completions::{CompletionPass, Completions};
use crate::score::law::TokenLaw;

/// The ids of a prompt are items. If an answer has begun, the last ids are its codes; the state does not
/// depend on them.
impl Policy for ItemPolicy {
    fn device(&self) -> Device {
        self.nodes.device()
    }

    /// No limit: a longer history is read from its latest items.
    fn longest_prompt(&self, _answer_len: usize) -> usize {
        usize::MAX
    }

    fn read<'a>(
        &'a self,
        prompts: &TokenBatch,
        begun: &[usize],
    ) -> Result<Box<dyn Branches + 'a>, PolicyError> {
        let packed = Packed::of_prompts(self, prompts, begun)?;
        Ok(Box::new(ItemBranches::read(self, &packed)?))
    }

    fn completion_pass<'a>(
        &'a self,
        constraint: &'a Constraint,
        completions: &Completions<'_>,
        law: TokenLaw,
    ) -> Result<CompletionPass<'a>, PolicyError> {
        completion_pass(self, constraint, completions, law)
    }

    fn exact(&self) -> Option<&dyn ExactPolicy> {
        Some(self)
    }
}
