//! From a dataset to trained and evaluated policies with a report: a recipe is carried out part by part, in
//! a folder.

mod benches;
mod chosen;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::num::NonZeroUsize;
use std::path::Path;

use sidereal_data::{Dataset, Split};
use sidereal_policy::{Constraint, PolicyKind, SidTokenizer};
use sidereal_prompts::{PromptRegistry, PromptSet, Task};
use sidereal_train::{JsonLog, Observer};
use tch::Device;

use self::benches::Benches;
use self::chosen::{Data, item_vectors, semantic_ids, texts, vocabulary};
use crate::error::LabError;
use crate::evaluation::Evaluation;
use crate::evaluation::recommenders::Baseline;
use crate::evaluation::stage_answers::{BlendAnswers, StageAnswers};
use crate::evaluation::systems::check_compared;
use crate::outcome::RunResult;
use crate::outcome::showcase::showcases;
use crate::parts::answers::{Answered, Respondent, SearchSettings, TestUsers};
use crate::parts::blended_rankings::BlendedRankings;
use crate::parts::descriptions::Descriptions;
use crate::parts::domain_rankings::DomainRankings;
use crate::parts::exercises::{Exercises, held_out};
use crate::parts::item_vectors::VectorFile;
use crate::parts::labels::Labels;
use crate::parts::policy::categories::check_categories;
use crate::parts::policy::scope::check_domains;
use crate::parts::policy::{self, Policy, PolicyFolder, Start};
use crate::parts::published_ids::Published;
use crate::parts::question_rankings::QuestionRankings;
use crate::parts::rankings::Rankings;
use crate::parts::reasoning::Reasoning;
use crate::parts::semantic_ids::SemanticIds;
use crate::parts::stage_test::TestPart;
use crate::pool_task::{answers_in_titles, is_by_head, is_over_pool, is_slate};
use crate::recipe::Recipe;
use crate::recipe::base::base_folder;
use crate::recipe::learned::check_alignment;
use crate::recipe::model::{ModelConfig, PretrainedConfig, no_model};
use crate::recipe::stage::Stage;
use crate::recipe::{behaviours, kind};
use crate::resume;
use crate::run::RunFolder;
use crate::run::log::{LOG, Logged};
use crate::run::part::Made;
use crate::run::starts::returned_their_start;
use crate::tested_users::{self, TestedUsers};
use crate::workbench::Workbench;
use crate::workbench::items::ItemTexts;
use crate::workbench::pools::pools;
use crate::workbench::questions::{Question, questions};
use crate::workbench::tasks::{check_control_tokens, tasks};
use crate::workbench::texts::Texts;

/// A recipe, one dataset and one folder.
///
/// First come item vectors, Semantic IDs, the texts of a teacher and the tokenizer. Then come the trainings
/// of the recipe, each from the stage that it names. Then all of them are tested over all items, beside
/// popularity and item transitions. Parts that an earlier start finished with the same inputs are skipped;
/// a training goes on from its last checkpoint.
#[derive(Debug)]
pub struct Pipeline<'a> {
    /// Settings.
    pub recipe: &'a Recipe,
    /// Items and histories.
    pub dataset: &'a Dataset,
    /// What was published with the data. It is used if the recipe does not make Semantic IDs, or a
    /// split, of its own.
    pub published: Option<Published<'a>>,
    /// Further systems for the tables.
    pub baselines: &'a [Baseline<'a>],
    /// The run's folder.
    pub out: &'a Path,
    /// The device of tensors.
    pub device: Device,
}

/// The split of a run.
struct Tested {
    split: Split,
    /// Hash of the whole split: policies are made for it, whoever is asked in the test.
    whole: String,
    /// How many users are asked, if the recipe asks for some.
    users: Option<TestedUsers>,
}

