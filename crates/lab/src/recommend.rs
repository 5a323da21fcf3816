//! A trained policy that answers users.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use sidereal_data::{Dataset, SampleId, Split, UserId};
use sidereal_metrics::SeenItems;
use sidereal_policy::{
    BeamSearch, Conditions, Constraint, Excluded, Hypothesis, Policy as _, SidTokenizer,
    TokenBatch, as_language_model,
};
use sidereal_prompts::{ControlMarkers, PromptRegistry, PromptSet, Tasks};
use sidereal_sid::{Catalog, ItemId};
use sidereal_train::{
    Batching, Binding, ChainConfig, EncodedPrompt, Encoder, ItemScores, Mode, ReasoningSearch,
    Record, search_guided,
};
use tch::Device;

use crate::error::LabError;
use crate::policy_folder::{PolicyCard, TrainedPolicy};
use crate::pool_task::answers_with_sid;
use crate::recipe::Recipe;
use crate::recipe::stage::Stage;
use crate::resume::recipe_of;

/// The policy of a stage of a finished run, with everything that is needed to use it.
#[derive(Debug)]
pub struct TrainedStage {
    dir: PathBuf,
    /// `None` for a folder of a policy that stands alone.
    recipe: Option<Recipe>,
    card: PolicyCard,
    policy: TrainedPolicy,
    constraint: Constraint,
    /// `None` for a policy that reads items.
    prompts: Option<PromptSet>,
}

/// Recommends items with the policy of a stage, by Semantic IDs and without reasoning.
#[derive(Debug)]
pub struct PolicyRecommender<'a> {
    trained: &'a TrainedStage,
    dataset: &'a Dataset,
    /// `None` for a policy that reads items.
    words: Option<Words<'a>>,
}

/// The prompts of a policy that reads words.
#[derive(Debug)]
struct Words<'a> {
    tokenizer: &'a SidTokenizer,
    tasks: Tasks<'a>,
    encoder: Encoder<'a>,
}

/// What to recommend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Largest number of items for each user.
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
    /// Log-probability of its Semantic ID, nats; it does not order items that share one. For a
    /// [blend](crate::ServedBlend), the score by which it ranks.
    pub score: f32,
}

/// Recommended items and how the search found them.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Explained {
    /// Best first.
    pub items: Vec<Recommended>,
    /// Every prefix of their Semantic IDs, in flat tokens, with its log-probability, parents before
    /// children.
    pub prefixes: Vec<(Vec<u32>, f32)>,
}

/// How a policy reasons before it answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HowToReason {
    /// How chains of thought are drawn.
    pub chain: ChainConfig,
    /// Chains, whose answers are merged. Range `1..`.
    pub num_chains: usize,
    /// Seed of the draws.
    pub seed: u64,
}

/// Recommended items and the chains of thought that led to them.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ReasonedItems {
    /// Best first, by the mean of their probabilities after each chain.
    pub items: Vec<Recommended>,
    /// The chains, with the answer after each.
    pub chains: Vec<ReasonedChain>,
}

/// A chain of thought and the answer that was drawn after it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReasonedChain {
    /// The chain.
    pub text: String,
    /// Items of the Semantic ID that was drawn after it: several if they share it.
    pub answer: Vec<ItemId>,
}

impl TrainedStage {
    /// Opens a stage in the folder of a run (without a name, the last one), or the folder of one
    /// policy, which may have been copied to any place.
    ///
    /// # Errors
    /// Missing and damaged files by name; [`LabError::UnknownStage`]; [`LabError::Setting`] for a
    /// stage that answers with titles.
    pub fn open(path: &Path, stage: Option<&str>, device: Device) -> Result<Self, LabError> {
        if TrainedPolicy::is_whole(path) {
            let mut policy = TrainedPolicy::open(path, device)?;
            if let Some(card) = policy.card.take() {
                if let Some(name) = stage.filter(|name| *name != card.stage) {
                    let (name, found) = (name.to_owned(), card.stage);
                    return Err(LabError::UnknownStage { name, found });
                }
                return Self::new(path.to_owned(), None, card, policy, device);
            }
        }
        let recipe = recipe_of(path)?;
        let none = || LabError::NoSamples { what: "a recipe without stages" };
        let stage = match stage {
            Some(name) => recipe.stage(name)?,
            None => recipe.stages.last().ok_or_else(none)?,
        };
        let dir = path.join(&stage.name);
        let mut policy = TrainedPolicy::open(&dir, device)?;
        let card = match policy.card.take() {
            Some(card) => card,
            None => PolicyCard::of_recipe(&recipe, stage)?,
        };
        Self::new(dir, Some(recipe), card, policy, device)
    }

