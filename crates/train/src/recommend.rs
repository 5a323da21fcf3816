//! A trained policy that answers users.

use std::collections::BTreeMap;
use std::path::Path;

use sidereal_corpus::{Dataset, PromptRegistry, PromptSet, Tasks};
use sidereal_metrics::SeenItems;
use sidereal_policy::{
    BeamSearch, Conditions, Constraint, Excluded, Hypothesis, LanguageModel as _, Scoring,
    TokenBatch,
};
use sidereal_sid::{Catalog, ItemId};
use tch::Device;

use crate::TrainError;
use crate::encode::Encoder;
use crate::pipeline::{Recipe, TrainedPolicy};

/// Recommends items by the policy that a stage of a finished run trained.
#[derive(Debug)]
pub struct Recommender<'d> {
    dataset: &'d Dataset,
    policy: TrainedPolicy,
    constraint: Constraint,
    prompts: PromptSet,
    scoring: Scoring,
    max_history: usize,
}

/// What users get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Items of each user, at most.
    pub num_items: usize,
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

impl<'d> Recommender<'d> {
    /// Opens the policy of a stage, without a name that of the last one, in the folder of a run over
    /// `dataset`.
    ///
    /// # Errors
    /// Missing and damaged files by name; [`TrainError::UnknownStage`]; [`TrainError::Binding`] for
    /// other data or prompts than those of the run; [`TrainError::Setting`] for a run over a
    /// published split, which the data alone do not give.
    pub fn open(
        run: &Path,
        stage: Option<&str>,
        dataset: &'d Dataset,
        device: Device,
    ) -> Result<Self, TrainError> {
        let recipe = Recipe::load(&run.join("config.toml"))?;
        let none = || TrainError::NoSamples { what: "a recipe without stages" };
        let stage = match stage {
            Some(name) => recipe.stage(name)?,
            None => recipe.stages.last().ok_or_else(none)?,
        };
        let dir = run.join(&stage.name);
        let policy = TrainedPolicy::open(&dir, device)?;
        let prompts = PromptRegistry::builtin()?.set(&recipe.prompts)?.clone();
        let split = recipe.split.split(dataset, recipe.max_history)?.hash();
        let parts = [("split", split), ("prompts", prompts.hash().to_owned())];
        policy.check(&dir, &parts.map(|(part, hash)| (part.to_owned(), hash)).into())?;
        let constraint = Constraint::new(&policy.catalog, &policy.tokenizer, device)?;
        let (scoring, max_history) = (stage.training.scoring(), recipe.max_history);
        Ok(Self { dataset, policy, constraint, prompts, scoring, max_history })
    }

    /// Items and their Semantic IDs.
    #[must_use]
    pub const fn catalog(&self) -> &Catalog {
        &self.policy.catalog
    }

    /// The item that has this key, title or Semantic ID.
    ///
    /// # Errors
    /// [`TrainError::Corpus`] for a text that names no item or several; [`TrainError::Notation`],
    /// [`TrainError::UnknownSid`].
    pub fn find(&self, text: &str) -> Result<ItemId, TrainError> {
        if !text.starts_with('<') {
            return Ok(self.dataset.find(text)?);
        }
        let sid = self.catalog().spec().parse(text)?;
        let first = self.catalog().items(&sid).first().copied();
        first.ok_or_else(|| TrainError::UnknownSid { sid: sid.to_string() })
    }

    /// Items for the users of these histories, earliest item first; those before the latest that the
    /// policy reads are left out. Users are searched for together.
    ///
    /// # Errors
    /// [`TrainError::Corpus`] for an unknown item; [`TrainError::NoSamples`] for an empty history;
    /// those of the search.
    pub fn recommend<H: AsRef<[ItemId]>>(
        &self,
        histories: &[H],
        wanted: &Wanted,
    ) -> Result<Vec<Vec<Recommended>>, TrainError> {
        let asked = self.ask(histories, wanted)?;
        let found = self.search(wanted).search_under(&asked.prompts, &asked.conditions())?;
        let users = found.iter().zip(histories);
        Ok(users.map(|(found, history)| self.items(found, history.as_ref(), wanted)).collect())
    }

    /// As [`recommend`](Self::recommend) for one user, with the prefixes that led to the items.
    ///
    /// # Errors
    /// As [`recommend`](Self::recommend).
    pub fn explain(&self, history: &[ItemId], wanted: &Wanted) -> Result<Explained, TrainError> {
        let asked = self.ask(&[history], wanted)?;
        let mut kept = BTreeMap::new();
        let found = self.search(wanted).search_observed(
            &asked.prompts,
            &asked.conditions(),
            &mut |prefix| {
                kept.insert(prefix.tokens.to_vec(), prefix.score);
            },
        )?;
        let items =
            found.first().map(|found| self.items(found, history, wanted)).unwrap_or_default();
        let whole: Vec<Vec<u32>> =
            items.iter().filter_map(|found| self.constraint.flat(found.item)).collect();
        kept.retain(|prefix, _| whole.iter().any(|tokens| tokens.starts_with(prefix)));
        Ok(Explained { items, prefixes: kept.into_iter().collect() })
    }

    fn ask<H: AsRef<[ItemId]>>(
        &self,
        histories: &[H],
        wanted: &Wanted,
    ) -> Result<Users, TrainError> {
        let TrainedPolicy { model, tokenizer, catalog, .. } = &self.policy;
        let tasks = Tasks::new(self.dataset, catalog, &self.prompts)?;
        let encoder = Encoder::new(tokenizer, catalog, &self.prompts)?;
        let (mut rows, mut excluded) = (Vec::new(), Vec::new());
        for history in histories {
            let history = history.as_ref();
            if history.is_empty() {
                return Err(TrainError::NoSamples { what: "a user without a history" });
            }
            let recent = &history[history.len().saturating_sub(self.max_history)..];
            rows.push(encoder.read(&tasks.next_item_prompt(recent)?)?);
            if wanted.seen == SeenItems::Removed {
                excluded.push(Excluded::new(self.constraint.trie(), history.iter().copied())?);
            }
        }
        let limit = model.longest_prompt(self.constraint.max_len());
        let prompts = TokenBatch::new(&rows, tokenizer.pad(), limit, model.device())?;
        Ok(Users { prompts, excluded })
    }

    fn search(&self, wanted: &Wanted) -> BeamSearch<'_> {
        BeamSearch {
            model: &self.policy.model,
            constraint: &self.constraint,
            beam_width: wanted.beam_width.max(wanted.num_items),
            scoring: self.scoring,
        }
    }

    fn items(&self, found: &[Hypothesis], history: &[ItemId], wanted: &Wanted) -> Vec<Recommended> {
        let trie = self.constraint.trie();
        let items = found.iter().flat_map(|found| {
            let score = found.score;
            trie.items(found.node).iter().map(move |item| Recommended { item: *item, score })
        });
        // An item that shares its Semantic ID with one that was not seen is still found.
        let unwanted = |item: &ItemId| wanted.seen == SeenItems::Removed && history.contains(item);
        items.filter(|found| !unwanted(&found.item)).take(wanted.num_items).collect()
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
