//! The test of all systems side by side: tables that are made from their answers.

pub(crate) mod buckets;
mod catalogue;
pub(crate) mod changed;
pub(crate) mod columns;
pub(crate) mod descriptions;
mod domains;
pub(crate) mod exercises;
pub(crate) mod labels;
mod lists;
mod pool;
mod reasoning;
pub(crate) mod recommenders;
pub(crate) mod seen;
pub(crate) mod stage_answers;
pub(crate) mod systems;
mod tables;
pub(crate) mod targets;

use std::collections::{BTreeMap, BTreeSet};

use sidereal_files::{hash_json, read_json, write_json};
use sidereal_metrics::{Bootstrap, BootstrapConfig, EvaluationSplit, Report};
use sidereal_train::{Binding, Observer};

pub use self::buckets::BucketRow;
pub use self::changed::{ChangedAnswers, ChangedCase};
pub use self::descriptions::DescriptionRow;
pub use self::domains::DomainReport;
pub use self::exercises::ExerciseRow;
pub use self::labels::LabelRow;
pub use self::targets::{TargetsRow, TargetsValue};

use self::columns::Columns;
use self::domains::AmongDomains;
use self::recommenders::{Baseline, fingerprint};
use self::seen::SeenOfUsers;
use self::stage_answers::{BlendAnswers, StageAnswers};
use self::systems::{POPULARITY, TRANSITIONS, compare, compare_blends, note_starts};
use self::tables::Tables;
use crate::blend::files as blend_files;
use crate::error::LabError;
use crate::parts::descriptions::Descriptions;
use crate::parts::exercises::Exercises;
use crate::parts::labels::Labels;
use crate::parts::{
    blended_rankings as blended, domain_rankings, question_rankings, rankings, reasoning as found,
    stage_test,
};
use crate::pool_task::is_over_pool;
use crate::recipe::Recipe;
use crate::recipe::evaluate::EvaluateConfig;
use crate::recipe::pool::CandidatePools;
use crate::recipe::stage::Stage;
use crate::run::part::{Folder, Part, PartFiles, Remarks};
use crate::split::SplitConfig;
use crate::tested_users::TestedUsers;
use crate::workbench::Workbench;

/// The name of the part.
pub(crate) const NAME: &str = "test";

pub(crate) const REPORT: &str = "evaluation.json";
const BUCKETS: &str = "buckets.json";
pub(crate) const DOMAINS: &str = "domains.json";
pub(crate) const EXERCISES: &str = "exercises.json";
/// The file of descriptions of next items.
pub(crate) const DESCRIPTIONS: &str = "descriptions.json";
/// The file of the test of users with several targets.
pub(crate) const TARGETS: &str = "targets.json";
/// The file of the test of label prediction.
pub(crate) const LABELS: &str = "labels.json";

/// The file of the answers that reasoning changed.
pub(crate) const CHANGED: &str = "changed.json";
/// The file of how many users of the test were asked.
pub(crate) const TESTED: &str = "test-users.json";

/// The tables of a run.
pub(crate) struct Evaluation<'a> {
    pub(crate) bench: &'a Workbench<'a>,
    pub(crate) config: &'a EvaluateConfig,
    /// The split, as protocols name it.
    pub(crate) split: SplitConfig,
    pub(crate) stages: &'a [Stage],
    /// The answers of each stage.
    pub(crate) answers: &'a [StageAnswers<'a>],
    /// The answers of blends of policies.
    pub(crate) blends: &'a [BlendAnswers<'a>],
    /// Further systems.
    pub(crate) baselines: &'a [Baseline<'a>],
    /// Names of the stages that returned the policy that they started from.
    pub(crate) at_start: &'a BTreeSet<String>,
    /// How many users of the test were asked, if not all.
    pub(crate) tested: Option<TestedUsers>,
}

/// The contents of the tables.
#[derive(Debug)]
pub(crate) struct Evaluated {
    /// Every system's metrics, with intervals, protocols and paired tests.
    pub(crate) report: Report,
    /// The test of the stages by kind of user.
    pub(crate) buckets: Vec<BucketRow>,
    /// The test by domain; empty if the data have none.
    pub(crate) domains: Vec<DomainReport>,
    /// General ability of the stages; empty if the recipe does not test it.
    pub(crate) exercises: Vec<ExerciseRow>,
    /// Next items in free words; empty if the recipe does not ask for them.
    pub(crate) descriptions: Vec<DescriptionRow>,
    /// All targets of each user in one list; empty if the recipe does not test it.
    pub(crate) targets: Vec<TargetsRow>,
    /// Label prediction; empty if the recipe does not test it.
    pub(crate) labels: Vec<LabelRow>,
    /// Answers that reasoning changed; empty if the recipe does not test reasoning.
    pub(crate) changed: Vec<ChangedAnswers>,
}

