//! The prompts and the legal answers of policies, built once for a run.

pub(crate) mod heads;
pub(crate) mod items;
pub(crate) mod pools;
pub(crate) mod questions;
pub(crate) mod sid_lines;
pub(crate) mod tasks;
pub(crate) mod texts;
pub(crate) mod titles;

use std::borrow::Cow;
use std::num::NonZeroUsize;

use sidereal_data::{Dataset, ItemId, Sample, Split};
use sidereal_policy::{Constraint, SidTokenizer};
use sidereal_prompts::{Rendered, Task, Tasks, Wording};
use sidereal_sid::Catalog;
use sidereal_train::{
    Batching, Binding, EncodedPrompt, Encoder, Mode, Sequence, SlateAnswers, TrainError,
};
use tch::Device;

use crate::error::LabError;
use crate::pool_task::{is_over_all_titles, is_over_pool, is_slate};
use crate::recipe::pool::CandidatePools;
use crate::recipe::slate::{self, SlateConfig};
use crate::workbench::items::ItemTexts;
use crate::workbench::titles::Titles;

/// What all parts after the vocabulary share: the data, the prompts, and the legal answers.
pub(crate) struct Workbench<'a> {
    /// Seed of the run.
    pub(crate) seed: u64,
    /// The device of tensors.
    pub(crate) device: Device,
    pub(crate) dataset: &'a Dataset,
    pub(crate) split: &'a Split,
    pub(crate) catalog: &'a Catalog,
    /// Codes of a Semantic ID that say what an item is, from the first on; `None`: all levels of the
    /// catalogue.
    pub(crate) num_levels: Option<NonZeroUsize>,
    /// Semantic IDs of the catalogue.
    pub(crate) constraint: &'a Constraint,
    /// What policies read.
    pub(crate) reads: Reads<'a>,
    /// Candidates that prompts show.
    pub(crate) pool: Option<CandidatePools>,
    /// Slates out of the whole catalogue.
    pub(crate) slate: Option<SlateConfig>,
    /// Hashes of what policies are made for. A policy that was made for something else is an error.
    pub(crate) made_for: Binding,
}

/// What the policies of a run read.
pub(crate) enum Reads<'a> {
    /// Words, as language models do.
    Words(Box<Words<'a>>),
    /// Items; prompts are rows of item ids.
    Items(ItemTexts<'a>),
}

/// How users are put into words.
pub(crate) struct Words<'a> {
    pub(crate) tokenizer: &'a SidTokenizer,
    /// The prompts, as text.
    pub(crate) tasks: &'a Tasks<'a>,
    /// The prompts, as tokens.
    pub(crate) encoder: Encoder<'a>,
    /// Titles of all items, for stages that answer in them.
    pub(crate) titles: Option<Titles>,
    /// Semantic IDs of all items, a line each, for stages that answer in slates of them.
    pub(crate) sid_lines: Option<Constraint>,
}

impl Words<'_> {
    /// The legal answers to a task that does not answer with one Semantic ID.
    fn answers(&self, task: Task) -> Option<&Constraint> {
        match task {
            task if task == Task::TitleChoice || is_over_all_titles(task) => {
                self.titles.as_ref().map(|titles| &titles.whole)
            }
            Task::TitleSlate => self.titles.as_ref().map(|titles| &titles.lines),
            Task::SidSlate | Task::CatalogueSlate => self.sid_lines.as_ref(),
            _ => None,
        }
    }
}

impl<'a> Workbench<'a> {
    /// The prompts of policies that read words; `what` names what they are for.
    ///
    /// # Errors
    /// [`LabError::NoWords`] if policies read items.
    pub(crate) fn words(&self, what: &'static str) -> Result<&Words<'a>, LabError> {
        match &self.reads {
            Reads::Words(words) => Ok(words),
            Reads::Items(_) => Err(LabError::NoWords { what }),
        }
    }

    /// Id that fills short rows.
    pub(crate) fn pad(&self) -> u32 {
        match &self.reads {
            Reads::Words(words) => words.tokenizer.pad(),
            Reads::Items(_) => 0,
        }
    }
}

impl Workbench<'_> {
    /// The inputs of every part that uses the workbench: what policies are made for, the candidates, and
    /// the slates.
    pub(crate) fn inputs(&self) -> Result<Binding, LabError> {
        let mut inputs = self.made_for.clone();
        pools::bind(self.pool.as_ref(), self.slate, self.seed, &mut inputs)?;
        Ok(inputs)
    }

    /// The legal answers to a task.
    pub(crate) fn answers(&self, task: Task) -> &Constraint {
        let written = match &self.reads {
            Reads::Words(words) => words.answers(task),
            Reads::Items(_) => None,
        };
        written.unwrap_or(self.constraint)
    }