impl Pipeline<'_> {
    /// Carries out the parts that are not done yet and returns the result of the run.
    ///
    /// # Errors
    /// Those of every part. The files of finished parts stay valid.
    pub fn run(&self, observer: &mut dyn Observer) -> Result<RunResult, LabError> {
        let kind = self.check()?;
        let Self { recipe, dataset, published, baselines, device, .. } = *self;
        let Recipe { seed, stages, evaluate, .. } = recipe;
        let registry = PromptRegistry::builtin()?;
        let prompts = prompts_of(recipe, &registry)?;
        let Tested { split, whole: split_hash, users: tested } = self.split()?;
        let split = &split;
        let data = Data { dataset, split, published, device };
        let mut run = resume::open(self.out, recipe, device)?;
        let log = run.path(LOG);
        let observer: &mut dyn Observer =
            &mut Logged { log: JsonLog::open(&log)?, inner: observer };

        let vectors = item_vectors(&mut run, recipe, data, observer)?;
        let trees = trees(&mut run, recipe, data, vectors.as_ref(), observer)?;
        let SemanticIds { catalog, quality } = &trees[&NonZeroUsize::MIN];
        let texts = &texts(&mut run, recipe, data, (catalog, prompts), observer)?;
        let asked = (recipe.pool.as_ref(), recipe.slate);
        let pools = pools(asked, *seed, &split.train, catalog)?;
        let tasks = &tasks(dataset, catalog, prompts, texts, pools.as_ref())?;
        let mut vocabulary = None;
        if !kind.reads_items() {
            let of_words =
                self::vocabulary(&mut run, recipe, data, catalog, (tasks, texts), observer)?;
            check_control_tokens(tasks, texts, &of_words.value)?;
            vocabulary = Some(of_words);
        }
        let item_texts = ItemTexts { dataset, vectors: vectors.as_ref() };
        let shared = Benches {
            seed: *seed,
            num_levels: recipe.sids.as_ref().and_then(|sids| NonZeroUsize::new(sids.num_levels())),
            data,
            split_hash: &split_hash,
            kind,
            prompts,
            tasks,
            vocabulary: vocabulary.as_ref(),
            item_texts,
            in_titles: stages.iter().any(|stage| answers_in_titles(stage.task)),
            in_sid_slates: stages.iter().any(|stage| is_sid_slate(stage.task)),
            pool: recipe.pool,
            slate: recipe.slate,
        };
        let constrained = trees.iter().map(|(tree, ids)| -> Result<_, LabError> {
            Ok((*tree, shared.constraint(&ids.catalog)?))
        });
        let constraints: BTreeMap<NonZeroUsize, Constraint> =
            constrained.collect::<Result<_, _>>()?;
        let of_trees = trees.iter().map(|(tree, ids)| -> Result<_, LabError> {
            Ok((*tree, shared.of_tree(&ids.catalog, &constraints[tree])?))
        });
        let benches: BTreeMap<NonZeroUsize, Workbench<'_>> = of_trees.collect::<Result<_, _>>()?;
        let bench = &benches[&NonZeroUsize::MIN];

        let mut policies = BTreeMap::new();
        for stage in stages {
            let start = start(stage, &policies, recipe.model.as_ref(), vocabulary.as_ref())?;
            let settings = policy::depends_on(recipe, stage);
            let (keep_checkpoints, bench) = (recipe.keep_checkpoints, &benches[&stage.tree]);
            let policy = Policy { bench, texts, stage, start, settings, keep_checkpoints };
            let policy = run.carry_out(&policy, observer)?;
            policies.insert(stage.name.as_str(), policy);
        }
        let exact = kind.reads_items();
        let answers = &answers(&mut run, recipe, &benches, &policies, (exact, texts), observer)?;
        let blends = &blends(&mut run, recipe, &benches, &policies, item_texts, observer)?;
        let at_start = &returned_their_start(run.folder(), stages)?;
        let (split, config) = (recipe.split, evaluate);
        let tables = Evaluation {
            bench,
            config,
            split,
            stages,
            answers,
            blends,
            baselines,
            at_start,
            tested,
        };
        let found = run.carry_out(&tables, observer)?.value;
        let last = answers.last().map(|last| last.rankings.value.load()).transpose()?;
        let showcases = last.map_or_else(Vec::new, |rankings| showcases(bench, &rankings));
        let outcome = RunResult {
            stages: stages.clone(),
            report: found.report,
            buckets: found.buckets,
            domains: found.domains,
            exercises: found.exercises,
            descriptions: found.descriptions,
            targets: found.targets,
            labels: found.labels,
            changed: found.changed,
            tested,
            scaling_of: evaluate.scaling.clone(),
            quality: quality.clone(),
            collisions: recipe.sids.as_ref().map(|sids| sids.collisions),
            records: JsonLog::read(&log)?,
            showcases,
            catalog: catalog.clone(),
        };
        outcome.save_showcases(self.out)?;
        Ok(outcome)
    }

    /// The split, with the users of the test that the recipe asks.
    fn split(&self) -> Result<Tested, LabError> {
        let Self { recipe, dataset, published, .. } = self;
        let published = published.map(|published| published.split);
        let split = recipe.split.choose(dataset, published, recipe.max_history)?;
        let whole = split.hash();
        Ok(match recipe.evaluate.users {
            Some(count) => {
                let (split, users) = tested_users::with_some(split, count, recipe.seed);
                Tested { split, whole, users: Some(users) }
            }
            None => Tested { split, whole, users: None },
        })
    }

    /// Accepts a recipe that fits the data, the model and the given systems; returns the kind of
    /// its policies.
    fn check(&self) -> Result<PolicyKind, LabError> {
        let Self { recipe, dataset, baselines, .. } = self;
        recipe.check()?;
        check_domains(&recipe.stages, dataset)?;
        check_categories(&recipe.stages, dataset)?;
        behaviours::check(&recipe.evaluate, &recipe.stages, dataset)?;
        let names: Vec<&str> = baselines.iter().map(|baseline| baseline.name).collect();
        check_compared(&recipe.evaluate.compare_with, &recipe.stages, &names)?;
        match (&recipe.model, &recipe.pretrained) {
            (Some(model), _) => Ok(model.kind()),
            (None, Some(PretrainedConfig { base, .. })) => {
                let kind = PolicyKind::of(&base_folder(base))?;
                kind::check(kind, &recipe.stages, recipe.compute)?;
                recipe.evaluate.check_kind(kind)?;
                Ok(kind)
            }
            (None, None) => Err(no_model()),
        }
    }
}

