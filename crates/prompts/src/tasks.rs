//! Samples as text: what a tokenizer turns into training and evaluation rows.

use sidereal_sid::{Catalog, ItemId, TokenStyle};

mod behaviours;
mod pools;
mod queries;
mod render;
mod rendered;
mod subject;

pub use pools::{PoolConfig, Pools};
pub use rendered::Rendered;
use sidereal_data::{Dataset, HeldOut, Item, Sample, SampleId, TrainSet};

use self::subject::{Subject, present, shows};
use crate::rewriting::split_rewriting;
use crate::{
    ControlMarkers, EnrichmentKind, Enrichments, Facts, Prompt, PromptError, PromptSet, REWRITING,
    Task, Variable, Wording,
};

/// Renders the samples of a dataset under one catalogue and one set of prompts.
///
/// ```
/// use std::num::NonZeroUsize;
/// use sidereal_data::{Dataset, HeldOut, Item, ItemId, User, leave_one_out};
/// use sidereal_prompts::{PromptRegistry, Task, Tasks, Wording};
/// use sidereal_sid::{Catalog, SemanticId, SidSpec};
///
/// let items = ["an apple", "a bean", "corn"].map(|title| Item::new(title, title)).to_vec();
/// let dataset = Dataset::new(items, vec![User::new("u", [2, 0, 1].map(ItemId).to_vec())])?;
/// let sids = [[0, 0], [0, 1], [1, 0]].map(SemanticId::from).to_vec();
/// let catalog = Catalog::new(SidSpec::new(vec![2, 2], 0)?, sids)?;
/// let prompts = PromptRegistry::builtin()?;
/// let tasks = Tasks::new(&dataset, &catalog, prompts.set("terse")?)?;
///
/// let split = leave_one_out(&dataset, NonZeroUsize::MAX)?;
/// let test = tasks.next_item(&split.test.sample(0).unwrap())?;
/// assert_eq!(test.prompt.plain(), Some("next:<a_1><b_0><a_0><b_0>"));
/// assert_eq!((test.completion_text().as_str(), test.target), ("<a_0><b_1>", Some(ItemId(1))));
///
/// let tasks = Tasks::new(&dataset, &catalog, prompts.set("singer")?)?;
/// let wording = Wording::Varied { seed: 1, epoch: 0 };
/// let title = tasks.item(Task::SidToTitle, ItemId(1), wording)?.unwrap();
/// assert!(title.prompt.messages().unwrap()[1].content.contains("<a_0><b_1>"));
/// assert_eq!(title.completion_text(), "a bean");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Tasks<'a> {
    dataset: &'a Dataset,
    prompts: &'a PromptSet,
    /// Token notation of each item's Semantic ID, `[N]`.
    sids: Vec<String>,
    enrichments: Option<&'a Enrichments>,
    pools: Option<&'a Pools<'a>>,
    markers: ControlMarkers,
    /// How codes are written.
    style: TokenStyle,
    /// Words of a description, or of a user's portrait, that are shown.
    description_words: usize,
    /// Items to learn about; `None` for all.
    items: Option<Vec<ItemId>>,
    /// The place of the behaviour that is asked for; `None` for one drawn by the sample.
    behaviour: Option<usize>,
}

impl<'a> Tasks<'a> {
    /// Tasks over the items of `dataset`, named by `catalog`, worded by `prompts`.
    ///
    /// # Errors
    /// [`PromptError::CatalogSize`] for a catalogue of other items; [`PromptError::ControlToken`]
    /// for a title, or a description that `prompts` show, which a tokenizer would take for a
    /// Semantic ID, a chat marker or a tag of reasoning. Other control tokens of the tokenizer in
    /// use are checked by [`with_markers`](Self::with_markers).
    pub fn new(
        dataset: &'a Dataset,
        catalog: &Catalog,
        prompts: &'a PromptSet,
    ) -> Result<Self, PromptError> {
        if catalog.num_items() != dataset.num_items() {
            let (catalog, dataset) = (catalog.num_items(), dataset.num_items());
            return Err(PromptError::CatalogSize { catalog, dataset });
        }
        let spec = catalog.spec();
        let sids = catalog.sids().iter().map(|sid| spec.text(sid)).collect();
        let description_words = usize::MAX;
        Self {
            dataset,
            prompts,
            sids,
            enrichments: None,
            pools: None,
            markers: ControlMarkers::default().with_style(spec.style().clone()),
            style: spec.style().clone(),
            description_words,
            items: None,
            behaviour: None,
        }
        .checked()
    }

