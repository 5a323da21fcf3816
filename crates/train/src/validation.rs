//! The validation of a policy in training.

mod cold;
mod validated;

use sidereal_policy::{BeamSearch, Constraint, Policy, Scoring, TokenBatch, as_language_model};

pub(crate) use self::validated::Validated;

use crate::TrainError;
use crate::batching::{Batching, check_room, in_batches};
use crate::encode::{EncodedPrompt, Mode};
use crate::evaluate::rank;
use crate::item_facts::ItemFacts;
use crate::ranking::Ranking;
use crate::reasoning::ReasoningSearch;
use crate::slate::SlateAnswers;

/// Name of the job for progress and messages.
const JOB: &str = "validate";

/// How a policy in training is validated on held-out users.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Validation<'a> {
    pub(crate) model: &'a dyn Policy,
    pub(crate) constraint: &'a Constraint,
    pub(crate) facts: ItemFacts<'a>,
    pub(crate) scoring: Scoring,
    /// For prompts with reasoning.
    pub(crate) reasoning: Option<ReasoningSearch<'a>>,
    /// For prompts that ask for slates.
    pub(crate) slates: Option<SlateAnswers<'a>>,
    pub(crate) pad: u32,
    pub(crate) batch_size: usize,
}

impl Validation<'_> {
    /// What the lists of a policy are worth, and what they hold.
    pub(crate) fn run(&self, prompts: &[EncodedPrompt]) -> Result<Validated, TrainError> {
        let (direct, reasoned): (Vec<EncodedPrompt>, Vec<EncodedPrompt>) =
            prompts.iter().cloned().partition(|prompt| prompt.mode == Mode::Direct);
        let mut found = Validated::of_lists(&self.lists(&direct, &reasoned)?, self.facts)?;
        if self.slates.is_none() {
            found.cold_mass = self.cold_mass(&direct)?;
        }
        Ok(found)
    }

    /// The lists of a beam search of width 20, item level, seen items kept. For prompts with
    /// reasoning they are found after one chain, and for prompts that ask for a slate the list is
    /// one greedy slate.
    fn lists(
        &self,
        direct: &[EncodedPrompt],
        reasoned: &[EncodedPrompt],
    ) -> Result<Vec<Ranking>, TrainError> {
        const BEAM_WIDTH: usize = 20;
        let Self { model, constraint, scoring, reasoning, slates, pad, batch_size, .. } = *self;
        let search = BeamSearch { model, constraint, beam_width: BEAM_WIDTH, scoring };
        let batching = Batching { pad, batch_size, job: JOB };
        let mut silent = |_: &crate::Record| {};
        let mut rankings = Vec::new();
        if let Some(slates) = slates {
            let model = as_language_model(model, "validation of slates")?;
            rankings = slates.rank(model, direct, batch_size, JOB, &mut silent)?;
        } else if !direct.is_empty() || reasoned.is_empty() {
            rankings = rank(&search, direct, batching, &mut silent)?;
        }
        if let (Some(reasoning), false) = (reasoning, reasoned.is_empty()) {
            let limit = reasoning.longest_prompt();
            check_room(JOB, reasoned, limit)?;
            rankings.extend(in_batches(reasoned, batch_size, JOB, &mut silent, |batch| {
                let rows: Vec<&[u32]> = batch.iter().map(|prompt| prompt.ids.as_slice()).collect();
                let tokens = TokenBatch::new(&rows, pad, limit, model.device())?;
                reasoning.rank(batch, &tokens, 1, BEAM_WIDTH)
            })?);
        }
        Ok(rankings)
    }
}
