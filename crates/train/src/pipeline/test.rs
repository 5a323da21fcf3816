//! The test of all systems side by side.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use sidereal_baselines::{Case, ItemTransition, Popularity, TransitionSearch, evaluate};
use sidereal_corpus::{HeldOut, ItemId, Sample, SampleId, Tasks};
use sidereal_metrics::{
    Bootstrap, BootstrapConfig, Candidates, Level, Metric, Protocol, RankingRun, Report, Row,
    ScoreKind, SeenItems, Split,
};
use sidereal_policy::{BeamSearch, Scoring};

use super::run::{Run, hash_of, write_atomic};
use super::training::prompts_of;
use super::{Context, Pipeline, Reference, SplitConfig};
use crate::TrainError;
use crate::encode::Encoder;
use crate::evaluate::{Ranking, placements, rank};
use crate::observe::Observer;

/// Cut-offs of the tables.
const FIVE: NonZeroUsize = NonZeroUsize::new(5).unwrap();
const TEN: NonZeroUsize = NonZeroUsize::new(10).unwrap();
/// Metrics of the tables.
const METRICS: [Metric; 4] =
    [Metric::HitRate(FIVE), Metric::HitRate(TEN), Metric::Ndcg(TEN), Metric::Mrr(TEN)];
/// The heuristic that every stage is compared with.
const TRANSITIONS: &str = "item transitions";

/// Rows of the report, and the runs behind them for paired tests.
struct Tables {
    report: Report,
    bootstrap: Bootstrap,
    split: Split,
    num_users: usize,
    /// With seen items kept, by system.
    kept: BTreeMap<String, RankingRun<SampleId>>,
}

/// What was measured, and how.
#[derive(Clone, Copy)]
struct Measured<'a> {
    system: &'a str,
    seen_items: SeenItems,
    level: Level,
    beam_width: Option<NonZeroUsize>,
    score: ScoreKind,
}

impl Tables {
    fn push(&mut self, how: Measured<'_>, run: RankingRun<SampleId>) -> Result<(), TrainError> {
        self.report.push(Row {
            system: how.system.to_owned(),
            protocol: Protocol {
                split: self.split.clone(),
                candidates: Candidates::All,
                seen_items: how.seen_items,
                level: how.level,
                score: how.score,
                beam_width: how.beam_width,
                num_users: self.num_users,
            },
            values: run.evaluate(&METRICS, &self.bootstrap)?,
        })?;
        if how.seen_items == SeenItems::Kept && how.level == Level::Item {
            self.kept.insert(how.system.to_owned(), run);
        }
        Ok(())
    }

    fn compare(&mut self, system: &str, against: &str) -> Result<(), TrainError> {
        let (Some(run), Some(other)) = (self.kept.get(system), self.kept.get(against)) else {
            return Ok(());
        };
        for metric in [Metric::HitRate(TEN), Metric::Ndcg(TEN)] {
            let test = run.compare(other, metric, &self.bootstrap)?;
            self.report.push_comparison(system, against, metric, test);
        }
        Ok(())
    }
}

