//! The test of all systems side by side.

mod buckets;
mod decode;
mod domains;
mod lists;
mod pool;
mod tables;
mod thoughts;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use sidereal_baselines::{
    Case, ItemTransition, Popularity, Recommender, Transition, TransitionConfig, TransitionSearch,
    evaluate,
};
use sidereal_data::{HeldOut, ItemId, Sample, SampleId, Split as DataSplit};
use sidereal_metrics::{
    Bootstrap, BootstrapConfig, Candidates, EvaluationSplit, Level, Metric, Note, Report,
    ScoreKind, SeenItems,
};
use sidereal_policy::Scoring;

pub use self::buckets::BucketRow;
pub use self::domains::DomainReport;
pub use self::thoughts::{EvaluateReasoning, ThoughtResult};

use self::buckets::Buckets;
pub(crate) use self::decode::check_scores;
pub(crate) use self::domains::in_domain_part;
use self::domains::{in_domain, in_domain_file};
use self::lists::Lists;
use self::pool::pooled;
use self::tables::{Measured, Tables};
pub(crate) use self::thoughts::thinking;
use crate::LabError;
use crate::pipeline::Context;
use crate::recipe::pool::is_over_pool;
use crate::run::{Run, SETTINGS, returned_their_start};
use crate::{Pipeline, Reference, SplitConfig, Stage};
use sidereal_files::{hash_json, read_json, write_json};
use sidereal_train::Observer;
use sidereal_train::{Ranking, placements};

/// Cut-offs of the tables.
const FIVE: NonZeroUsize = NonZeroUsize::new(5).unwrap();
const TEN: NonZeroUsize = NonZeroUsize::new(10).unwrap();
const ONE: NonZeroUsize = NonZeroUsize::MIN;
/// Metrics of the tables; the first one over pools alone.
const METRICS: [Metric; 5] = [
    Metric::HitRate(ONE),
    Metric::HitRate(FIVE),
    Metric::HitRate(TEN),
    Metric::Ndcg(TEN),
    Metric::Mrr(TEN),
];
/// What everybody is offered.
const POPULARITY: &str = "popularity";
/// The mark of a stage that returned the policy that it started from.
pub(crate) const AT_START: &str = "= its start";
/// What the mark means.
pub(crate) const WHY_AT_START: &str = "no step of the training was better on validation than the policy \
     that it started from, so the stage returned that policy.";
/// The heuristic that every stage is compared with.
const TRANSITIONS: &str = "item transitions";