    fn new(
        dir: PathBuf,
        recipe: Option<Recipe>,
        card: PolicyCard,
        mut policy: TrainedPolicy,
        device: Device,
    ) -> Result<Self, LabError> {
        if !answers_with_sid(card.task) {
            return Err(LabError::Setting {
                field: format!("stage.{}.task", card.stage),
                found: card.task.to_string(),
                needed: "a stage that answers with Semantic IDs",
            });
        }
        policy.model = policy.model.computing_in(card.compute.kind());
        let prompts = card.prompts.clone().map(PromptSet::new).transpose()?;
        let constraint = match &policy.tokenizer {
            Some(tokenizer) => Constraint::new(&policy.catalog, tokenizer, device)?,
            None => Constraint::of_codes(&policy.catalog, device)?,
        };
        Ok(Self { dir, recipe, card, policy, constraint, prompts })
    }

    /// Items and their Semantic IDs.
    #[must_use]
    pub const fn catalog(&self) -> &Catalog {
        &self.policy.catalog
    }

    /// How the policy is used.
    #[must_use]
    pub const fn card(&self) -> &PolicyCard {
        &self.card
    }

    /// The items with keys and titles, without users; `None` in folders of versions before they were kept.
    #[must_use]
    pub const fn items(&self) -> Option<&Dataset> {
        self.policy.items.as_ref()
    }

    /// Settings of the run; `None` for the folder of a policy that stands alone.
    #[must_use]
    pub const fn recipe(&self) -> Option<&Recipe> {
        self.recipe.as_ref()
    }

    /// A recommender that only needs the folder.
    ///
    /// # Errors
    /// [`LabError::NoItems`] for a folder of a version that did not store items: give it the data
    /// of the run ([`recommender`](Self::recommender)).
    pub fn standalone(&self) -> Result<PolicyRecommender<'_>, LabError> {
        let items = self.items().ok_or_else(|| LabError::NoItems { path: self.dir.clone() })?;
        self.check_prompts()?;
        self.over(items)
    }

    /// A recommender over the data of the run; `published` is the split that is published with some
    /// data.
    ///
    /// # Errors
    /// [`LabError::Binding`] for other data or prompts than those of the run; [`LabError::Prompt`]
    /// for a title that holds a control token of the tokenizer; those of the split; [`LabError::NoRun`] for
    /// the folder of a policy that stands alone.
    pub fn recommender<'a>(
        &'a self,
        dataset: &'a Dataset,
        published: Option<&Split>,
    ) -> Result<PolicyRecommender<'a>, LabError> {
        let Self { dir, recipe, policy, .. } = self;
        let split = match (published, recipe) {
            (Some(split), _) => split.hash(),
            (None, Some(recipe)) => recipe.split.split(dataset, recipe.max_history)?.hash(),
            (None, None) => return Err(LabError::NoRun { path: dir.clone() }),
        };
        let mut parts = Binding::from([("split".to_owned(), split)]);
        if let Some(domains) = dataset.domains() {
            parts.insert("domains".to_owned(), domains.hash());
        }
        policy.check(dir, &parts)?;
        self.check_prompts()?;
        self.over(dataset)
    }

    /// Accepts the prompts if they are those that the policy was trained on.
    fn check_prompts(&self) -> Result<(), LabError> {
        let Some(prompts) = &self.prompts else { return Ok(()) };
        let prompts = Binding::from([("prompts".to_owned(), prompts.hash().to_owned())]);
        self.policy.check(&self.dir, &prompts)
    }

    fn over<'a>(&'a self, dataset: &'a Dataset) -> Result<PolicyRecommender<'a>, LabError> {
        let TrainedPolicy { tokenizer, catalog, .. } = &self.policy;
        let words = match (tokenizer, &self.prompts) {
            (Some(tokenizer), Some(prompts)) => Some(Words {
                tokenizer,
                tasks: Tasks::new(dataset, catalog, prompts)?
                    .with_markers(&ControlMarkers::new(tokenizer.control_tokens()))?,
                encoder: Encoder::new(tokenizer, catalog, prompts, self.constraint.trie())?,
            }),
            _ => None,
        };
        Ok(PolicyRecommender { trained: self, dataset, words })
    }
}

