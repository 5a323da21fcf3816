//! A trained policy that answers users.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use sidereal_data::{Dataset, Split};
use sidereal_metrics::SeenItems;
use sidereal_policy::{
    BeamSearch, Conditions, Constraint, Excluded, Hypothesis, Policy as _, TokenBatch,
};
use sidereal_prompts::{ControlMarkers, PromptRegistry, PromptSet, Tasks};
use sidereal_sid::{Catalog, ItemId};
use sidereal_train::{Binding, Encoder};
use tch::Device;

use crate::error::LabError;
use crate::policy_folder::TrainedPolicy;
use crate::pool_task::is_over_pool;
use crate::recipe::Recipe;
use crate::recipe::stage::Stage;
use crate::resume::recipe_of;

/// What a stage of a finished run left behind: a policy and all that it takes to ask it.
#[derive(Debug)]
pub struct TrainedStage {
    dir: PathBuf,
    recipe: Recipe,
    stage: Stage,
    policy: TrainedPolicy,
    constraint: Constraint,
    prompts: PromptSet,
}

/// Recommends items by the policy of a stage, which answers with Semantic IDs and without thoughts.
#[derive(Debug)]
pub struct Recommender<'a> {
    trained: &'a TrainedStage,
    dataset: &'a Dataset,
    tasks: Tasks<'a>,
    encoder: Encoder<'a>,
}

/// What users get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Items of each user, at most.
    pub num_items: NonZeroUsize,
    /// Hypotheses kept at each level; at least `num_items` are.
    pub beam_width: usize,
    /// Whether items of the history are among the answers.
    pub seen: SeenItems,
}

/// An item that is recommended.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Recommended {
    /// The item.
    pub item: ItemId,
    /// Log-probability of its Semantic ID, nats; items that share one are not ordered by it.
    pub score: f32,
}

/// Recommended items and how the search came to them.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Explained {
    /// Best first.
    pub items: Vec<Recommended>,
    /// Every prefix of their Semantic IDs, in flat tokens, with its log-probability, parents before
    /// children.
    pub prefixes: Vec<(Vec<u32>, f32)>,
}

impl TrainedStage {
    /// Opens a stage in the folder of a run, without a name the last one. It computes as the recipe
    /// says.
    ///
    /// # Errors
    /// Missing and damaged files by name; [`LabError::UnknownStage`]; [`LabError::Setting`] for a
    /// stage that answers with titles out of a pool.
    pub fn open(run: &Path, stage: Option<&str>, device: Device) -> Result<Self, LabError> {
        let recipe = recipe_of(run)?;
        let none = || LabError::NoSamples { what: "a recipe without stages" };
        let stage = match stage {
            Some(name) => recipe.stage(name)?,
            None => recipe.stages.last().ok_or_else(none)?,
        }
        .clone();
        if is_over_pool(stage.task) {
            return Err(LabError::Setting {
                field: format!("stage.{}.task", stage.name),
                found: stage.task.to_string(),
                needed: "a stage that answers with Semantic IDs",
            });
        }
        let dir = run.join(&stage.name);
        let mut policy = TrainedPolicy::open(&dir, device)?;
        policy.model = policy.model.computing_in(recipe.compute.kind());
        let prompts = PromptRegistry::builtin()?.set(&recipe.prompts)?.clone();
        let constraint = Constraint::new(&policy.catalog, &policy.tokenizer, device)?;
        Ok(Self { dir, recipe, stage, policy, constraint, prompts })
    }

    /// Items and their Semantic IDs.
    #[must_use]
    pub const fn catalog(&self) -> &Catalog {
        &self.policy.catalog
    }

    /// Settings of the run.
    #[must_use]
    pub const fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// A recommender over the data of the run; `published` is the split that some data come with.
    ///
    /// # Errors
    /// [`LabError::Binding`] for other data or prompts than those of the run; [`LabError::Prompt`]
    /// for a title that holds a control token of the tokenizer; those of the split.
    pub fn recommender<'a>(
        &'a self,
        dataset: &'a Dataset,
        published: Option<&Split>,
    ) -> Result<Recommender<'a>, LabError> {
        let Self { dir, recipe, policy, prompts, .. } = self;
        let split = match published {
            Some(split) => split.hash(),
            None => recipe.split.split(dataset, recipe.max_history)?.hash(),
        };
        let mut parts = Binding::from([
            ("split".to_owned(), split),
            ("prompts".to_owned(), prompts.hash().to_owned()),
        ]);
        if let Some(domains) = dataset.domains() {
            parts.insert("domains".to_owned(), domains.hash());
        }
        policy.check(dir, &parts)?;
        let TrainedPolicy { tokenizer, catalog, .. } = policy;
        Ok(Recommender {
            trained: self,
            dataset,
            tasks: Tasks::new(dataset, catalog, prompts)?
                .with_markers(&ControlMarkers::new(tokenizer.control_tokens()))?,
            encoder: Encoder::new(tokenizer, catalog, prompts, self.constraint.trie())?,
        })
    }
}

