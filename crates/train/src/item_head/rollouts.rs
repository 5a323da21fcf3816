//! What a step writes before the head scores: chains, or the mark alone.

use sidereal_policy::{CompletionToken, LanguageModel, Reasoner, TokenBatch, WrittenToken};
use tch::{Kind, Tensor};

use super::ItemHeadTraining;
use crate::TrainError;
use crate::encode::EncodedPrompt;
use crate::seed::step_seed;

/// What was written for the prompts of a step.
#[derive(Debug)]
pub(super) struct Written {
    /// Of each prompt, of each of its chains: its tokens up to the mark.
    pub(super) completions: Vec<Vec<Vec<CompletionToken>>>,
    /// Tokens that were drawn, in all.
    pub(super) drawn: usize,
    /// Chains that did not close themselves.
    pub(super) unclosed: usize,
    /// The states after the marks, `[B·G, D]`; `None` where nothing was drawn.
    pub(super) states: Option<Tensor>,
}

impl Written {
    /// Chains in all.
    pub(super) fn num_rollouts(&self) -> usize {
        self.completions.iter().map(Vec::len).sum()
    }
}

impl ItemHeadTraining<'_> {
    /// Writes for the prompts of step `number`, 0-based.
    pub(super) fn write(
        &self,
        model: &dyn LanguageModel,
        batch: &[&EncodedPrompt],
        number: usize,
    ) -> Result<Written, TrainError> {
        let read = |id: &u32| CompletionToken::Read(*id);
        let Some(chain) = self.config.chain else {
            let mark: Vec<CompletionToken> = self.markers.close().iter().map(read).collect();
            let completions = vec![vec![mark]; batch.len()];
            return Ok(Written { completions, drawn: 0, unclosed: 0, states: None });
        };
        let rows: Vec<&[u32]> = batch.iter().map(|prompt| prompt.ids.as_slice()).collect();
        let tokens = TokenBatch::new(&rows, self.pad, model.longest_prompt(0), model.device())?;
        let keys: Vec<u64> = batch.iter().map(|prompt| prompt.key()).collect();
        let reasoner = Reasoner {
            model,
            markers: self.markers,
            sampling: chain.words,
            budget: chain.budget,
            answer_len: 0,
            seed: u64::from_le_bytes(step_seed(self.seed, number).to_le_bytes()),
        };
        let found = reasoner.reason(&tokens, &keys, self.config.group_size())?;
        let learns = self.config.recpo.is_some();
        let (mut drawn, mut unclosed) = (0, 0);
        let mut completions = Vec::with_capacity(batch.len());
        for chains in &found.chains {
            let mut group = Vec::with_capacity(chains.len());
            for chain in chains {
                unclosed += usize::from(chain.is_forced());
                drawn += chain.tokens.iter().filter(|token| token.drawn.is_some()).count();
                let token = |token: &WrittenToken| {
                    if learns { token.completion() } else { CompletionToken::Read(token.id) }
                };
                group.push(chain.tokens.iter().map(token).collect());
            }
            completions.push(group);
        }
        let states = Some(found.start.hidden.f_to_kind(Kind::Float)?);
        Ok(Written { completions, drawn, unclosed, states })
    }
}
