//! From a dataset to trained, evaluated and reported policies: a recipe carried out part by part, into a
//! folder.

mod chosen;

use std::collections::BTreeMap;
use std::path::Path;

use sidereal_data::{Dataset, Split};
use sidereal_policy::{Constraint, PolicyKind, SidTokenizer};
use sidereal_prompts::{PromptRegistry, PromptSet};
use sidereal_sid::Catalog;
use sidereal_train::{Binding, Encoder, JsonLog, Observer};
use tch::Device;

use self::chosen::{Data, semantic_ids, texts, vocabulary};
use crate::error::LabError;
use crate::evaluation::recommenders::Reference;
use crate::evaluation::stage_answers::StageAnswers;
use crate::evaluation::systems::check_compared;
use crate::evaluation::{Evaluated, Evaluation};
use crate::outcome::Outcome;
use crate::outcome::showcase::showcases;
use crate::parts::answers::{Respondent, SearchSettings, TestUsers};
use crate::parts::domain_rankings::DomainRankings;
use crate::parts::policy::scope::check_domains;
use crate::parts::policy::{self, Policy, PolicyFolder, Start};
use crate::parts::published_ids::Published;
use crate::parts::rankings::Rankings;
use crate::parts::semantic_ids::SemanticIds;
use crate::parts::thoughts::Thoughts;
use crate::parts::vocabulary::TOKENIZER;
use crate::pool_task::is_over_pool;
use crate::recipe::Recipe;
use crate::recipe::kind;
use crate::recipe::model::{ModelConfig, PretrainedConfig, no_model};
use crate::recipe::stage::Stage;
use crate::resume;
use crate::run::Run;
use crate::run::log::{LOG, Logged};
use crate::run::part::Made;
use crate::run::starts::returned_their_start;
use crate::workbench::Workbench;
use crate::workbench::pools::pools;
use crate::workbench::tasks::{check_control_tokens, tasks};
use crate::workbench::titles::Titles;

/// A recipe over one dataset into one folder.
///
/// Item vectors, Semantic IDs, a teacher's texts and tokenizer first; then the recipe's trainings, each from the one
/// that it names; then the test of all of them over all items, beside popularity and item
/// transitions. Whatever a former start finished with the same inputs is skipped; training goes on
/// from its last checkpoint.
#[derive(Debug)]
pub struct Pipeline<'a> {
    /// Settings.
    pub recipe: &'a Recipe,
    /// Items and histories.
    pub dataset: &'a Dataset,
    /// What came with them: taken where the recipe makes no Semantic IDs, or no split, of its own.
    pub published: Option<Published<'a>>,
    /// Further systems for the tables.
    pub references: &'a [Reference<'a>],
    /// The run's folder.
    pub out: &'a Path,
    /// Where tensors live.
    pub device: Device,
}

impl Pipeline<'_> {
    /// Carries out what is not done yet and returns the result of the whole.
    ///
    /// # Errors
    /// Those of every part; what finished parts wrote stays valid.
    pub fn run(&self, observer: &mut dyn Observer) -> Result<Outcome, LabError> {
        let kind = self.check()?;
        let Self { recipe, dataset, published, references, device, .. } = *self;
        let Recipe { seed, stages, evaluate, .. } = recipe;
        let registry = PromptRegistry::builtin()?;
        let prompts = registry.set(&recipe.prompts)?;
        let published_split = published.map(|published| published.split);
        let split = &recipe.split.choose(dataset, published_split, recipe.max_history)?;
        let data = Data { dataset, split, published, device };
        let mut run = resume::open(self.out, recipe, device)?;
        let log = run.path(LOG);
        let observer: &mut dyn Observer =
            &mut Logged { log: JsonLog::open(&log)?, inner: observer };

        let ids = semantic_ids(&mut run, recipe, data, observer)?;
        let SemanticIds { catalog, quality } = ids.value;
        let texts = &texts(&mut run, recipe, data, &catalog, observer)?;
        let pools = pools(recipe.pool.as_ref(), *seed, &split.train, &catalog)?;
        let tasks = &tasks(dataset, &catalog, prompts, texts, pools.as_ref())?;
        let vocabulary = vocabulary(&mut run, recipe, data, &catalog, (tasks, texts), observer)?;

        let tokenizer = &vocabulary.value;
        check_control_tokens(tasks, texts, tokenizer)?;
        let constraint = &Constraint::new(&catalog, tokenizer, device)?;
        let encoder = Encoder::new(tokenizer, &catalog, prompts, constraint.trie())?;
        let in_titles = stages.iter().any(|stage| is_over_pool(stage.task));
        let bench = &Workbench {
            seed: *seed,
            device,
            dataset,
            split,
            catalog: &catalog,
            tokenizer,
            tasks,
            encoder: if kind.folds_samples() { encoder } else { encoder.without_folding() },
            constraint,
            titles: in_titles.then(|| Titles::new(dataset, tokenizer, device)).transpose()?,
            pool: recipe.pool,
            made_for: made_for(dataset, split, &catalog, prompts, &vocabulary),
        };

        let mut policies = BTreeMap::new();
        for stage in stages {
            let start = start(stage, &policies, recipe.model.as_ref(), &vocabulary);
            let settings = policy::depends_on(recipe, stage);
            let keep_checkpoints = recipe.keep_checkpoints;
            let policy = Policy { bench, texts, stage, start, settings, keep_checkpoints };
            let policy = run.carry_out(&policy, observer)?;
            policies.insert(stage.name.as_str(), policy);
        }
        let answers = &answers(&mut run, recipe, bench, &policies, observer)?;
        let at_start = &returned_their_start(run.folder(), stages)?;
        let (split, config) = (recipe.split, evaluate);
        let tables = Evaluation { bench, config, split, stages, answers, references, at_start };
        let Evaluated { report, buckets, domains } = run.carry_out(&tables, observer)?.value;
        let showcases = match answers.last() {
            Some(last) => showcases(bench, &last.rankings.value.load()?),
            None => Vec::new(),
        };
        let outcome = Outcome {
            stages: stages.clone(),
            report,
            buckets,
            domains,
            quality,
            collisions: recipe.sids.as_ref().map(|sids| sids.collisions),
            records: JsonLog::read(&log)?,
            showcases,
            catalog,
        };
        outcome.save_showcases(self.out)?;
        Ok(outcome)
    }

    /// Accepts a recipe that fits the data, the model and the systems at hand; returns the kind of its
    /// policies.
    fn check(&self) -> Result<PolicyKind, LabError> {
        let Self { recipe, dataset, references, .. } = self;
        recipe.check()?;
        check_domains(&recipe.stages, dataset)?;
        let names: Vec<&str> = references.iter().map(|reference| reference.name).collect();
        check_compared(&recipe.evaluate.compare_with, &recipe.stages, &names)?;
        match (&recipe.model, &recipe.pretrained) {
            (Some(model), _) => Ok(model.kind()),
            (None, Some(PretrainedConfig { base, .. })) => {
                let kind = PolicyKind::of(base)?;
                kind::check(kind, &recipe.stages)?;
                Ok(kind)
            }
            (None, None) => Err(no_model()),
        }
    }
}