/// The Semantic IDs of every tree that a stage uses; those of tree 1 are the catalogue of the run.
fn trees(
    run: &mut RunFolder,
    recipe: &Recipe,
    data: Data<'_>,
    vectors: Option<&Made<VectorFile>>,
    observer: &mut dyn Observer,
) -> Result<BTreeMap<NonZeroUsize, SemanticIds>, LabError> {
    let mut trees = BTreeMap::new();
    for tree in recipe.stages.iter().map(|stage| stage.tree).chain([NonZeroUsize::MIN]) {
        if let Entry::Vacant(new) = trees.entry(tree) {
            new.insert(semantic_ids(run, recipe, data, vectors, tree, observer)?.value);
        }
    }
    Ok(trees)
}

/// The start of a stage of a checked recipe.
fn start<'a>(
    stage: &Stage,
    policies: &'a BTreeMap<&'a str, Made<PolicyFolder>>,
    model: Option<&'a ModelConfig>,
    vocabulary: Option<&'a Made<SidTokenizer>>,
) -> Result<Start<'a>, LabError> {
    let from = stage.from.as_ref().and_then(|from| policies.get_key_value(from.as_str()));
    match (from, model, vocabulary) {
        (Some((name, policy)), _, _) => Ok(Start::Stage(name, policy)),
        (None, Some(model), _) => Ok(Start::Random(model)),
        (None, None, Some(vocabulary)) if stage.from_scratch => Ok(Start::Scratch(vocabulary)),
        (None, None, Some(vocabulary)) => Ok(Start::Pretrained(vocabulary)),
        (None, None, None) => Err(no_model()),
    }
}