    /// The same tasks for a tokenizer that takes these for control tokens as well: `</s>` in a title
    /// would be the end of the text.
    ///
    /// ```
    /// use sidereal_data::{Dataset, Item, ItemId, User};
    /// use sidereal_prompts::{ControlMarkers, PromptRegistry, Tasks};
    /// use sidereal_sid::{Catalog, SemanticId, SidSpec};
    ///
    /// let items = vec![Item::new("x", "Cap </s> lock")];
    /// let dataset = Dataset::new(items, vec![User::new("u", vec![ItemId(0)])])?;
    /// let catalog = Catalog::new(SidSpec::new(vec![2], 0)?, vec![SemanticId::from([0])])?;
    /// let prompts = PromptRegistry::builtin()?;
    /// let tasks = Tasks::new(&dataset, &catalog, prompts.set("singer")?)?;
    /// let refused = tasks.with_markers(&ControlMarkers::new(["<s>", "</s>"]));
    /// assert!(refused.unwrap_err().to_string().contains("its title contains `</s>`"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`PromptError::ControlToken`] for a title, or a description that the prompts show, with such
    /// a token; [`PromptError::ControlTokenInText`] for a teacher's text with one.
    pub fn with_markers(mut self, markers: &ControlMarkers) -> Result<Self, PromptError> {
        self.markers = markers.clone().with_style(self.style.clone());
        self.checked()
    }

    /// The same tasks with a teacher's texts.
    ///
    /// # Errors
    /// [`PromptError::ForeignEnrichment`] for texts of another dataset;
    /// [`PromptError::ForeignSid`] for a paragraph of another catalogue;
    /// [`PromptError::NoRewriting`] for a reasoning without that part, if the prompts show it;
    /// [`PromptError::ControlTokenInText`] for a text with a token of
    /// [`with_markers`](Self::with_markers).
    pub fn with_enrichments(mut self, texts: &'a Enrichments) -> Result<Self, PromptError> {
        texts.check(self.dataset)?;
        for text in texts.iter().filter(|text| text.kind == EnrichmentKind::ItemParagraph) {
            let SampleId::Item(item) = text.id else { continue };
            let sid = self.sid(item)?;
            if !text.text.contains(sid) {
                return Err(PromptError::ForeignSid { item, sid: sid.to_owned() });
            }
        }
        let outputs = self.prompts.outputs(Task::Reasoning);
        if outputs.is_ok_and(|shown| shown.contains(&Variable::Rewriting)) {
            let mut chains = texts.iter().filter(|text| text.kind == EnrichmentKind::Reasoning);
            if let Some(text) = chains.find(|text| split_rewriting(&text.text).is_none()) {
                let set = self.prompts.name().to_owned();
                return Err(PromptError::NoRewriting { set, id: text.id, label: REWRITING });
            }
        }
        texts.check_markers(&self.markers)?;
        self.enrichments = Some(texts);
        Ok(self)
    }

    /// The same tasks with candidates to choose from.
    #[must_use]
    pub const fn with_pools(mut self, pools: &'a Pools<'a>) -> Self {
        self.pools = Some(pools);
        self
    }

    /// The same tasks with descriptions and portraits cut after this many words.
    #[must_use]
    pub const fn with_description_words(mut self, most: usize) -> Self {
        self.description_words = most;
        self
    }