impl Pipeline<'_> {
    /// Test of every system, into `evaluation.json` and `rankings/`.
    pub(super) fn test(
        &self,
        run: &mut Run,
        context: &Context<'_>,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let mut inputs = context.binding.clone();
        for stage in &self.recipe.stages {
            let file = format!("{}/model.safetensors", stage.name);
            inputs.insert(stage.name.clone(), run.output_hash(&stage.name, &file));
        }
        inputs.insert("settings".to_owned(), hash_of(&self.recipe.evaluate)?);
        let names: Vec<&str> = self.references.iter().map(|reference| reference.name).collect();
        inputs.insert("references".to_owned(), hash_of(&names)?);
        let rankings: Vec<String> =
            self.recipe.stages.iter().map(|stage| rankings_file(&stage.name)).collect();
        let mut outputs = vec!["evaluation.json"];
        outputs.extend(rankings.iter().map(String::as_str));
        run.stage("test", inputs, &outputs, |run| {
            let resamples = self.recipe.evaluate.resamples;
            let bootstrap = BootstrapConfig::new(self.recipe.seed).with_resamples(resamples);
            let mut tables = Tables {
                report: Report::default(),
                bootstrap: Bootstrap::try_from(bootstrap)?,
                split: match self.recipe.split {
                    SplitConfig::LeaveOneOut => Split::LeaveOneOutTest,
                    SplitConfig::GlobalTime => Split::GlobalTimeTest,
                },
                num_users: context.split.test.num_samples(),
                kept: BTreeMap::new(),
            };
            self.test_recommenders(context, &mut tables)?;
            self.test_policies(run, context, &mut tables, observer)?;
            for (system, against) in self.comparisons() {
                tables.compare(system, against)?;
            }
            let path = run.path("evaluation.json");
            let text = serde_json::to_vec_pretty(&tables.report)
                .map_err(|source| TrainError::Json { path: path.clone(), source })?;
            write_atomic(&path, &text)
        })
    }

    /// Labels of the systems that are compared: each stage with the one that it starts from, with
    /// item transitions and with those that the recipe names.
    fn comparisons(&self) -> Vec<(&str, &str)> {
        let mut pairs = Vec::new();
        for stage in &self.recipe.stages {
            let parent = self.recipe.stages.iter().find(|s| Some(&s.name) == stage.from.as_ref());
            let named = self.recipe.evaluate.compare_with.iter().map(String::as_str);
            for against in
                parent.map(|s| s.label.as_str()).into_iter().chain([TRANSITIONS]).chain(named)
            {
                let pair = (stage.label.as_str(), against);
                if against != stage.label && !pairs.contains(&pair) {
                    pairs.push(pair);
                }
            }
        }
        pairs
    }

    /// Popularity, item transitions and the caller's references.
    fn test_recommenders(
        &self,
        context: &Context<'_>,
        tables: &mut Tables,
    ) -> Result<(), TrainError> {
        let sequences: Vec<&[ItemId]> = context.split.train.sequences().map(|s| s.events).collect();
        let popularity = Popularity::fit(self.dataset.num_items(), &sequences)?;
        let transitions = self.transitions(context, &sequences)?;
        let baselines = [
            Reference { name: "popularity", recommender: &popularity },
            Reference { name: TRANSITIONS, recommender: &transitions },
        ];
        let cases: Vec<Case<'_, SampleId>> = context.split.test.samples().map(Case::from).collect();
        for reference in baselines.iter().chain(self.references) {
            for seen_items in [SeenItems::Kept, SeenItems::Removed] {
                let run = evaluate(reference.recommender, &cases, seen_items)?;
                let how = Measured {
                    system: reference.name,
                    seen_items,
                    level: Level::Item,
                    beam_width: None,
                    score: ScoreKind::PerItem,
                };
                tables.push(how, run)?;
            }
        }
        Ok(())
    }

    /// The policy of each training stage, by constrained beam search.
    fn test_policies(
        &self,
        run: &Run,
        context: &Context<'_>,
        tables: &mut Tables,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let tasks = Tasks::new(self.dataset, &context.catalog, context.prompts)?;
        let encoder = Encoder::new(&context.tokenizer, &context.catalog);
        let samples: Vec<Sample<'_>> = context.split.test.samples().collect();
        let prompts = prompts_of(&tasks, &encoder, &samples)?;
        let seen: BTreeMap<SampleId, &[ItemId]> =
            samples.iter().map(|sample| (sample.id, sample.seen)).collect();
        let seen = |id: SampleId| seen.get(&id).copied().unwrap_or_default();
        for stage in &self.recipe.stages {
            let scoring = stage.training.scoring();
            let model = self.open(&run.path(&stage.name), context)?;
            let beam_width = self.recipe.evaluate.beam_width;
            let search =
                BeamSearch { model: &model, constraint: &context.constraint, beam_width, scoring };
            let (pad, size) = (context.tokenizer.pad(), self.recipe.evaluate.batch_size);
            let job = format!("test {}", stage.name);
            let rankings = rank(&search, &prompts, pad, size, &job, observer)?;
            save_rankings(&run.path(&rankings_file(&stage.name)), &rankings)?;
            let how = |seen_items, level| Measured {
                system: &stage.label,
                seen_items,
                level,
                beam_width: NonZeroUsize::new(beam_width),
                score: match scoring {
                    Scoring::Renormalised => ScoreKind::Renormalised,
                    _ => ScoreKind::Full,
                },
            };
            for rule in [SeenItems::Kept, SeenItems::Removed] {
                tables.push(how(rule, Level::Item), placements(&rankings, rule, seen)?)?;
            }
            let by_sid = rankings.iter().map(|r| (r.id, r.sid_placement())).collect();
            tables.push(how(SeenItems::Kept, Level::Sid), by_sid)?;
        }
        Ok(())
    }

    /// Item transitions with settings chosen on the validation set.
    fn transitions(
        &self,
        context: &Context<'_>,
        sequences: &[&[ItemId]],
    ) -> Result<ItemTransition, TrainError> {
        let cases: Vec<Case<'_, SampleId>> =
            context.split.valid.samples().map(Case::from).collect();
        let search = TransitionSearch::new(Metric::Ndcg(TEN), SeenItems::Kept);
        let selection = search.run(self.dataset.num_items(), sequences, &cases)?;
        tracing::info!(settings = ?selection.best.settings.config(), "item transitions");
        let settings = &selection.best.settings;
        Ok(ItemTransition::fit(settings, self.dataset.num_items(), sequences)?)
    }
}

fn rankings_file(stage: &str) -> String {
    format!("rankings/{stage}.json")
}

fn save_rankings(path: &Path, rankings: &[Ranking]) -> Result<(), TrainError> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(|source| TrainError::Io { path: dir.into(), source })?;
    }
    let text = serde_json::to_vec(rankings)
        .map_err(|source| TrainError::Json { path: path.to_owned(), source })?;
    write_atomic(path, &text)
}
