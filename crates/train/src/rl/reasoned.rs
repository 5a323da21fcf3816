//! Groups of chains of thought, with an answer each.

use sidereal_policy::{Policy, TokenBatch, WrittenToken, as_language_model};
use sidereal_sid::SemanticId;

use super::rollout::{PromptGroup, WrittenChain};
use super::{Rl, Unclosed};
use crate::TrainError;
use crate::free_answer::{AnswerForm, FreeRollout, FreeWriter};
use crate::reasoning::ReasoningSearch;

impl Rl<'_> {
    /// Draws chains of thought with an answer each.
    pub(super) fn draw_reasoned(
        &self,
        model: &dyn Policy,
        groups: &mut [&mut PromptGroup<'_>],
        seed: i64,
    ) -> Result<(), TrainError> {
        let search = self.reasoning_search(model, u64::from_le_bytes(seed.to_le_bytes()))?;
        let ids: Vec<&[u32]> = groups.iter().map(|group| group.ids.as_slice()).collect();
        let limit = search.longest_prompt();
        let prompts = TokenBatch::new(&ids, self.pad, limit, model.device())?;
        let keys: Vec<u64> = groups.iter().map(|group| group.key).collect();
        let reasoning = self.config.reasoning.clone().unwrap_or_default();
        if reasoning.answer == AnswerForm::Free {
            let found = self.writer(&search)?.write(&prompts, &keys, self.config.group_size)?;
            return groups
                .iter_mut()
                .zip(found)
                .try_for_each(|(group, written)| self.take_free(group, &written));
        }
        let found = search.rollouts(&prompts, &keys, self.config.group_size)?;
        for (group, rollouts) in groups.iter_mut().zip(found) {
            self.take(group, rollouts.iter().map(|rollout| &rollout.answer));
            group.completions =
                rollouts.iter().map(|rollout| rollout.completion(self.constraint)).collect();
            for (index, rollout) in rollouts.iter().enumerate() {
                let closed = !rollout.chain.is_forced();
                if !closed && reasoning.unclosed == Unclosed::Wrong {
                    group.sids[index] = SemanticId::default();
                    group.completions[index] = rollout.unanswered();
                }
                let text = self.text(&group.completions[index])?;
                group.chains.push(WrittenChain { drawn: rollout.drawn(), closed, text });
            }
        }
        Ok(())
    }

    /// Texts that hold chain and answer.
    fn take_free(
        &self,
        group: &mut PromptGroup<'_>,
        written: &[FreeRollout],
    ) -> Result<(), TrainError> {
        group.sids = written.iter().map(|text| text.sid.clone()).collect();
        group.completions = written
            .iter()
            .map(|text| text.tokens.iter().map(WrittenToken::completion).collect())
            .collect();
        let chains = written.iter().zip(&group.completions).map(|(text, completion)| {
            let (drawn, closed) = (text.chain_len, text.closed);
            Ok(WrittenChain { drawn, closed, text: self.text(completion)? })
        });
        group.chains = chains.collect::<Result<_, TrainError>>()?;
        Ok(())
    }

    /// What draws free answers as this search draws its chains.
    fn writer<'m>(&'m self, search: &ReasoningSearch<'m>) -> Result<FreeWriter<'m>, TrainError> {
        let Some(tokenizer) = self.tokenizer else {
            return Err(TrainError::Setting {
                field: format!("stage.{}.rl.reasoning.answer", self.stage),
                found: "`free` for a policy without a tokenizer".to_owned(),
                needed: "`constrained`",
            });
        };
        Ok(search.freely(tokenizer))
    }

    /// The search of the policy with reasoning.
    pub(super) fn reasoning_search<'m>(
        &'m self,
        model: &'m dyn Policy,
        seed: u64,
    ) -> Result<ReasoningSearch<'m>, TrainError> {
        let (Some(markers), Some(reasoning)) = (self.markers, &self.config.reasoning) else {
            return Err(TrainError::Setting {
                field: format!("stage.{}.rl.reasoning", self.stage),
                found: "missing".to_owned(),
                needed: "settings, and a prompt set with the task `reasoning`",
            });
        };
        Ok(ReasoningSearch {
            model: as_language_model(model, "reasoning")?,
            constraint: self.constraint,
            markers,
            chain: reasoning.chain,
            scoring: self.config.scoring,
            seed,
        })
    }
}
