//! What several policies recommend together, with a prior over the items, to the users of the test.

mod prior;

use std::path::PathBuf;

use rand::seq::SliceRandom as _;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sidereal_baselines::{Case, Prior, PriorFit, PriorSearch};
use sidereal_data::{HeldOut, Sample, SampleId};
use sidereal_files::{hash_json, read_json, write_json, write_json_line};
use sidereal_metrics::SeenItems;
use sidereal_policy::{AnyPolicy, ItemPolicy};
use sidereal_train::{Binding, ExactCase, Observer, Ranking, best, score_exactly};

use crate::blend::files::{file, folder, not_of_items, weights};
use crate::blend::weights::BlendWeights;
use crate::blend::{self, store};
use crate::error::LabError;
use crate::parts::item_vectors::VectorFile;
use crate::parts::policy::{PolicyFolder, weights_file};
use crate::parts::rankings::exact_cases;
use crate::recipe::Recipe;
use crate::recipe::blend::BlendConfig;
use crate::run::part::{Folder, Made, Part, PartFiles, Remarks};
use crate::seed::{Purpose, stream};
use crate::workbench::Workbench;
use crate::workbench::items::ItemTexts;

/// The rankings of a blend.
pub(crate) struct BlendedRankings<'a> {
    /// Of any tree: the data are those of all.
    pub(crate) bench: &'a Workbench<'a>,
    pub(crate) texts: ItemTexts<'a>,
    pub(crate) blend: &'a BlendConfig,
    /// The policies, each with the workbench of its tree.
    pub(crate) policies: Vec<BlendedPolicy<'a>>,
    /// Items of a ranking.
    pub(crate) count: usize,
}

/// A policy of a blend.
#[derive(Clone, Copy)]
pub(crate) struct BlendedPolicy<'a> {
    pub(crate) stage: &'a str,
    pub(crate) bench: &'a Workbench<'a>,
    pub(crate) folder: &'a Made<PolicyFolder>,
}

impl BlendedPolicy<'_> {
    /// The hash of its weights.
    fn hash(&self) -> Result<String, LabError> {
        self.folder.hash(&weights_file(self.stage))
    }
}

/// The rankings of a blend, by the rule for seen items: the weights are chosen for each.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Blended {
    /// With seen items among the ranked.
    pub(crate) kept: Vec<Ranking>,
    /// Without them.
    pub(crate) removed: Vec<Ranking>,
}

/// The files of a blend, which are read when they are needed.
#[derive(Debug, Clone)]
pub(crate) struct BlendFiles {
    rankings: PathBuf,
    weights: PathBuf,
}

impl BlendFiles {
    pub(crate) fn load(&self) -> Result<Blended, LabError> {
        Ok(read_json(&self.rankings)?)
    }

    pub(crate) fn weights(&self) -> Result<BlendWeights, LabError> {
        Ok(read_json(&self.weights)?)
    }
}

/// The name of the part of a blend.
pub(crate) fn name(blend: &str) -> String {
    format!("blend {blend}")
}

impl Part for BlendedRankings<'_> {
    type Output = BlendFiles;

    fn name(&self) -> String {
        name(&self.blend.name)
    }

    fn settings(&self) -> Option<Recipe> {
        let blend = BlendConfig { label: None, ..self.blend.clone() };
        Some(Recipe { seed: self.bench.seed, blends: vec![blend], ..Recipe::blank() })
    }

    fn inputs(&self) -> Result<Binding, LabError> {
        let mut inputs = self.bench.inputs()?;
        inputs.insert("count".to_owned(), hash_json(&self.count)?);
        for policy in &self.policies {
            inputs.insert(format!("policy {}", policy.stage), policy.hash()?);
        }
        if let Some(vectors) = self.texts.vectors {
            inputs.insert("embeddings".to_owned(), vectors.hash(VectorFile::NAME)?);
        }
        Ok(inputs)
    }

    fn files(&self) -> PartFiles {
        let name = &self.blend.name;
        let of_prior = store::FILES.map(|file| format!("{}/{file}", folder(name)));
        PartFiles::always([file(name), weights(name)].into_iter().chain(of_prior))
    }

    fn make(
        &self,
        folder: &Folder,
        _: &Binding,
        observer: &mut dyn Observer,
    ) -> Result<Remarks, LabError> {
        let opened = self.open()?;
        let policies: Vec<&ItemPolicy> = opened.iter().filter_map(AnyPolicy::as_item).collect();
        let valid = self.valid();
        let (known, transitions) = prior::fit(self, &valid)?;
        let items = self.bench.dataset.items();
        let mut ranked = |rule| {
            let prior = known.prior(items, rule)?;
            self.ranked(&policies, prior, &valid, rule, observer)
        };
        let (kept, removed) = (ranked(SeenItems::Kept)?, ranked(SeenItems::Removed)?);
        let files = self.read(folder)?;
        let dir = folder.within(&self::folder(&self.blend.name))?;
        let stages = self.policies.iter().map(|policy| policy.stage.to_owned());
        let chosen = BlendWeights {
            policies: stages.clone().collect(),
            kept: kept.1,
            removed: removed.1,
            transitions,
        };
        write_json(&files.weights, &chosen)?;
        let hashed = stages.zip(&self.policies).map(|(stage, policy)| Ok((stage, policy.hash()?)));
        known.save(dir.dir(), &hashed.collect::<Result<_, LabError>>()?)?;
        write_json_line(&files.rankings, &Blended { kept: kept.0, removed: removed.0 })?;
        Ok(Remarks::default())
    }

    fn read(&self, folder: &Folder) -> Result<BlendFiles, LabError> {
        let name = &self.blend.name;
        let (rankings, weights) = (folder.path(&file(name)), folder.path(&weights(name)));
        Ok(BlendFiles { rankings, weights })
    }
}