/// The settings that the tables depend on, besides the answers.
pub(crate) fn depends_on(
    seed: u64,
    split: SplitConfig,
    pool: Option<CandidatePools>,
    evaluate: &EvaluateConfig,
    stages: &[Stage],
) -> Recipe {
    // A figure shows the tables and changes none.
    let evaluate = EvaluateConfig { scaling: None, ..evaluate.clone() };
    let stages = stages.to_vec();
    Recipe { seed, split, pool, evaluate, stages, ..Recipe::blank() }
}

impl Part for Evaluation<'_> {
    type Output = Evaluated;

    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn settings(&self) -> Option<Recipe> {
        let Self { bench, split, config, stages, .. } = self;
        let mut own = depends_on(bench.seed, *split, bench.pool, config, stages);
        own.blends = self.blends.iter().map(|answers| answers.blend.clone()).collect();
        Some(own)
    }

    fn inputs(&self) -> Result<Binding, LabError> {
        let mut inputs = self.bench.inputs()?;
        for answers in self.answers {
            let StageAnswers { stage, rankings, in_domain, reasoning, exercises, .. } = answers;
            let name = &stage.name;
            if let Some(labels) = &answers.labels {
                let hash = labels.hash(&stage_test::file::<Labels<'_>>(name))?;
                inputs.insert(stage_test::name::<Labels<'_>>(name), hash);
            }
            inputs.insert(name.clone(), rankings.hash(&rankings::file(name))?);
            if let Some(in_domain) = in_domain {
                let hash = in_domain.hash(&domain_rankings::file(name))?;
                inputs.insert(domain_rankings::name(name), hash);
            }
            if let Some(reasoning) = reasoning {
                inputs.insert(found::name(name), reasoning.hash(&found::file(name))?);
            }
            if let Some(descriptions) = &answers.descriptions {
                let hash = descriptions.hash(&stage_test::file::<Descriptions<'_>>(name))?;
                inputs.insert(stage_test::name::<Descriptions<'_>>(name), hash);
            }
            for (task, found) in &answers.questions {
                let hash = found.hash(&question_rankings::file(name, *task))?;
                inputs.insert(question_rankings::name(name, *task), hash);
            }
            if let Some(exercises) = exercises {
                let hash = exercises.hash(&stage_test::file::<Exercises<'_>>(name))?;
                inputs.insert(stage_test::name::<Exercises<'_>>(name), hash);
            }
        }
        for BlendAnswers { blend, files } in self.blends {
            let name = &blend.name;
            inputs.insert(blended::name(name), files.hash(&blend_files::file(name))?);
        }
        let references = self.baselines.iter().map(|reference| {
            Ok((reference.name, fingerprint(reference.recommender, self.bench.split)?))
        });
        let references = references.collect::<Result<Vec<_>, LabError>>()?;
        inputs.insert("references".to_owned(), hash_json(&references)?);
        if !self.at_start.is_empty() {
            inputs.insert("returned their start".to_owned(), hash_json(self.at_start)?);
        }
        Ok(inputs)
    }

    fn files(&self) -> PartFiles {
        let domains = self.bench.dataset.domains().map(|_| DOMAINS);
        let exercises = self.config.exercises.as_ref().map(|_| EXERCISES);
        let targets = self.config.targets.as_ref().map(|_| TARGETS);
        let labels = self.config.labels.as_ref().map(|_| LABELS);
        let descriptions = self.config.descriptions.map(|_| DESCRIPTIONS);
        let changed = self.config.reasoning.as_ref().map(|_| CHANGED);
        let tested = self.tested.map(|_| TESTED);
        let optional = domains.into_iter().chain(exercises).chain(targets).chain(labels);
        let optional = optional.chain(descriptions).chain(changed).chain(tested);
        PartFiles::always([REPORT, BUCKETS, seen::FILE].into_iter().chain(optional))
    }

    fn make(
        &self,
        folder: &Folder,
        _: &Binding,
        _: &mut dyn Observer,
    ) -> Result<Remarks, LabError> {
        let Self { bench, config, stages, answers, .. } = self;
        let mut tables = self.empty_tables()?;
        let popularity = recommenders::popularity(bench.dataset, bench.split)?;
        let transitions = recommenders::transitions(bench.dataset, bench.split)?;
        let mut recommenders = vec![
            Baseline { name: POPULARITY, recommender: &*popularity },
            Baseline { name: TRANSITIONS, recommender: &*transitions },
        ];
        recommenders.extend(self.baselines);
        let mut buckets = Vec::new();
        if stages.iter().any(|stage| !is_over_pool(stage.task)) {
            catalogue::recommenders(&recommenders, bench.split, &mut tables)?;
            buckets = catalogue::policies(bench, config, answers, &mut tables)?;
            catalogue::blends(bench, self.blends, &mut tables)?;
        }
        pool::rows(bench, answers, &recommenders, &mut tables)?;
        let finish = |tables: &mut Tables| {
            compare(stages, &config.compare_with, tables)?;
            compare_blends(self.blends.iter().map(|answers| answers.blend), stages, tables)?;
            note_starts(stages, self.at_start, tables);
            Ok(())
        };
        finish(&mut tables)?;
        if let Some(domains) = bench.dataset.domains() {
            let among = AmongDomains::read(domains, config.beam_width, answers)?;
            write_json(&folder.path(DOMAINS), &among.reports(&tables, finish)?)?;
        }
        SeenOfUsers::of(bench.split).write(folder)?;
        if config.exercises.is_some() {
            let rows = exercises::rows(stages, answers, &tables.bootstrap)?;
            write_json(&folder.path(EXERCISES), &rows)?;
        }
        if config.descriptions.is_some() {
            write_json(&folder.path(DESCRIPTIONS), &descriptions::rows(answers))?;
        }
        if let Some(labels) = &config.labels {
            let rows = labels::rows(bench, labels, answers)?;
            write_json(&folder.path(LABELS), &rows)?;
        }
        if let Some(targets) = &config.targets {
            let rows = targets::rows(bench, targets, answers, &recommenders, &tables.bootstrap)?;
            write_json(&folder.path(TARGETS), &rows)?;
        }
        if let Some(reasoning) = &config.reasoning {
            let width = config.beam_width.min(reasoning.beam_width);
            write_json(&folder.path(CHANGED), &changed::rows(bench, answers, width)?)?;
        }
        if let Some(tested) = &self.tested {
            write_json(&folder.path(TESTED), tested)?;
        }
        write_json(&folder.path(BUCKETS), &buckets)?;
        write_json(&folder.path(REPORT), &tables.report)?;
        Ok(Remarks::default())
    }

    fn read(&self, folder: &Folder) -> Result<Evaluated, LabError> {
        Ok(Evaluated {
            report: read_json(&folder.path(REPORT))?,
            buckets: read_json(&folder.path(BUCKETS))?,
            domains: match self.bench.dataset.domains() {
                Some(_) => read_json(&folder.path(DOMAINS))?,
                None => Vec::new(),
            },
            exercises: match &self.config.exercises {
                Some(_) => read_json(&folder.path(EXERCISES))?,
                None => Vec::new(),
            },
            descriptions: match self.config.descriptions {
                Some(_) => read_json(&folder.path(DESCRIPTIONS))?,
                None => Vec::new(),
            },
            targets: match self.config.targets {
                Some(_) => read_json(&folder.path(TARGETS))?,
                None => Vec::new(),
            },
            labels: match self.config.labels {
                Some(_) => read_json(&folder.path(LABELS))?,
                None => Vec::new(),
            },
            changed: match &self.config.reasoning {
                Some(_) => read_json(&folder.path(CHANGED))?,
                None => Vec::new(),
            },
        })
    }
}

impl Evaluation<'_> {
    /// Tables without rows.
    fn empty_tables(&self) -> Result<Tables, LabError> {
        let resamples = self.config.resamples;
        let bootstrap = BootstrapConfig::new(self.bench.seed).with_resamples(resamples);
        Ok(Tables {
            report: Report::default(),
            bootstrap: Bootstrap::try_from(bootstrap)?,
            columns: Columns::of(self.config),
            split: match self.split {
                SplitConfig::LeaveOneOut => EvaluationSplit::LeaveOneOutTest,
                SplitConfig::GlobalTime => EvaluationSplit::GlobalTimeTest,
                SplitConfig::Published => EvaluationSplit::Given("published".to_owned()),
            },
            kept: BTreeMap::new(),
        })
    }
}
