//! Policies that give the probability of every item, averaged.

use rayon::prelude::*;
use sidereal_baselines::{Case, Prior, PriorFit, PriorSearch};
use sidereal_data::{Sample, SampleId};
use sidereal_metrics::SeenItems;
use sidereal_policy::{AnyPolicy, ItemPolicy};
use sidereal_train::{Observer, Ranking, score_exactly};

use super::asked::{AskedPolicies, case, ranked};
use crate::blend::files::not_of_items;
use crate::error::LabError;
use crate::parts::answers::Respondent;
use crate::parts::rankings::exact_cases;
use crate::recipe::blend::BlendConfig;

/// Policies that read items, of trees over the same items.
pub(super) struct Exact {
    policies: Vec<ItemPolicy>,
    /// Items of a ranking.
    count: usize,
}

impl Exact {
    pub(super) fn open(
        blend: &BlendConfig,
        policies: &[Respondent<'_>],
        count: usize,
    ) -> Result<Self, LabError> {
        let open = |policy: &Respondent<'_>| {
            let Respondent { stage, bench, policy, .. } = policy;
            match policy.value.open(bench.device, tch::Kind::Float, &bench.made_for)? {
                AnyPolicy::Item(policy) => Ok(*policy),
                _ => Err(not_of_items(&blend.name, &stage.name)),
            }
        };
        Ok(Self { policies: policies.iter().map(open).collect::<Result<_, _>>()?, count })
    }

    fn policies(&self) -> Vec<&ItemPolicy> {
        self.policies.iter().collect()
    }
}

impl AskedPolicies for Exact {
    fn fit(
        &self,
        search: &PriorSearch,
        prior: &Prior<'static>,
        valid: &[Sample<'_>],
        job: &str,
        observer: &mut dyn Observer,
    ) -> Result<PriorFit, LabError> {
        let valid = exact_cases(valid);
        search.run(prior, |cases| {
            score_exactly(&self.policies(), &valid, job, observer, |(_, batch, scores)| {
                let batch: Vec<Case<'_, SampleId>> = batch.iter().map(case).collect();
                let scores: Vec<&[f32]> = scores.iter().map(Vec::as_slice).collect();
                Ok::<_, LabError>(cases.push(&batch, &scores)?)
            })
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
        let cases = exact_cases(users);
        let (num_items, count) = (prior.num_items(), self.count);
        let mut rankings: Vec<Option<Ranking>> = cases.iter().map(|_| None).collect();
        let policies = self.policies();
        score_exactly(&policies, &cases, job, observer, |(places, batch, scores)| {
            let of_batch = batch
                .par_iter()
                .enumerate()
                .map(|(at, case)| {
                    let row = at * num_items..(at + 1) * num_items;
                    let log_probs = scores.iter().map(|scores| &scores[row.clone()]);
                    ranked(prior, case, log_probs, seen_items, count)
                })
                .collect::<Result<Vec<_>, LabError>>()?;
            let of_batch = places.iter().zip(of_batch);
            of_batch.for_each(|(place, ranking)| rankings[*place] = Some(ranking));
            Ok::<_, LabError>(())
        })?;
        Ok(rankings.into_iter().flatten().collect())
    }
}
