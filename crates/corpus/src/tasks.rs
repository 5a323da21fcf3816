//! Samples as text: what a tokenizer turns into training and evaluation rows.

use serde::{Deserialize, Serialize};
use sidereal_sid::{Catalog, ItemId};

use crate::control::control_token;
use crate::{
    CorpusError, Dataset, HeldOut, Item, PromptRegistry, Sample, SampleId, Task, TrainSet,
};

/// A sample as text, with its identity and its truth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Rendered {
    /// Which sample; unique together with `task`.
    pub id: SampleId,
    /// What is asked.
    pub task: Task,
    /// The item that the completion speaks of.
    pub target: ItemId,
    /// What the model reads.
    pub prompt: String,
    /// What the model must write: the only part with a loss.
    pub completion: String,
}

/// Renders the samples of a dataset under one catalogue and one registry of prompts.
///
/// ```
/// use std::num::NonZeroUsize;
/// use sidereal_corpus::{Dataset, HeldOut, Item, ItemId, PromptRegistry, Task, Tasks, User};
/// use sidereal_sid::{Catalog, SemanticId, SidSpec};
///
/// let items = ["an apple", "a bean", "corn"].map(|title| Item::new(title, title)).to_vec();
/// let dataset = Dataset::new(items, vec![User::new("u", [2, 0, 1].map(ItemId).to_vec())])?;
/// let sids = [[0, 0], [0, 1], [1, 0]].map(SemanticId::from).to_vec();
/// let catalog = Catalog::new(SidSpec::new(vec![2, 2], 0)?, sids)?;
/// let prompts = PromptRegistry::builtin()?;
/// let tasks = Tasks::new(&dataset, &catalog, &prompts)?;
///
/// let split = sidereal_corpus::leave_one_out(&dataset, NonZeroUsize::MAX)?;
/// let test = tasks.next_item(&split.test.sample(0).unwrap())?;
/// assert_eq!(test.prompt, "next:<a_1><b_0><a_0><b_0>");
/// assert_eq!((test.completion.as_str(), test.target), ("<a_0><b_1>", ItemId(1)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Tasks<'a> {
    items: &'a [Item],
    prompts: &'a PromptRegistry,
    /// Token notation of each item's Semantic ID, `[N]`.
    sids: Vec<String>,
}

impl<'a> Tasks<'a> {
    /// Tasks over the items of `dataset`, named by `catalog`, worded by `prompts`.
    ///
    /// # Errors
    /// [`CorpusError::CatalogSize`] for a catalogue of other items;
    /// [`CorpusError::ControlToken`] for a title that a tokenizer would take for a Semantic ID or
    /// a chat marker.
    pub fn new(
        dataset: &'a Dataset,
        catalog: &Catalog,
        prompts: &'a PromptRegistry,
    ) -> Result<Self, CorpusError> {
        if catalog.num_items() != dataset.num_items() {
            let (catalog, dataset) = (catalog.num_items(), dataset.num_items());
            return Err(CorpusError::CatalogSize { catalog, dataset });
        }
        for item in dataset.items() {
            if let Some(token) = control_token(&item.title) {
                let (item, token) = (item.key.clone(), token.to_owned());
                return Err(CorpusError::ControlToken { item, token });
            }
        }
        let sids = catalog.sids().iter().map(ToString::to_string).collect();
        Ok(Self { items: dataset.items(), prompts, sids })
    }

    /// The next-item sample as text.
    ///
    /// # Errors
    /// [`CorpusError::ItemRange`] for a sample of another dataset; [`CorpusError::Template`].
    pub fn next_item(&self, sample: &Sample<'_>) -> Result<Rendered, CorpusError> {
        let history = self.history(sample.history)?;
        let text = self.prompts.next_item(&history, self.sid(sample.target)?)?;
        Ok(Rendered {
            id: sample.id,
            task: Task::NextItem,
            target: sample.target,
            prompt: text.prompt,
            completion: text.completion,
        })
    }

    /// The prompt after `history`, earliest first, for serving.
    ///
    /// # Errors
    /// [`CorpusError::ItemRange`] for an unknown item; [`CorpusError::Template`].
    pub fn next_item_prompt(&self, history: &[ItemId]) -> Result<String, CorpusError> {
        self.prompts.next_item_prompt(&self.history(history)?)
    }

    /// A task about one item; `None` for an item without a title and for [`Task::NextItem`],
    /// which is about a user.
    ///
    /// # Errors
    /// [`CorpusError::ItemRange`] for an unknown item; [`CorpusError::Template`].
    pub fn item(&self, task: Task, item: ItemId) -> Result<Option<Rendered>, CorpusError> {
        let sid = self.sid(item)?;
        let title = self.items.get(item.index()).map_or("", |item| item.title.as_str());
        if title.is_empty() || task == Task::NextItem {
            return Ok(None);
        }
        let text = self.prompts.item(task, title, sid)?;
        let id = SampleId::Item(item);
        let (prompt, completion) = (text.prompt, text.completion);
        Ok(Some(Rendered { id, task, target: item, prompt, completion }))
    }

    /// Everything to learn from, one task after the other in the order of `tasks`: next-item
    /// samples in the order of [`TrainSet::samples`], item tasks over all items by identity.
    pub fn train(
        &self,
        train: &TrainSet,
        tasks: &[Task],
    ) -> impl Iterator<Item = Result<Rendered, CorpusError>> {
        tasks.iter().flat_map(move |task| {
            let next = (*task == Task::NextItem).then(|| train.samples());
            let about_items = (*task != Task::NextItem).then(|| self.items_of(*task));
            next.into_iter()
                .flatten()
                .map(|sample| self.next_item(&sample))
                .chain(about_items.into_iter().flatten())
        })
    }

    /// The next-item samples of a held-out set, by user.
    pub fn held_out<'s>(
        &'s self,
        set: &'s impl HeldOut,
    ) -> impl Iterator<Item = Result<Rendered, CorpusError>> + 's {
        set.samples().map(|sample| self.next_item(&sample))
    }

    fn items_of(&self, task: Task) -> impl Iterator<Item = Result<Rendered, CorpusError>> {
        (0..).map(ItemId).zip(self.items).filter_map(move |(id, _)| self.item(task, id).transpose())
    }

    fn history(&self, items: &[ItemId]) -> Result<Vec<&str>, CorpusError> {
        items.iter().map(|item| self.sid(*item)).collect()
    }

    fn sid(&self, item: ItemId) -> Result<&str, CorpusError> {
        self.sids
            .get(item.index())
            .map(String::as_str)
            .ok_or(CorpusError::ItemRange { item, num_items: self.sids.len() })
    }
}