/// The answers of the stages to the users of the test: first the rankings of all users, then those by
/// domain, then those with reasoning, then label predictions, the answers to questions with several targets, and
/// those to exercises, and descriptions of next items.
fn answers<'a>(
    run: &mut RunFolder,
    recipe: &'a Recipe,
    benches: &BTreeMap<NonZeroUsize, Workbench<'_>>,
    policies: &BTreeMap<&str, Made<PolicyFolder>>,
    (exact, texts): (bool, &Texts),
    observer: &mut dyn Observer,
) -> Result<Vec<StageAnswers<'a>>, LabError> {
    let Recipe { stages, evaluate, prompts, .. } = recipe;
    let bench = &benches[&NonZeroUsize::MIN];
    let users = &TestUsers::new(bench);
    let search = SearchSettings::of(recipe);
    let respondents: Vec<Respondent<'_>> = stages
        .iter()
        .filter_map(|stage| {
            let policy = policies.get(stage.name.as_str())?;
            Some(Respondent { bench: benches.get(&stage.tree)?, stage, policy, search })
        })
        .collect();
    let mut answers = Vec::new();
    for (stage, by) in stages.iter().zip(&respondents) {
        let rankings = run.carry_out(&Answered(Rankings { by: *by, users }), observer)?;
        let exact = exact && !is_over_pool(stage.task);
        answers.push(StageAnswers {
            stage,
            exact,
            rankings,
            in_domain: None,
            reasoning: None,
            exercises: None,
            descriptions: None,
            labels: None,
            questions: BTreeMap::new(),
        });
    }
    for (answered, by) in answers.iter_mut().zip(&respondents) {
        let is_special = |task| is_over_pool(task) || is_slate(task) || is_by_head(task);
        let domains = bench.dataset.domains().filter(|_| !is_special(by.stage.task));
        let Some(domains) = domains else { continue };
        let rankings = DomainRankings { by: *by, users, domains };
        answered.in_domain = Some(run.carry_out(&Answered(rankings), observer)?);
    }
    for (answered, by) in answers.iter_mut().zip(&respondents) {
        let config = evaluate.reasoning.as_ref();
        let config = config.filter(|_| evaluate.tests_reasoning(by.stage, stages));
        let Some(config) = config else { continue };
        let reasoning = Reasoning { by: *by, users, config, prompts };
        answered.reasoning = Some(run.carry_out(&Answered(reasoning), observer)?);
    }
    if let Some(config) = &evaluate.labels {
        for (answered, by) in answers.iter_mut().zip(&respondents) {
            if evaluate.tests_labels(by.stage, stages) {
                let labels = TestPart(Labels { by: *by, config });
                answered.labels = Some(run.carry_out(&labels, observer)?);
            }
        }
    }
    for task in evaluate.targets.iter().flat_map(|targets| &targets.tasks).copied() {
        let asking = |by: &Respondent<'_>| evaluate.asks(task, by.stage, stages);
        if !respondents.iter().any(asking) {
            continue;
        }
        let questions: &[Question<'_>] = &questions(task, bench);
        for (answered, by) in answers.iter_mut().zip(&respondents) {
            if asking(by) {
                let rankings = QuestionRankings { by: *by, task, questions };
                answered.questions.insert(task, run.carry_out(&rankings, observer)?);
            }
        }
    }
    if let Some(config) = &evaluate.exercises {
        let asked = &held_out(config, recipe.seed, &texts.chats)?;
        for (answered, by) in answers.iter_mut().zip(&respondents) {
            let exercises = TestPart(Exercises { by: *by, config, asked });
            answered.exercises = Some(run.carry_out(&exercises, observer)?);
        }
    }
    if let Some(config) = &evaluate.descriptions {
        for (answered, by) in answers.iter_mut().zip(&respondents) {
            let descriptions = TestPart(Descriptions { by: *by, config });
            answered.descriptions = Some(run.carry_out(&descriptions, observer)?);
        }
    }
    Ok(answers)
}

/// The answers of the recipe's blends to the users of the test.
fn blends<'a>(
    run: &mut RunFolder,
    recipe: &'a Recipe,
    benches: &BTreeMap<NonZeroUsize, Workbench<'_>>,
    policies: &BTreeMap<&str, Made<PolicyFolder>>,
    texts: ItemTexts<'_>,
    observer: &mut dyn Observer,
) -> Result<Vec<BlendAnswers<'a>>, LabError> {
    let mut answers = Vec::new();
    for blend in &recipe.blends {
        let of_blend = recipe.stages.iter().filter(|stage| blend.policies.contains(&stage.name));
        let policies = of_blend.filter_map(|stage| {
            let (bench, policy) = (benches.get(&stage.tree)?, policies.get(stage.name.as_str())?);
            Some(Respondent { bench, stage, policy, search: SearchSettings::of(recipe) })
        });
        let (policies, count) = (policies.collect(), recipe.evaluate.beam_width);
        let bench = &benches[&NonZeroUsize::MIN];
        let files =
            run.carry_out(&BlendedRankings { bench, texts, blend, policies, count }, observer)?;
        answers.push(BlendAnswers { blend, files });
    }
    Ok(answers)
}

/// Whether the answer to a task is a slate of Semantic IDs.
fn is_sid_slate(task: Task) -> bool {
    is_slate(task) && !answers_in_titles(task)
}

/// The prompts of a recipe, with all that its stages and its test ask for.
fn prompts_of<'r>(
    recipe: &Recipe,
    registry: &'r PromptRegistry,
) -> Result<&'r PromptSet, LabError> {
    let prompts = registry.set(&recipe.prompts)?;
    check_alignment(&recipe.stages, prompts)?;
    if recipe.evaluate.descriptions.is_some() {
        prompts.template(Task::DescribeNext)?;
    }
    Ok(prompts)
}