impl Recommender<'_> {
    /// The item that has this Semantic ID, key or title.
    ///
    /// # Errors
    /// [`LabError::Data`] for a text that names no item or several; [`LabError::UnknownSid`];
    /// [`LabError::Notation`] for what begins as a Semantic ID and names nothing.
    pub fn find(&self, text: &str) -> Result<ItemId, LabError> {
        let catalog = self.trained.catalog();
        match catalog.spec().parse(text) {
            Ok(sid) => {
                let first = catalog.items(&sid).first().copied();
                first.ok_or_else(|| LabError::UnknownSid { sid: sid.to_string() })
            }
            Err(wrong) => match self.dataset.find(text) {
                Err(_) if text.starts_with('<') => Err(wrong.into()),
                found => Ok(found?),
            },
        }
    }

    /// Items for the users of these histories, earliest item first; those before the latest that the
    /// policy reads are left out. As many users are searched for together as the recipe's test does.
    ///
    /// # Errors
    /// [`LabError::UnknownItem`]; [`LabError::NoSamples`] for an empty history; those of the
    /// search.
    pub fn recommend<H: AsRef<[ItemId]>>(
        &self,
        histories: &[H],
        wanted: &Wanted,
    ) -> Result<Vec<Vec<Recommended>>, LabError> {
        let histories: Vec<&[ItemId]> = histories.iter().map(AsRef::as_ref).collect();
        let mut order: Vec<usize> = (0..histories.len()).collect();
        order.sort_by_key(|user| histories[*user].len());
        let mut found = vec![Vec::new(); histories.len()];
        for batch in order.chunks(self.trained.recipe.evaluate.batch_size.max(1)) {
            let of_batch: Vec<&[ItemId]> = batch.iter().map(|user| histories[*user]).collect();
            let users = self.ask(&of_batch, wanted)?;
            let searched = self.search(wanted).search_under(&users.prompts, &users.conditions())?;
            for (user, hypotheses) in batch.iter().zip(&searched) {
                found[*user] = self.items(hypotheses, histories[*user], wanted);
            }
        }
        Ok(found)
    }

    /// As [`recommend`](Self::recommend) for one user, with the prefixes that led to the items.
    ///
    /// # Errors
    /// As [`recommend`](Self::recommend).
    pub fn explain(&self, history: &[ItemId], wanted: &Wanted) -> Result<Explained, LabError> {
        let users = self.ask(&[history], wanted)?;
        let mut kept = BTreeMap::new();
        let mut keep = |prefix: &sidereal_policy::KeptPrefix<'_>| {
            kept.insert(prefix.tokens.to_vec(), prefix.score);
        };
        let search = self.search(wanted);
        let found = search.search_observed(&users.prompts, &users.conditions(), &mut keep)?;
        let first = found.first();
        let items = first.map(|found| self.items(found, history, wanted)).unwrap_or_default();
        let constraint = &self.trained.constraint;
        let whole: Vec<Vec<u32>> =
            items.iter().filter_map(|found| constraint.flat(found.item)).collect();
        kept.retain(|prefix, _| whole.iter().any(|tokens| tokens.starts_with(prefix)));
        Ok(Explained { items, prefixes: kept.into_iter().collect() })
    }

    fn ask(&self, histories: &[&[ItemId]], wanted: &Wanted) -> Result<Users, LabError> {
        let TrainedStage { recipe, policy, constraint, .. } = self.trained;
        let (mut rows, mut excluded) = (Vec::new(), Vec::new());
        for history in histories {
            if history.is_empty() {
                return Err(LabError::NoSamples { what: "a user without a history" });
            }
            if let Some(item) = history.iter().find(|item| policy.catalog.sid(**item).is_none()) {
                return Err(LabError::UnknownItem { item: *item });
            }
            let recent = &history[history.len().saturating_sub(recipe.max_history)..];
            rows.push(self.encoder.read(&self.tasks.next_item_prompt(recent)?)?);
            if wanted.seen == SeenItems::Removed {
                excluded.push(Excluded::new(constraint.trie(), history.iter().copied())?);
            }
        }
        let limit = policy.model.longest_prompt(constraint.max_len());
        let pad = policy.tokenizer.pad();
        let prompts = TokenBatch::new(&rows, pad, limit, policy.model.device())?;
        Ok(Users { prompts, excluded })
    }

    fn search(&self, wanted: &Wanted) -> BeamSearch<'_> {
        BeamSearch {
            model: &self.trained.policy.model,
            constraint: &self.trained.constraint,
            beam_width: wanted.beam_width.max(wanted.num_items.get()),
            scoring: self.trained.stage.training.scoring(),
        }
    }

    fn items(&self, found: &[Hypothesis], history: &[ItemId], wanted: &Wanted) -> Vec<Recommended> {
        let trie = self.trained.constraint.trie();
        let items = found.iter().flat_map(|found| {
            let score = found.score;
            trie.items(found.node).iter().map(move |item| Recommended { item: *item, score })
        });
        // An item that shares its Semantic ID with one that was not seen is still found.
        let unwanted = |item: &ItemId| wanted.seen == SeenItems::Removed && history.contains(item);
        items.filter(|found| !unwanted(&found.item)).take(wanted.num_items.get()).collect()
    }
}

/// Users as the search takes them.
struct Users {
    prompts: TokenBatch,
    excluded: Vec<Excluded>,
}

impl Users {
    fn conditions(&self) -> Conditions<'_> {
        Conditions { excluded: &self.excluded, ..Conditions::default() }
    }
}