    /// What is needed to write the slates of a task; `None` for a task without slates.
    pub(crate) fn slates(&self, task: Task) -> Option<SlateAnswers<'_>> {
        let Reads::Words(words) = &self.reads else { return None };
        Some(SlateAnswers {
            lines: words.answers(task).filter(|_| is_slate(task))?,
            slate_size: slate::size(self.slate, self.pool.as_ref())?,
            end_of_turn: words.tokenizer.end_of_turn(),
            pad: words.tokenizer.pad(),
        })
    }

    /// A task about samples, with the answers to learn.
    pub(crate) fn sequences(
        &self,
        task: Task,
        samples: &[Sample<'_>],
    ) -> Result<Vec<Sequence>, LabError> {
        let (rendered, words) = (self.rendered(task, samples)?, self.words("a sequence")?);
        // A target without a title has nothing to learn.
        let learnable = rendered.iter().filter(|sample| !sample.completion.is_empty());
        let sequences = learnable.map(|sample| words.encoder.sequence(sample));
        Ok(sequences.collect::<Result<_, TrainError>>()?)
    }

    /// How the users of `job` are decoded, `batch_size` together.
    pub(crate) fn batching<'b>(&self, batch_size: usize, job: &'b str) -> Batching<'b> {
        Batching { pad: self.pad(), batch_size, job }
    }

    /// Prompts of a task about samples.
    pub(crate) fn prompts(
        &self,
        task: Task,
        samples: &[Sample<'_>],
    ) -> Result<Vec<EncodedPrompt>, LabError> {
        match &self.reads {
            Reads::Words(words) => Ok(words.encoder.prompts(&self.rendered(task, samples)?)?),
            Reads::Items(_) => Ok(samples.iter().map(prompt_of_items).collect()),
        }
    }

    /// The items without a title.
    pub(crate) fn untitled(&self) -> impl Iterator<Item = ItemId> + '_ {
        let items = (0..).map(ItemId).zip(self.dataset.items());
        items.filter(|(_, item)| item.title.trim().is_empty()).map(|(id, _)| id)
    }

    /// A task about samples, as text. Where the history is shown in titles, items without one are not shown. If the answer comes from a pool, samples with an item without a
    /// title are left out, because they cannot be asked or answered. The log says how many they are.
    pub(crate) fn rendered(
        &self,
        task: Task,
        samples: &[Sample<'_>],
    ) -> Result<Vec<Rendered>, LabError> {
        let tasks = self.words("a prompt as text")?.tasks;
        if !is_over_pool(task) {
            let in_titles = matches!(task, Task::TitleHistoryToTitle | Task::TitleHistoryToItem);
            let untitled: Vec<ItemId> =
                if in_titles { self.untitled().collect() } else { Vec::new() };
            let mut shortened = 0;
            let asked = samples.iter().map(|sample| {
                let history = without(sample.history, &untitled);
                shortened += usize::from(history.len() < sample.history.len());
                let mut shown: Sample<'_> = *sample;
                shown.history = &history;
                tasks.asked(task, &shown)
            });
            let asked = asked.collect::<Result<_, _>>()?;
            if shortened > 0 {
                tracing::warn!(%task, shortened, of = samples.len(), "histories shown without items that have no title");
            }
            return Ok(asked);
        }
        let rendered = samples
            .iter()
            .map(|sample| {
                let rendered = tasks.event(task, sample, Wording::First)?;
                Ok(rendered.filter(|rendered| !rendered.completion.is_empty()))
            })
            .collect::<Result<Vec<_>, LabError>>()?;
        let rendered: Vec<Rendered> = rendered.into_iter().flatten().collect();
        let untitled = samples.len() - rendered.len();
        if untitled > 0 {
            tracing::warn!(%task, untitled, of = samples.len(), "samples without a title left out");
        }
        Ok(rendered)
    }
}

/// The items that are not among `others`.
fn without<'a>(items: &'a [ItemId], others: &[ItemId]) -> Cow<'a, [ItemId]> {
    if items.iter().any(|item| others.contains(item)) {
        items.iter().filter(|item| !others.contains(item)).copied().collect()
    } else {
        Cow::Borrowed(items)
    }
}

/// The whole history of a sample as the prompt of a policy that reads items. The policy reads the latest
/// items.
fn prompt_of_items(sample: &Sample<'_>) -> EncodedPrompt {
    EncodedPrompt {
        id: sample.id,
        target: sample.target,
        mode: Mode::Direct,
        pool: Vec::new(),
        ids: sample.history.iter().map(|item| item.0).collect(),
    }
}