    /// The same tasks, but tasks about items only use these items, such as those of a domain.
    #[must_use]
    pub fn with_items(mut self, items: Vec<ItemId>) -> Self {
        self.items = Some(items);
        self
    }

    /// Items to learn about: all, or those of [`with_items`](Self::with_items).
    pub fn items(&self) -> impl Iterator<Item = ItemId> + '_ {
        let all = (0..).map(ItemId).take(self.dataset.num_items());
        let (all, some) = match &self.items {
            Some(items) => (None, Some(items.iter().copied())),
            None => (Some(all), None),
        };
        all.into_iter().flatten().chain(some.into_iter().flatten())
    }

    /// The wording.
    #[must_use]
    pub const fn prompts(&self) -> &'a PromptSet {
        self.prompts
    }

    /// The next-item sample as text, in the first paraphrase.
    ///
    /// # Errors
    /// As [`event`](Self::event).
    pub fn next_item(&self, sample: &Sample<'_>) -> Result<Rendered, PromptError> {
        self.asked(Task::NextItem, sample)
    }

    /// The prompt after `history`, earliest first, for serving.
    ///
    /// # Errors
    /// [`PromptError::ItemRange`] for an unknown item; [`PromptError::NoTemplate`].
    pub fn next_item_prompt(&self, history: &[ItemId]) -> Result<Prompt, PromptError> {
        let facts = Facts { history: Some(self.sids_of(history)?), ..Facts::default() };
        self.prompts.prompt(Task::NextItem, 0, &facts)
    }

    /// The prompt after `history`, earliest first, of a policy that reasons before it answers.
    ///
    /// # Errors
    /// As [`next_item_prompt`](Self::next_item_prompt).
    pub fn reasoning_prompt(&self, history: &[ItemId]) -> Result<Prompt, PromptError> {
        let facts = Facts { history: Some(self.sids_of(history)?), ..Facts::default() };
        self.prompts.prompt(Task::Reasoning, 0, &facts)
    }

    /// A task about an event of a user; `None` if an item lacks a text that the prompt shows.
    ///
    /// # Errors
    /// [`PromptError::ItemRange`] for a sample of another dataset; [`PromptError::WrongTask`] for
    /// a task that is about something else; [`PromptError::NoPool`] and those of [`Pools::draw`]
    /// for a task over candidates; [`PromptError::NoTemplate`].
    pub fn event(
        &self,
        task: Task,
        sample: &Sample<'_>,
        wording: Wording,
    ) -> Result<Option<Rendered>, PromptError> {
        if task.is_about_an_item() || task.is_about_a_query() || task == Task::Chat {
            return Err(PromptError::WrongTask { task, what: "an event of a user" });
        }
        let candidates = self.candidates(task, sample)?;
        let subject = Subject {
            id: sample.id,
            sample: Some(*sample),
            target: sample.target,
            history: sample.history,
            candidates,
            query: None,
        };
        self.render(task, subject, wording)
    }

    /// A task about one item; `None` if it lacks a text that the prompt shows.
    ///
    /// # Errors
    /// [`PromptError::ItemRange`] for an unknown item; [`PromptError::WrongTask`] for a task that
    /// is about something else; [`PromptError::NoTemplate`].
    pub fn item(
        &self,
        task: Task,
        item: ItemId,
        wording: Wording,
    ) -> Result<Option<Rendered>, PromptError> {
        if !task.is_about_an_item() {
            return Err(PromptError::WrongTask { task, what: "one item" });
        }
        let id = SampleId::Item(item);
        let subject = Subject {
            id,
            sample: None,
            target: item,
            history: &[],
            candidates: Vec::new(),
            query: None,
        };
        self.render(task, subject, wording)
    }

    /// Everything to learn from, one task after the other in the order of `tasks`: those about
    /// events in the order of [`TrainSet::samples`], those about items over [`items`](Self::items), those about
    /// queries in the order of [`queries`](Self::queries).
    ///
    /// Samples that lack a text are left out. Which ones these are, and the order, do not depend on
    /// the wording.
    pub fn train(
        &self,
        train: &TrainSet,
        tasks: &[Task],
        wording: Wording,
    ) -> impl Iterator<Item = Result<Rendered, PromptError>> {
        let rendered = tasks.iter().copied().flat_map(move |task| {
            let about_items = task.is_about_an_item();
            let about_queries = task.is_about_a_query();
            let events = (!(about_items || about_queries)).then(|| train.samples());
            let items = about_items.then(|| self.items());
            let queries = about_queries.then(|| self.queries(train));
            let events = events.into_iter().flatten();
            let items = items.into_iter().flatten();
            let queries = queries.into_iter().flatten();
            events
                .map(move |sample| self.event(task, &sample, wording))
                .chain(items.map(move |item| self.item(task, item, wording)))
                .chain(queries.map(move |(user, place)| self.query(task, user, place, wording)))
        });
        let learnable = |rendered: &Rendered| !rendered.completion.is_empty();
        rendered.filter_map(move |rendered| {
            rendered.map(|rendered| rendered.filter(learnable)).transpose()
        })
    }

    /// Every sample of a held-out set, by user, in the first paraphrase.
    ///
    /// # Errors
    /// Each as [`event`](Self::event); [`PromptError::MissingText`] instead of leaving one out.
    pub fn held_out<'s>(
        &'s self,
        set: &'s impl HeldOut,
        task: Task,
    ) -> impl Iterator<Item = Result<Rendered, PromptError>> + 's {
        set.samples().map(move |sample| self.asked(task, &sample))
    }

    /// A task about an event of a user, in the first paraphrase, whether or not there is anything
    /// to learn: for evaluation and reinforcement.
    ///
    /// # Errors
    /// As [`event`](Self::event); [`PromptError::MissingText`] if an item lacks a text that the
    /// prompt shows.
    pub fn asked(&self, task: Task, sample: &Sample<'_>) -> Result<Rendered, PromptError> {
        let rendered = self.event(task, sample, Wording::First)?;
        rendered.ok_or(PromptError::MissingText { id: sample.id, task })
    }

    /// The same, if no text that can be shown holds a control token.
    fn checked(self) -> Result<Self, PromptError> {
        let describes = self.prompts.tasks().any(|task| shows(task, Variable::Description));
        for item in self.dataset.items() {
            let description = if describes { item.description.as_str() } else { "" };
            for (field, text) in [("title", item.title.as_str()), ("description", description)] {
                if let Some(token) = self.markers.find(text) {
                    let (item, token) = (item.key.clone(), token.to_owned());
                    return Err(PromptError::ControlToken { item, field, token });
                }
            }
        }
        if let Some(texts) = self.enrichments {
            texts.check_markers(&self.markers)?;
        }
        if self.prompts.tasks().any(Task::is_about_a_query) {
            self.check_queries()?;
        }
        Ok(self)
    }

    fn sids_of(&self, items: &[ItemId]) -> Result<Vec<&str>, PromptError> {
        items.iter().map(|item| self.sid(*item)).collect()
    }

    /// `None` if one has no title.
    fn titles_of(&self, items: &[ItemId]) -> Result<Option<Vec<&str>>, PromptError> {
        items.iter().map(|item| Ok(present(&self.data(*item)?.title))).collect()
    }

    fn sid(&self, item: ItemId) -> Result<&str, PromptError> {
        let sid = self.sids.get(item.index()).map(String::as_str);
        sid.ok_or(PromptError::ItemRange { item, num_items: self.sids.len() })
    }

    fn data(&self, item: ItemId) -> Result<&Item, PromptError> {
        let num_items = self.dataset.num_items();
        self.dataset.item(item).ok_or(PromptError::ItemRange { item, num_items })
    }
}
