//! What several policies recommend together, with a prior over the items, to the users of the test.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use rand::seq::SliceRandom as _;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sidereal_baselines::{
    Case, CategoryKernel, ItemTransition, Popularity, Prior, PriorFit, PriorSearch, TermForm,
    TermWeight, TransitionConfig, TransitionSearch, VectorKernel,
};
use sidereal_data::{HeldOut, ItemId, Sample, SampleId};
use sidereal_files::{hash_json, read_json, write_json, write_json_line};
use sidereal_metrics::{Metric, SeenItems};
use sidereal_policy::{AnyPolicy, ItemPolicy};
use sidereal_train::{Binding, ExactCase, Observer, Ranking, best, score_exactly};

use crate::error::LabError;
use crate::evaluation::tables::TEN;
use crate::parts::item_vectors::VectorFile;
use crate::parts::policy::{PolicyFolder, weights_file};
use crate::parts::rankings::exact_cases;
use crate::recipe::Recipe;
use crate::recipe::blend::{BlendConfig, PriorSource};
use crate::run::part::{Folder, Made, Part, PartFiles, Remarks};
use crate::seed::{Purpose, stream};
use crate::workbench::Workbench;
use crate::workbench::items::ItemTexts;

/// Share that every item has beside what transitions and popularity count, spread evenly.
const FLOOR: f32 = 0.05;
/// Principal dimensions of text vectors in which similarity is measured.
const TEXT_DIMENSIONS: usize = 128;

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

/// The rankings of a blend, by the rule for seen items: the weights are chosen for each.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Blended {
    /// With seen items among the ranked.
    pub(crate) kept: Vec<Ranking>,
    /// Without them.
    pub(crate) removed: Vec<Ranking>,
}

/// How the weights of a blend were chosen; the file `blends/NAME/weights.json` of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BlendWeights {
    /// The stages whose policies are averaged.
    pub policies: Vec<String>,
    /// Weights with seen items among the ranked.
    pub kept: PriorFit,
    /// Weights without them.
    pub removed: PriorFit,
    /// The settings of the transitions, where they are a part: of `kept`, then of `removed`; chosen on the same
    /// users.
    pub transitions: Vec<TransitionConfig>,
}

impl fmt::Display for BlendWeights {
    /// One sentence: the parts and their weights.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weights = |fit: &PriorFit| {
            let of_term = |term: &TermWeight| format!("{:.2} {}", term.weight, term.name);
            let terms: Vec<String> = fit.weights.terms.iter().map(of_term).collect();
            if terms.is_empty() { "no prior".to_owned() } else { terms.join(", ") }
        };
        let policies = self.policies.join(", ");
        let cases = self.kept.num_cases;
        let (kept, removed) = (weights(&self.kept), weights(&self.removed));
        write!(
            f,
            "the mean of the log-probabilities of {policies}; weights of the prior with seen items kept: \
             {kept}; removed: {removed}; chosen on {cases} validation users."
        )
    }
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

/// The file of a blend's rankings within the run's folder.
pub(crate) fn file(blend: &str) -> String {
    format!("blends/{blend}/rankings.json")
}