impl PolicyCard {
    /// The card of a stage of a run that was made before there were cards.
    fn of_recipe(recipe: &Recipe, stage: &Stage) -> Result<Self, LabError> {
        Ok(Self {
            made_by: "a version of sidereal that wrote no cards".to_owned(),
            stage: stage.name.clone(),
            task: stage.task,
            scoring: stage.training.scoring(),
            compute: recipe.compute,
            max_history: recipe.max_history,
            batch_size: recipe.evaluate.batch_size,
            removes_seen: true,
            prompts: Some(PromptRegistry::builtin()?.set(&recipe.prompts)?.spec().clone()),
        })
    }
}

impl<'a> PolicyRecommender<'a> {
    /// The items that are recommended.
    #[must_use]
    pub const fn dataset(&self) -> &'a Dataset {
        self.dataset
    }

    /// The item that has this Semantic ID, key or title.
    ///
    /// # Errors
    /// [`LabError::Data`] for a text that names no item or several; [`LabError::UnknownSid`];
    /// [`LabError::Notation`] for a text that begins like a Semantic ID but is not one.
    pub fn find(&self, text: &str) -> Result<ItemId, LabError> {
        find(text, self.trained.catalog(), self.dataset)
    }

    /// Items for the users of these histories, earliest item first. Only the latest items of a
    /// history, as many as the policy reads, are used. Users are decoded together in batches of the
    /// same size as in the test of the recipe.
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
        for batch in order.chunks(self.trained.card.batch_size.max(1)) {
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

    /// As [`recommend`](Self::recommend) for one user, after the policy has reasoned in free text.
    ///
    /// # Errors
    /// As [`recommend`](Self::recommend); [`LabError::Prompt`] if the prompts of the policy have no
    /// texts for the task `reasoning`.
    pub fn reason(
        &self,
        history: &[ItemId],
        wanted: &Wanted,
        how: &HowToReason,
    ) -> Result<ReasonedItems, LabError> {
        let TrainedStage { card, policy, constraint, .. } = self.trained;
        if !policy.model.kind().reasons() {
            return Err(LabError::Setting {
                field: "reasoning".to_owned(),
                found: format!("asked of a policy of the kind `{}`", policy.model.kind()),
                needed: "a policy that reasons in free text: this one answers at once, ask it directly",
            });
        }
        let recent = self.recent(history)?;
        let words = self.words.as_ref().ok_or(LabError::NoWords { what: "reasoning" })?;
        let ids = words.encoder.ask_to_reason(&words.tasks.reasoning_prompt(recent)?)?;
        let Some(markers) = words.encoder.markers()? else {
            let name = card.prompts.as_ref().map(|prompts| prompts.name.as_str());
            return Err(LabError::Setting {
                field: "prompts".to_owned(),
                found: format!("`{}`", name.unwrap_or_default()),
                needed: "a prompt set with the task `reasoning`: this policy cannot reason, so ask it without reasoning",
            });
        };
        let search = ReasoningSearch {
            model: as_language_model(&policy.model, "reasoning")?,
            constraint,
            markers: &markers,
            chain: how.chain,
            scoring: card.scoring,
            seed: how.seed,
        };
        let pad = words.tokenizer.pad();
        let limit = search.longest_prompt();
        let tokens = TokenBatch::new(&[&ids], pad, limit, policy.model.device())?;
        // The identity only serves as a key for random numbers; the next item is not known.
        let id = SampleId::Event { user: UserId(0), position: 0 };
        let prompt =
            EncodedPrompt { id, ids, target: ItemId(0), mode: Mode::Reasoning, pool: Vec::new() };
        let width = wanted.beam_width.max(wanted.num_items.get());
        let found = search.reason(&[&prompt], &tokens, how.num_chains, width)?;
        let mut answer = ReasonedItems { items: Vec::new(), chains: Vec::new() };
        for reasoned in found {
            for rollout in &reasoned.rollouts {
                let chain: Vec<u32> = rollout.chain.ids().collect();
                let text = words.tokenizer.decode(&chain)?;
                let items = constraint.trie().items(rollout.answer.node).to_vec();
                answer.chains.push(ReasonedChain { text, answer: items });
            }
            let ranking = reasoned.ranking.found.iter().zip(&reasoned.ranking.scores);
            let items = ranking.flat_map(|(items, score)| {
                items.iter().map(|item| Recommended { item: *item, score: *score })
            });
            let seen = |item: &ItemId| wanted.seen == SeenItems::Removed && history.contains(item);
            answer.items.extend(items.filter(|found| !seen(&found.item)));
        }
        answer.items.truncate(wanted.num_items.get());
        Ok(answer)
    }

    /// What the policy alone says of the items that its beams find for the users of these histories when a prior
    /// guides them; `prior` gives that of the user at a place, `[N]`, −∞ for what must not be found.
    pub(crate) fn guided(
        &self,
        histories: &[&[ItemId]],
        beam_width: usize,
        prior: impl Fn(usize) -> Result<Vec<f32>, LabError>,
    ) -> Result<Vec<ItemScores>, LabError> {
        let (mut prompts, mut places) = (Vec::new(), BTreeMap::new());
        for (place, (user, history)) in (0..).map(UserId).zip(histories).enumerate() {
            // Nobody knows who asks, and what is chosen next.
            let id = SampleId::Event { user, position: 0 };
            let ids = self.read(self.recent(history)?)?;
            let (target, mode, pool) = (ItemId(0), Mode::Direct, Vec::new());
            prompts.push(EncodedPrompt { id, ids, target, mode, pool });
            places.insert(id, place);
        }
        let TrainedStage { card, policy, constraint, .. } = self.trained;
        let (model, scoring) = (&policy.model, card.scoring);
        let search = BeamSearch { model, constraint, beam_width, scoring };
        let batching = Batching { pad: self.pad(), batch_size: card.batch_size, job: "recommend" };
        let observer = &mut |_: &Record| {};
        search_guided(&search, &prompts, batching, observer, |prompt| prior(places[&prompt.id]))
    }

    /// Id that fills short rows.
    fn pad(&self) -> u32 {
        self.words.as_ref().map_or(0, |words| words.tokenizer.pad())
    }

    /// The part of a history that the policy reads.
    fn recent<'h>(&self, history: &'h [ItemId]) -> Result<&'h [ItemId], LabError> {
        let TrainedStage { card, policy, .. } = self.trained;
        if history.is_empty() {
            return Err(LabError::NoSamples { what: "a user without a history" });
        }
        if let Some(item) = history.iter().find(|item| policy.catalog.sid(**item).is_none()) {
            return Err(LabError::UnknownItem { item: *item });
        }
        Ok(&history[history.len().saturating_sub(card.max_history)..])
    }

    /// The ids that the policy reads for a history.
    fn read(&self, recent: &[ItemId]) -> Result<Vec<u32>, LabError> {
        Ok(match &self.words {
            Some(words) => words.encoder.ask(&words.tasks.next_item_prompt(recent)?)?,
            None => recent.iter().map(|item| item.0).collect(),
        })
    }

    fn ask(&self, histories: &[&[ItemId]], wanted: &Wanted) -> Result<Users, LabError> {
        let TrainedStage { policy, constraint, .. } = self.trained;
        let (mut rows, mut excluded) = (Vec::new(), Vec::new());
        for history in histories {
            let recent = self.recent(history)?;
            rows.push(self.read(recent)?);
            if wanted.seen == SeenItems::Removed {
                excluded.push(Excluded::new(constraint.trie(), history.iter().copied())?);
            }
        }
        let limit = policy.model.longest_prompt(constraint.max_len());
        let prompts = TokenBatch::new(&rows, self.pad(), limit, policy.model.device())?;
        Ok(Users { prompts, excluded })
    }

    fn search(&self, wanted: &Wanted) -> BeamSearch<'_> {
        BeamSearch {
            model: &self.trained.policy.model,
            constraint: &self.trained.constraint,
            beam_width: wanted.beam_width.max(wanted.num_items.get()),
            scoring: self.trained.card.scoring,
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

/// The item that has this Semantic ID, key or title.
pub(crate) fn find(text: &str, catalog: &Catalog, dataset: &Dataset) -> Result<ItemId, LabError> {
    let spec = catalog.spec();
    match spec.parse(text) {
        Ok(sid) => {
            let first = catalog.items(&sid).first().copied();
            first.ok_or_else(|| LabError::UnknownSid { sid: spec.text(&sid) })
        }
        Err(wrong) => match dataset.find(text) {
            Err(_) if text.starts_with('<') || spec.style().first_token(text).is_some() => {
                Err(wrong.into())
            }
            found => Ok(found?),
        },
    }
}

/// Users in the form that the search needs.
struct Users {
    prompts: TokenBatch,
    excluded: Vec<Excluded>,
}

impl Users {
    fn conditions(&self) -> Conditions<'_> {
        Conditions { excluded: &self.excluded, ..Conditions::default() }
    }
}