/// The rankings of all users and the weights that made them.
type Ranked = (Vec<Ranking>, PriorFit);

impl BlendedRankings<'_> {
    /// The policies, all of which read items.
    fn open(&self) -> Result<Vec<AnyPolicy>, LabError> {
        let open = |policy: &BlendedPolicy<'_>| {
            let BlendedPolicy { stage, bench, folder } = policy;
            let kind = tch::Kind::Float;
            let policy = folder.value.open(bench.device, kind, &bench.made_for)?;
            match policy.as_item() {
                Some(_) => Ok(policy),
                None => Err(not_of_items(&self.blend.name, stage)),
            }
        };
        self.policies.iter().map(open).collect()
    }

    /// The validation users on whom the weights are chosen.
    fn valid(&self) -> Vec<Sample<'_>> {
        let Self { bench, blend, .. } = self;
        let mut valid: Vec<Sample<'_>> =
            bench.split.valid.samples().filter(|sample| !sample.history.is_empty()).collect();
        valid.shuffle(&mut stream(bench.seed, Purpose::Validation, 0));
        valid.truncate(blend.valid_users);
        valid
    }

    /// The test's rankings under weights that are chosen on validation users by one rule for seen items.
    fn ranked(
        &self,
        policies: &[&ItemPolicy],
        prior: Prior<'_>,
        valid: &[Sample<'_>],
        seen_items: SeenItems,
        observer: &mut dyn Observer,
    ) -> Result<Ranked, LabError> {
        let blend = self.blend;
        let rule = match seen_items {
            SeenItems::Kept => "kept",
            SeenItems::Removed => "removed",
        };
        let mut search = PriorSearch::new(seen_items);
        search.metric = blend.choose_by.metric();
        search.by_history.clone_from(&blend.by_history);
        search.min_group_cases = blend.group_users;
        if !blend.by_user {
            search.buckets = 1;
        }
        let job = format!("weights of {}, seen {rule}", blend.name);
        let valid = exact_cases(valid);
        let fit = search.run(&prior, |cases| {
            score_exactly(policies, &valid, &job, observer, |(_, batch, scores)| {
                let batch: Vec<Case<'_, SampleId>> = batch.iter().map(case).collect();
                let scores: Vec<&[f32]> = scores.iter().map(Vec::as_slice).collect();
                Ok::<_, LabError>(cases.push(&batch, &scores)?)
            })
        })?;
        tracing::info!(blend = blend.name, "weights of a blend\n{fit}");
        let prior = prior.with_weights(fit.weights.clone())?;
        let rankings = self.rank(
            policies,
            &prior,
            seen_items,
            &format!("test {}, seen {rule}", blend.name),
            observer,
        )?;
        Ok((rankings, fit))
    }

    /// The rankings of the test's users.
    fn rank(
        &self,
        policies: &[&ItemPolicy],
        prior: &Prior<'_>,
        seen_items: SeenItems,
        job: &str,
        observer: &mut dyn Observer,
    ) -> Result<Vec<Ranking>, LabError> {
        let samples: Vec<Sample<'_>> = self.bench.split.test.samples().collect();
        let cases = exact_cases(&samples);
        let (num_items, count) = (prior.num_items(), self.count);
        let mut rankings: Vec<Option<Ranking>> = cases.iter().map(|_| None).collect();
        score_exactly(policies, &cases, job, observer, |(places, batch, scores)| {
            let ranked = batch
                .par_iter()
                .enumerate()
                .map(|(at, case)| {
                    let row = at * num_items..(at + 1) * num_items;
                    let log_probs = scores.iter().map(|scores| &scores[row.clone()]);
                    let removed = match seen_items {
                        SeenItems::Kept => &[],
                        SeenItems::Removed => case.seen,
                    };
                    let removed = removed.iter().copied().filter(|item| *item != case.target);
                    let sums = blend::scores(prior, case.history, log_probs, removed)?;
                    Ok(best(case, &sums, count))
                })
                .collect::<Result<Vec<_>, LabError>>()?;
            places.iter().zip(ranked).for_each(|(place, ranking)| rankings[*place] = Some(ranking));
            Ok::<_, LabError>(())
        })?;
        Ok(rankings.into_iter().flatten().collect())
    }
}

fn case<'s>(case: &ExactCase<'s>) -> Case<'s, SampleId> {
    Case { sample: case.id, history: case.history, seen: case.seen, target: case.target }
}
