//! A policy that writes words, whose beams the prior guides.
//!
//! It cannot score every item, so its weights are chosen on candidates: what its beams find alone, and what each
//! term of the prior likes best. All candidates are scored by the policy, and a validation user whose target
//! is not among them is a miss under any weights. In the test the prior leads the beams themselves.

use std::collections::BTreeMap;

use rayon::prelude::*;
use sidereal_baselines::{Case, Prior, PriorFit, PriorSearch};
use sidereal_data::{ItemId, Sample, SampleId};
use sidereal_metrics::SeenItems;
use sidereal_policy::AnyPolicy;
use sidereal_prompts::Task;
use sidereal_train::{
    EncodedPrompt, ExactCase, ItemScores, Observer, Ranking, best, rank, score_items, search_guided,
};

use super::asked::{AskedPolicies, case, ranked, removed};
use crate::blend::files::one_of_words;
use crate::blend::{self, of_all_items};
use crate::error::LabError;
use crate::parts::answers::Respondent;
use crate::parts::rankings::exact_cases;
use crate::recipe::blend::BlendConfig;

/// Users whose log-probabilities of all items are in memory together.
const AT_ONCE: usize = 256;

/// The one policy of the blend.
pub(super) struct Guided<'a> {
    by: Respondent<'a>,
    model: AnyPolicy,
}

impl<'a> Guided<'a> {
    pub(super) fn open(blend: &BlendConfig, policies: &[Respondent<'a>]) -> Result<Self, LabError> {
        match policies {
            [by] => Ok(Self { by: *by, model: by.open()? }),
            _ => Err(one_of_words(&blend.name, policies.len())),
        }
    }

    fn prompts(&self, users: &[Sample<'_>]) -> Result<Vec<EncodedPrompt>, LabError> {
        self.by.bench.prompts(Task::NextItem, users)
    }

    /// What the policy says of the candidates of each user.
    fn candidates(
        &self,
        prior: &Prior<'static>,
        seen_items: SeenItems,
        users: &[Sample<'_>],
        job: &str,
        observer: &mut dyn Observer,
    ) -> Result<Vec<ItemScores>, LabError> {
        let (prompts, cases) = (self.prompts(users)?, exact_cases(users));
        let search = self.by.beam_search(&self.model);
        let batching = self.by.batching(job);
        let alone = rank(&search, &prompts, batching, observer)?;
        let of_case = |(case, alone): (&ExactCase<'_>, Ranking)| {
            let mut wanted: Vec<ItemId> = alone.found.into_iter().flatten().collect();
            for mut values in prior.term_values(case.history)? {
                removed(case, seen_items).for_each(|item| values[item.index()] = f32::NEG_INFINITY);
                wanted.extend(best(case, &values, search.beam_width).found.into_iter().flatten());
            }
            Ok((case.id, wanted))
        };
        let wanted: BTreeMap<SampleId, Vec<ItemId>> =
            cases.par_iter().zip(alone).map(of_case).collect::<Result<_, LabError>>()?;
        let wanted = |prompt: &EncodedPrompt| wanted[&prompt.id].clone();
        Ok(score_items(&search, &prompts, batching, observer, wanted)?)
    }
}

impl AskedPolicies for Guided<'_> {
    fn fit(
        &self,
        search: &PriorSearch,
        prior: &Prior<'static>,
        valid: &[Sample<'_>],
        job: &str,
        observer: &mut dyn Observer,
    ) -> Result<PriorFit, LabError> {
        let candidates = self.candidates(prior, search.seen_items, valid, job, observer)?;
        let (valid, num_items) = (exact_cases(valid), prior.num_items());
        search.run(prior, |cases| {
            for (batch, scores) in valid.chunks(AT_ONCE).zip(candidates.chunks(AT_ONCE)) {
                let batch: Vec<Case<'_, SampleId>> = batch.iter().map(case).collect();
                let rows: Vec<f32> =
                    scores.iter().flat_map(|scores| of_all_items(scores, num_items)).collect();
                cases.push(&batch, &[&rows])?;
            }
            Ok::<_, LabError>(())
        })
    }

    fn rank(
        &self,
        prior: &Prior<'_>,
        seen_items: SeenItems,
        users: &[Sample<'_>],
        job: &str,
        observer: &mut dyn Observer,
    ) -> Result<Vec<Ranking>, LabError> {
        let (prompts, cases) = (self.prompts(users)?, exact_cases(users));
        let by_id: BTreeMap<SampleId, &ExactCase<'_>> =
            cases.iter().map(|case| (case.id, case)).collect();
        let search = self.by.beam_search(&self.model);
        let found = search_guided(&search, &prompts, self.by.batching(job), observer, |prompt| {
            let (case, none) = (by_id[&prompt.id], std::iter::empty::<&[f32]>());
            blend::scores(prior, case.history, none, removed(case, seen_items))
        })?;
        let of_user = |(case, scores): (&ExactCase<'_>, ItemScores)| {
            let all = of_all_items(&scores, prior.num_items());
            let log_probs = std::iter::once(all.as_slice());
            ranked(prior, case, log_probs, seen_items, search.beam_width)
        };
        cases.par_iter().zip(found).map(of_user).collect()
    }
}