impl Pipeline<'_> {
    /// Test of every system: what the policies answer, into `rankings/` and `thoughts/`, and the tables
    /// made of it, into `evaluation.json` and `buckets.json`.
    pub(crate) fn test(
        &self,
        run: &mut Run,
        context: &Context<'_>,
        observer: &mut dyn Observer,
    ) -> Result<(), LabError> {
        self.decode(run, context, observer)?;
        let mut inputs = context.binding.clone();
        inputs.extend(self.recipe.stages.iter().map(|stage| {
            (
                stage.name.clone(),
                run.output_hash(&rankings_part(stage), &rankings_file(&stage.name)),
            )
        }));
        inputs.extend(self.thinking_stages().map(|stage| {
            let part = thoughts_part(stage);
            let hash = run.output_hash(&part, &thoughts_file(stage));
            (part, hash)
        }));
        let stages = self.stages_over_all().filter(|_| self.dataset.domains().is_some());
        inputs.extend(stages.map(|stage| {
            let part = in_domain_part(stage);
            let hash = run.output_hash(&part, &in_domain_file(stage));
            (part, hash)
        }));
        inputs.insert(SETTINGS.to_owned(), run.settings("test", &self.recipe.for_tables())?);
        self.bind_pool(&mut inputs)?;
        let references = self.references.iter().map(|reference| {
            Ok((reference.name, fingerprint(reference.recommender, &context.split)?))
        });
        let references = references.collect::<Result<Vec<_>, LabError>>()?;
        inputs.insert("references".to_owned(), hash_json(&references)?);
        let at_start = returned_their_start(&run.path(""), &self.recipe.stages)?;
        if !at_start.is_empty() {
            inputs.insert("returned their start".to_owned(), hash_json(&at_start)?);
        }
        let mut outputs = vec!["evaluation.json", "buckets.json"];
        outputs.extend(self.dataset.domains().map(|_| DOMAINS));
        run.stage("test", inputs, &outputs, |run| {
            let resamples = self.recipe.evaluate.resamples;
            let bootstrap = BootstrapConfig::new(self.recipe.seed).with_resamples(resamples);
            let mut tables = Tables {
                report: Report::default(),
                bootstrap: Bootstrap::try_from(bootstrap)?,
                split: match self.recipe.split {
                    SplitConfig::LeaveOneOut => EvaluationSplit::LeaveOneOutTest,
                    SplitConfig::GlobalTime => EvaluationSplit::GlobalTimeTest,
                    SplitConfig::Published => EvaluationSplit::Given("published".to_owned()),
                },
                kept: BTreeMap::new(),
            };
            let num_items = self.dataset.num_items();
            let popularity =
                self.fitted(context, |split| Ok(Popularity::fit(num_items, &events_of(split))?))?;
            let transitions = self.fitted(context, |split| self.transitions(split))?;
            let mut recommenders = vec![
                Reference { name: POPULARITY, recommender: &*popularity },
                Reference { name: TRANSITIONS, recommender: &*transitions },
            ];
            recommenders.extend(self.references);
            let mut buckets = Vec::new();
            if self.stages_over_all().next().is_some() {
                test_recommenders(&recommenders, context, &mut tables)?;
                buckets = self.test_policies(run, context, &mut tables)?;
            }
            self.test_in_pools(run, context, &recommenders, &mut tables)?;
            self.compare(&mut tables)?;
            self.note_starts(&at_start, &mut tables);
            if self.dataset.domains().is_some() {
                write_json(&run.path(DOMAINS), &self.by_domain(run, &tables, &at_start)?)?;
            }
            write_json(&run.path("buckets.json"), &buckets)?;
            Ok(write_json(&run.path("evaluation.json"), &tables.report)?)
        })
    }

    /// The paired tests of the systems that are compared.
    fn compare(&self, tables: &mut Tables) -> Result<(), LabError> {
        for (system, against) in self.comparisons() {
            tables.compare(&system, &against)?;
            tables.compare(&thinking(&system), &thinking(&against))?;
            tables.compare(&in_domain(&system), &in_domain(&against))?;
        }
        Ok(())
    }

    /// Marks the rows of stages that returned their start.
    fn note_starts(&self, names: &BTreeSet<String>, tables: &mut Tables) {
        for stage in self.recipe.stages.iter().filter(|stage| names.contains(&stage.name)) {
            let label = &stage.label;
            for system in [label.clone(), thinking(label), in_domain(label)] {
                if tables.report.rows().iter().any(|row| row.system == system) {
                    let (mark, text) = (AT_START.to_owned(), WHY_AT_START.to_owned());
                    tables.report.push_note(Note { system, mark, text });
                }
            }
        }
    }

    /// Accepts systems to compare with that there are.
    pub(crate) fn check_compared(&self) -> Result<(), LabError> {
        let known: Vec<&str> = [POPULARITY, TRANSITIONS]
            .into_iter()
            .chain(self.references.iter().map(|reference| reference.name))
            .chain(self.recipe.stages.iter().map(|stage| stage.label.as_str()))
            .collect();
        let named = &self.recipe.evaluate.compare_with;
        match named.iter().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(LabError::Setting {
                field: "evaluate.compare_with".to_owned(),
                found: format!("`{name}`"),
                needed: "labels of stages or names of recommenders",
            }),
            None => Ok(()),
        }
    }

    /// Stages that are tested as they think.
    fn thinking_stages(&self) -> impl Iterator<Item = &Stage> {
        self.recipe.stages.iter().filter(|stage| self.recipe.is_tested_thinking(stage))
    }

    /// Stages that answer by any item of the catalogue.
    fn stages_over_all(&self) -> impl Iterator<Item = &Stage> {
        self.recipe.stages.iter().filter(|stage| !is_over_pool(stage.task))
    }

    /// Labels of the systems that are compared: each stage with the one that it starts from, with
    /// item transitions and with those that the recipe names. A stage that answers out of pools meets
    /// recommenders as they rank the pools.
    fn comparisons(&self) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        let stages = &self.recipe.stages;
        for stage in stages {
            let parent = stages.iter().find(|s| Some(&s.name) == stage.from.as_ref());
            let named = self.recipe.evaluate.compare_with.iter().map(String::as_str);
            for against in
                parent.map(|s| s.label.as_str()).into_iter().chain([TRANSITIONS]).chain(named)
            {
                let is_stage = stages.iter().any(|other| other.label == against);
                let in_pool = is_over_pool(stage.task) && !is_stage;
                let against = if in_pool { pooled(against) } else { against.to_owned() };
                let pair = (stage.label.clone(), against);
                if pair.0 != pair.1 && !pairs.contains(&pair) {
                    pairs.push(pair);
                }
            }
        }
        pairs
    }

    /// The rankings of each training stage.
    fn test_policies(
        &self,
        run: &Run,
        context: &Context<'_>,
        tables: &mut Tables,
    ) -> Result<Vec<BucketRow>, LabError> {
        let samples: Vec<Sample<'_>> = context.split.test.samples().collect();
        let seen: BTreeMap<SampleId, &[ItemId]> =
            samples.iter().map(|sample| (sample.id, sample.seen)).collect();
        let seen = |id: SampleId| seen.get(&id).copied().unwrap_or_default();
        let lists = Lists::new(self.dataset, &context.split.train, self.recipe.seed)?;
        let buckets = Buckets::new(&samples, &context.split.train, &context.catalog);
        let mut by_bucket = Vec::new();
        for stage in self.stages_over_all() {
            let rankings = read_rankings(run, stage, &rankings_file(&stage.name))?;
            let how = |seen_items, level| Measured {
                system: &stage.label,
                candidates: Candidates::All,
                seen_items,
                level,
                beam_width: NonZeroUsize::new(self.recipe.evaluate.beam_width),
                chains: None,
                score: score_kind(stage.training.scoring()),
            };
            let kept = placements(&rankings, SeenItems::Kept, seen)?;
            let in_buckets = [Metric::HitRate(TEN), Metric::Ndcg(TEN)];
            by_bucket.extend(buckets.rows(&stage.label, &kept, &in_buckets, &tables.bootstrap)?);
            let more = lists.values(&rankings, TEN, &tables.bootstrap)?;
            tables.push(how(SeenItems::Kept, Level::Item), kept, more)?;
            if self.recipe.is_tested_thinking(stage) {
                let results: Vec<ThoughtResult> = read_json(&run.path(&thoughts_file(stage)))?;
                check_scores(stage, results.iter().map(|result| &result.ranking))?;
                let kept = placements(&rankings, SeenItems::Kept, seen)?;
                self.test_thoughts(stage, &results, &kept, tables)?;
            }
            let removed = placements(&rankings, SeenItems::Removed, seen)?;
            tables.push(how(SeenItems::Removed, Level::Item), removed, Vec::new())?;
            let by_sid = rankings.iter().map(|r| (r.id, r.sid_placement())).collect();
            tables.push(how(SeenItems::Kept, Level::Sid), by_sid, Vec::new())?;
        }
        Ok(by_bucket)
    }

    /// Item transitions with settings chosen on the validation set; the usual ones without one.
    fn transitions(&self, split: &DataSplit) -> Result<ItemTransition, LabError> {
        let (num_items, sequences) = (self.dataset.num_items(), events_of(split));
        let cases: Vec<Case<'_, SampleId>> = split.valid.samples().map(Case::from).collect();
        if cases.is_empty() {
            let settings = Transition::try_from(TransitionConfig::default())?;
            return Ok(ItemTransition::fit(&settings, num_items, &sequences)?);
        }
        let search = TransitionSearch::new(Metric::Ndcg(TEN), SeenItems::Kept);
        let selection = search.run(num_items, &sequences, &cases)?;
        tracing::info!(settings = ?selection.best.settings.config(), "item transitions");
        let settings = &selection.best.settings;
        Ok(ItemTransition::fit(settings, num_items, &sequences)?)
    }
}

