//! From a dataset to trained, evaluated and reported policies: a recipe carried out stage by stage, into
//! a folder.

use std::path::Path;

use sidereal_baselines::Recommender;
use sidereal_data::{Dataset, Split};
use sidereal_policy::{Constraint, Decoder, SidTokenizer};
use sidereal_prompts::{PromptRegistry, PromptSet, Task};
use sidereal_sid::Catalog;
use sidereal_train::{Binding, JsonLog, Observer, Record};
use tch::Device;

use crate::parts::texts::Texts;
use crate::recipe::pool::{Titles, is_over_pool};
use crate::run::LOG;
use crate::{LabError, Outcome, Recipe, Run, SplitConfig, TrainedPolicy};

/// A further system for the tables: a bound that is known, a recommender of the caller's.
#[derive(Clone, Copy)]
pub struct Reference<'a> {
    /// Name in the tables.
    pub name: &'a str,
    /// Scores of all items.
    pub recommender: &'a dyn Recommender,
}

impl std::fmt::Debug for Reference<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reference").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What some data are published with.
#[derive(Debug, Clone, Copy)]
pub struct Published<'a> {
    /// Semantic IDs of the items.
    pub catalog: &'a Catalog,
    /// What is held out.
    pub split: &'a Split,
}

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

/// What the stages share.
pub(crate) struct Context<'a> {
    pub(crate) split: Split,
    pub(crate) prompts: &'a PromptSet,
    pub(crate) catalog: Catalog,
    pub(crate) texts: Texts,
    pub(crate) tokenizer: SidTokenizer,
    /// Semantic IDs of the catalogue.
    pub(crate) constraint: Constraint,
    /// Titles of all items, for stages that answer in them.
    pub(crate) titles: Option<Titles>,
    pub(crate) binding: Binding,
}

impl Context<'_> {
    /// What may be written as the answer to a task.
    pub(crate) fn answers(&self, task: Task) -> &Constraint {
        match (&self.titles, task) {
            (Some(titles), Task::TitleChoice) => &titles.whole,
            (Some(titles), Task::TitleSlate) => &titles.lines,
            _ => &self.constraint,
        }
    }
}

impl Pipeline<'_> {
    /// Runs what is not done yet and returns the result of the whole.
    ///
    /// # Errors
    /// Those of every stage; what finished stages wrote stays valid.
    pub fn run(&self, observer: &mut dyn Observer) -> Result<Outcome, LabError> {
        self.recipe.check()?;
        self.check_domains()?;
        self.check_compared()?;
        let registry = PromptRegistry::builtin()?;
        let prompts = registry.set(&self.recipe.prompts)?;
        let split = match (self.recipe.split, self.published) {
            (SplitConfig::Published, Some(published)) => published.split.clone(),
            (own, _) => own.split(self.dataset, self.recipe.max_history)?,
        };
        let mut run = Run::open(self.out, self.recipe, self.device)?;
        let log_path = run.path(LOG);
        let mut observer = Logged { log: JsonLog::open(&log_path)?, inner: observer };
        let observer: &mut dyn Observer = &mut observer;

        self.semantic_ids(&mut run, &split, observer)?;
        let catalog = Catalog::load(&run.path("catalog.json"))?;
        let texts = self.texts(&mut run, &split, &catalog, observer)?;
        self.vocabulary(&mut run, &catalog, &split, prompts, &texts)?;
        let tokenizer = SidTokenizer::load(&run.path("tokenizer"), catalog.spec())?;
        self.check_texts(&tokenizer, &catalog, prompts, &texts)?;
        let mut binding = Binding::from([
            ("catalogue".to_owned(), catalog.hash()),
            ("tokenizer".to_owned(), run.output_hash("tokenizer", "tokenizer/tokenizer.json")),
            ("prompts".to_owned(), prompts.hash().to_owned()),
            ("split".to_owned(), split.hash()),
            ("dataset".to_owned(), self.dataset.hash()),
        ]);
        if let Some(domains) = self.dataset.domains() {
            binding.insert("domains".to_owned(), domains.hash());
        }
        let constraint = Constraint::new(&catalog, &tokenizer, self.device)?;
        let in_titles = self.recipe.stages.iter().any(|stage| is_over_pool(stage.task));
        let titles = in_titles.then(|| Titles::new(self.dataset, &tokenizer, self.device));
        let titles = titles.transpose()?;
        let context =
            Context { split, prompts, catalog, texts, tokenizer, constraint, titles, binding };

        for stage in &self.recipe.stages {
            self.train(stage, &mut run, &context, observer)?;
        }
        self.test(&mut run, &context, observer)?;
        self.outcome(&run, &context, &log_path)
    }

    /// A policy of this run, if it was made for the same catalogue, tokenizer, prompts and split.
    pub(crate) fn open(&self, dir: &Path, context: &Context<'_>) -> Result<Decoder, LabError> {
        let policy = TrainedPolicy::open(dir, self.device)?;
        policy.check(dir, &context.binding)?;
        Ok(policy.model.computing_in(self.recipe.compute.kind()))
    }
}

/// The run's log beside the caller's observer.
struct Logged<'a> {
    log: JsonLog,
    inner: &'a mut dyn Observer,
}

impl Observer for Logged<'_> {
    fn on_record(&mut self, record: &Record) {
        self.log.on_record(record);
        self.inner.on_record(record);
    }

    fn on_resume(&mut self, stage: &str, step: usize) {
        self.log.on_resume(stage, step);
        self.inner.on_resume(stage, step);
    }

    fn on_progress(&mut self, job: &str, unit: &str, done: usize, total: usize) {
        self.inner.on_progress(job, unit, done, total);
    }
}