/// The file of a blend's weights within the run's folder.
fn weights(blend: &str) -> String {
    format!("blends/{blend}/weights.json")
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
            let weights = policy.folder.hash(&weights_file(policy.stage));
            inputs.insert(format!("policy {}", policy.stage), weights);
        }
        if let Some(vectors) = self.texts.vectors {
            inputs.insert("embeddings".to_owned(), vectors.hash(VectorFile::NAME));
        }
        Ok(inputs)
    }

    fn files(&self) -> PartFiles {
        PartFiles::always([file(&self.blend.name), weights(&self.blend.name)])
    }

    fn make(
        &self,
        folder: &Folder,
        _: &Binding,
        observer: &mut dyn Observer,
    ) -> Result<Remarks, LabError> {
        let opened = self.open()?;
        let policies: Vec<&ItemPolicy> = opened.iter().filter_map(AnyPolicy::as_item).collect();
        let (kept, kept_transitions) = self.ranked(&policies, SeenItems::Kept, observer)?;
        let (removed, removed_transitions) =
            self.ranked(&policies, SeenItems::Removed, observer)?;
        let files = self.read(folder)?;
        if let Some(dir) = files.rankings.parent() {
            fs::create_dir_all(dir).map_err(|source| LabError::Io { path: dir.into(), source })?;
        }
        let chosen = BlendWeights {
            policies: self.blend.policies.clone(),
            kept: kept.1,
            removed: removed.1,
            transitions: kept_transitions.into_iter().chain(removed_transitions).collect(),
        };
        write_json(&files.weights, &chosen)?;
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
                None => Err(LabError::Setting {
                    field: format!("blend.{}.policies", self.blend.name),
                    found: format!("`{stage}`, of the kind `{}`", policy.kind()),
                    needed: "policies of the kind `item`",
                }),
            }
        };
        self.policies.iter().map(open).collect()
    }

    /// The test's rankings under weights that are chosen on validation users by one rule for seen items.
    fn ranked(
        &self,
        policies: &[&ItemPolicy],
        seen_items: SeenItems,
        observer: &mut dyn Observer,
    ) -> Result<(Ranked, Option<TransitionConfig>), LabError> {
        let Self { bench, blend, .. } = self;
        let mut valid: Vec<Sample<'_>> =
            bench.split.valid.samples().filter(|sample| !sample.history.is_empty()).collect();
        valid.shuffle(&mut stream(bench.seed, Purpose::Validation, 0));
        valid.truncate(blend.valid_users);
        let (prior, selection) = self.prior(seen_items, &valid)?;
        let rule = match seen_items {
            SeenItems::Kept => "kept",
            SeenItems::Removed => "removed",
        };
        let mut search = PriorSearch::new(seen_items);
        if !blend.by_user {
            search.buckets = 1;
        }
        let mut cases = search.cases(&prior);
        let job = format!("weights of {}, seen {rule}", blend.name);
        score_exactly(policies, &exact_cases(&valid), &job, observer, |(_, batch, scores)| {
            let batch: Vec<Case<'_, SampleId>> = batch.iter().map(case).collect();
            let scores: Vec<&[f32]> = scores.iter().map(Vec::as_slice).collect();
            Ok::<_, LabError>(cases.push(&batch, &scores)?)
        })?;
        let fit = cases.fit()?;
        tracing::info!(blend = blend.name, "weights of a blend\n{fit}");
        drop(cases);
        let prior = prior.with_weights(fit.weights.clone())?;
        let rankings = self.rank(
            policies,
            &prior,
            seen_items,
            &format!("test {}, seen {rule}", blend.name),
            observer,
        )?;
        Ok(((rankings, fit), selection))
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
        let share = (policies.len() as f32).recip();
        let mut rankings: Vec<Option<Ranking>> = cases.iter().map(|_| None).collect();
        score_exactly(policies, &cases, job, observer, |(places, batch, scores)| {
            let ranked = batch
                .par_iter()
                .enumerate()
                .map(|(at, case)| {
                    let mut sums = vec![0.0; num_items];
                    prior.log_prior(case.history, &mut sums)?;
                    for scores in scores {
                        let own = &scores[at * num_items..(at + 1) * num_items];
                        sums.iter_mut().zip(own).for_each(|(sum, log)| *sum += share * log);
                    }
                    if seen_items == SeenItems::Removed {
                        for item in case.seen.iter().filter(|item| **item != case.target) {
                            sums[item.index()] = f32::NEG_INFINITY;
                        }
                    }
                    Ok(best(case, &sums, count))
                })
                .collect::<Result<Vec<_>, LabError>>()?;
            places.iter().zip(ranked).for_each(|(place, ranking)| rankings[*place] = Some(ranking));
            Ok::<_, LabError>(())
        })?;
        Ok(rankings.into_iter().flatten().collect())
    }

    /// What is known of the items besides the policies, with weights that are yet to be chosen. What the data
    /// do not have is left out, and the log says so.
    fn prior(
        &self,
        seen_items: SeenItems,
        valid: &[Sample<'_>],
    ) -> Result<(Prior<'static>, Option<TransitionConfig>), LabError> {
        let Self { bench, blend, texts, .. } = self;
        let num_items = bench.dataset.num_items();
        let events: Vec<&[ItemId]> = bench.split.train.sequences().map(|s| s.events).collect();
        let mut prior = Prior::new(num_items);
        let mut selection = None;
        let counted = TermForm::Log { floor: FLOOR };
        for source in &blend.priors {
            let name = source.name();
            match source {
                PriorSource::Transitions => {
                    let cases: Vec<Case<'_, SampleId>> =
                        valid.iter().copied().map(Case::from).collect();
                    let search = TransitionSearch::new(Metric::Ndcg(TEN), seen_items);
                    let found = search.run(num_items, &events, &cases)?;
                    let model = ItemTransition::fit(&found.best.settings, num_items, &events)?;
                    selection = Some(found.best.settings.config().clone());
                    prior = prior.with_term(name, model, counted, 0.0)?;
                }
                PriorSource::Popularity => {
                    let model = Popularity::fit(num_items, &events)?;
                    prior = prior.with_term(name, model, counted, 0.0)?;
                }
                PriorSource::Text => match texts.projected(TEXT_DIMENSIONS)? {
                    Some(vectors) => {
                        let model = VectorKernel::new(vectors.view(), blend.decay)?;
                        prior = prior.with_term(name, model, TermForm::Linear, 0.0)?;
                    }
                    None => tracing::warn!(blend = blend.name, "no `[embed]`: no prior of texts"),
                },
                PriorSource::Categories => {
                    let items = bench.dataset.items();
                    if items.iter().all(|item| item.categories.is_empty()) {
                        tracing::warn!(blend = blend.name, "no categories: no prior of them");
                    } else {
                        let model = CategoryKernel::fit(items, blend.decay)?;
                        prior = prior.with_term(name, model, TermForm::Linear, 0.0)?;
                    }
                }
            }
        }
        Ok((prior, selection))
    }
}

fn case<'s>(case: &ExactCase<'s>) -> Case<'s, SampleId> {
    Case { sample: case.id, history: case.history, seen: case.seen, target: case.target }
}