/// Every user's training events.
fn events_of(split: &DataSplit) -> Vec<&[ItemId]> {
    split.train.sequences().map(|sequence| sequence.events).collect()
}

/// The rankings of a stage in a file of the run. Those of earlier versions were not checked when they were
/// written.
fn read_rankings(run: &Run, stage: &Stage, file: &str) -> Result<Vec<Ranking>, LabError> {
    let rankings = read_json(&run.path(file))?;
    check_scores(stage, &rankings)?;
    Ok(rankings)
}

/// Popularity, item transitions and the caller's references over all items.
fn test_recommenders(
    recommenders: &[Reference<'_>],
    context: &Context<'_>,
    tables: &mut Tables,
) -> Result<(), LabError> {
    let cases: Vec<Case<'_, SampleId>> = context.split.test.samples().map(Case::from).collect();
    for reference in recommenders {
        for seen_items in [SeenItems::Kept, SeenItems::Removed] {
            let run = evaluate(reference.recommender, &cases, seen_items)?;
            let how = Measured {
                system: reference.name,
                candidates: Candidates::All,
                seen_items,
                level: Level::Item,
                beam_width: None,
                chains: None,
                score: ScoreKind::PerItem,
            };
            tables.push(how, run, Vec::new())?;
        }
    }
    Ok(())
}

/// Test users, at most, by whose scores a recommender is told from another.
const ASKED_USERS: usize = 1000;

/// A hash of the scores that a recommender gives some users of the test, all where there are no more than
/// [`ASKED_USERS`], else so many at equal distances.
fn fingerprint(recommender: &dyn Recommender, split: &DataSplit) -> Result<String, LabError> {
    let samples: Vec<Sample<'_>> = split.test.samples().collect();
    let mut scores = vec![0.0; recommender.num_items()];
    let mut hasher = blake3::Hasher::new();
    for sample in samples.iter().step_by(samples.len().div_ceil(ASKED_USERS).max(1)) {
        recommender.score(sample.history, &mut scores)?;
        for score in &scores {
            hasher.update(&score.to_le_bytes());
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// The tables by domain.
pub(crate) const DOMAINS: &str = "domains.json";

/// Where a stage's rankings are within a run's folder.
pub(crate) fn rankings_file(stage: &str) -> String {
    format!("rankings/{stage}.json")
}

/// The part of the manifest that they are.
pub(crate) fn rankings_part(stage: &Stage) -> String {
    format!("rankings of {}", stage.name)
}

/// Where what a stage found by thinking is within a run's folder.
pub(crate) fn thoughts_file(stage: &Stage) -> String {
    format!("thoughts/{}.json", stage.name)
}

/// The part of the manifest that it is.
pub(crate) fn thoughts_part(stage: &Stage) -> String {
    format!("thoughts of {}", stage.name)
}

/// A scoring as a protocol names it.
const fn score_kind(scoring: Scoring) -> ScoreKind {
    match scoring {
        Scoring::Renormalised => ScoreKind::Renormalised,
        _ => ScoreKind::Full,
    }
}