/// Hashes of what the policies of a run are made for.
fn made_for(
    dataset: &Dataset,
    split: &Split,
    catalog: &Catalog,
    prompts: &PromptSet,
    vocabulary: &Made<SidTokenizer>,
) -> Binding {
    let mut made_for = Binding::from([
        ("catalogue".to_owned(), catalog.hash()),
        ("tokenizer".to_owned(), vocabulary.hash(TOKENIZER)),
        ("prompts".to_owned(), prompts.hash().to_owned()),
        ("split".to_owned(), split.hash()),
        ("dataset".to_owned(), dataset.hash()),
    ]);
    if let Some(domains) = dataset.domains() {
        made_for.insert("domains".to_owned(), domains.hash());
    }
    made_for
}

/// What a stage of a checked recipe starts from.
fn start<'a>(
    stage: &Stage,
    policies: &'a BTreeMap<&'a str, Made<PolicyFolder>>,
    model: Option<&'a ModelConfig>,
    vocabulary: &'a Made<SidTokenizer>,
) -> Start<'a> {
    let from = stage.from.as_ref().and_then(|from| policies.get_key_value(from.as_str()));
    match (from, model) {
        (Some((name, policy)), _) => Start::Stage(name, policy),
        (None, Some(model)) => Start::Random(model),
        (None, None) => Start::Pretrained(vocabulary),
    }
}

/// What the stages answer to the users of the test: the rankings of all of them, then those by domain, then
/// the thoughts.
fn answers<'a>(
    run: &mut Run,
    recipe: &'a Recipe,
    bench: &Workbench<'_>,
    policies: &BTreeMap<&str, Made<PolicyFolder>>,
    observer: &mut dyn Observer,
) -> Result<Vec<StageAnswers<'a>>, LabError> {
    let Recipe { stages, evaluate, prompts, .. } = recipe;
    let users = &TestUsers::new(bench);
    let search = SearchSettings::of(recipe);
    let respondents: Vec<Respondent<'_>> = stages
        .iter()
        .filter_map(|stage| {
            let policy = policies.get(stage.name.as_str())?;
            Some(Respondent { bench, stage, policy, search })
        })
        .collect();
    let mut answers = Vec::new();
    for (stage, by) in stages.iter().zip(&respondents) {
        let rankings = run.carry_out(&Rankings { by: *by, users }, observer)?;
        answers.push(StageAnswers { stage, rankings, in_domain: None, thoughts: None });
    }
    for (answered, by) in answers.iter_mut().zip(&respondents) {
        let domains = bench.dataset.domains().filter(|_| !is_over_pool(by.stage.task));
        let Some(domains) = domains else { continue };
        let rankings = DomainRankings { by: *by, users, domains };
        answered.in_domain = Some(run.carry_out(&rankings, observer)?);
    }
    for (answered, by) in answers.iter_mut().zip(&respondents) {
        let config = evaluate.reasoning.as_ref();
        let config = config.filter(|_| evaluate.tests_thinking(by.stage, stages));
        let Some(config) = config else { continue };
        let thoughts = Thoughts { by: *by, users, config, prompts };
        answered.thoughts = Some(run.carry_out(&thoughts, observer)?);
    }
    Ok(answers)
}
