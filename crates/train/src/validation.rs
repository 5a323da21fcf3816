//! The validation of a policy in training.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use sidereal_metrics::{Metric, RankingRun};
use sidereal_policy::{BeamSearch, Constraint, Policy, Scoring, TokenBatch, as_language_model};

use crate::TrainError;
use crate::batching::{Batching, check_room, in_batches};
use crate::encode::{EncodedPrompt, Mode};
use crate::evaluate::rank;
use crate::reasoning::ReasoningSearch;
use crate::slate::SlateAnswers;

/// How a policy in training is validated on held-out users.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Validation<'a> {
    pub(crate) model: &'a dyn Policy,
    pub(crate) constraint: &'a Constraint,
    pub(crate) scoring: Scoring,
    /// For prompts with reasoning.
    pub(crate) reasoning: Option<ReasoningSearch<'a>>,
    /// For prompts that ask for slates.
    pub(crate) slates: Option<SlateAnswers<'a>>,
    pub(crate) pad: u32,
    pub(crate) batch_size: usize,
}

impl Validation<'_> {
    /// NDCG@10 of a beam search of width 20, item level, seen items kept. For prompts with
    /// reasoning it is computed after one chain, and for prompts that ask for a slate from one
    /// greedy slate.
    pub(crate) fn ndcg(&self, prompts: &[EncodedPrompt]) -> Result<f64, TrainError> {
        const TEN: NonZeroUsize = NonZeroUsize::new(10).unwrap();
        const BEAM_WIDTH: usize = 20;
        let Self { model, constraint, scoring, reasoning, slates, pad, batch_size } = *self;
        let search = BeamSearch { model, constraint, beam_width: BEAM_WIDTH, scoring };
        let batching = Batching { pad, batch_size, job: "validate" };
        let mut silent = |_: &crate::Record| {};
        let (direct, reasoned): (Vec<EncodedPrompt>, Vec<EncodedPrompt>) =
            prompts.iter().cloned().partition(|prompt| prompt.mode == Mode::Direct);
        let mut rankings = Vec::new();
        if let Some(slates) = slates {
            let model = as_language_model(model, "validation of slates")?;
            rankings = slates.rank(model, &direct, batch_size, batching.job, &mut silent)?;
        } else if !direct.is_empty() || reasoned.is_empty() {
            rankings = rank(&search, &direct, batching, &mut silent)?;
        }
        if let (Some(reasoning), false) = (reasoning, reasoned.is_empty()) {
            check_room(batching.job, &reasoned, reasoning.longest_prompt())?;
            let limit = reasoning.longest_prompt();
            rankings.extend(in_batches(
                &reasoned,
                batch_size,
                batching.job,
                &mut silent,
                |batch| {
                    let rows: Vec<&[u32]> =
                        batch.iter().map(|prompt| prompt.ids.as_slice()).collect();
                    let tokens = TokenBatch::new(&rows, pad, limit, model.device())?;
                    reasoning.rank(batch, &tokens, 1, BEAM_WIDTH)
                },
            )?);
        }
        let mut run = RankingRun::new();
        for ranking in &rankings {
            run.push(ranking.id, ranking.item_placement(&BTreeSet::new()))?;
        }
        let values = run.values(Metric::Ndcg(TEN))?;
        Ok(values.iter().sum::<f64>() / values.len() as f64)
    }
}
