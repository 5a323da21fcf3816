//! What policies are asked with and answer in, built once for a run.

pub(crate) mod pools;
pub(crate) mod tasks;
pub(crate) mod texts;
pub(crate) mod titles;

use sidereal_data::{Dataset, Sample, Split};
use sidereal_policy::{Constraint, SidTokenizer};
use sidereal_prompts::{Rendered, Task, Tasks, Wording};
use sidereal_sid::Catalog;
use sidereal_train::{Batching, Binding, EncodedPrompt, Encoder, SlateAnswers};
use tch::Device;

use crate::error::LabError;
use crate::pool_task::is_over_pool;
use crate::recipe::pool::CandidatePools;
use crate::workbench::titles::Titles;

/// What every part after the vocabulary works with: the data, how they are put to a policy, and what may
/// be written as an answer.
pub(crate) struct Workbench<'a> {
    /// Seed of the run.
    pub(crate) seed: u64,
    /// Where tensors live.
    pub(crate) device: Device,
    pub(crate) dataset: &'a Dataset,
    pub(crate) split: &'a Split,
    pub(crate) catalog: &'a Catalog,
    pub(crate) tokenizer: &'a SidTokenizer,
    /// The prompts, as text.
    pub(crate) tasks: &'a Tasks<'a>,
    /// The prompts, as tokens.
    pub(crate) encoder: Encoder<'a>,
    /// Semantic IDs of the catalogue.
    pub(crate) constraint: &'a Constraint,
    /// Titles of all items, for stages that answer in them.
    pub(crate) titles: Option<Titles>,
    /// Candidates that prompts show.
    pub(crate) pool: Option<CandidatePools>,
    /// Hashes of what policies are made for: a policy that was made for something else is refused.
    pub(crate) made_for: Binding,
}

impl Workbench<'_> {
    /// What every part that works here reads: what policies are made for, and the candidates.
    pub(crate) fn inputs(&self) -> Result<Binding, LabError> {
        let mut inputs = self.made_for.clone();
        pools::bind(self.pool.as_ref(), self.seed, &mut inputs)?;
        Ok(inputs)
    }

    /// What may be written as the answer to a task.
    pub(crate) fn answers(&self, task: Task) -> &Constraint {
        match (&self.titles, task) {
            (Some(titles), Task::TitleChoice) => &titles.whole,
            (Some(titles), Task::TitleSlate) => &titles.lines,
            _ => self.constraint,
        }
    }

    /// What the slates of a task are made of; `None` for a task that asks for none.
    pub(crate) fn slates(&self, task: Task) -> Option<SlateAnswers<'_>> {
        let titles = self.titles.as_ref().filter(|_| task == Task::TitleSlate)?;
        Some(SlateAnswers {
            lines: &titles.lines,
            slate_size: self.pool.and_then(|pool| pool.slate_size)?,
            end_of_turn: self.tokenizer.end_of_turn(),
            pad: self.tokenizer.pad(),
        })
    }

    /// How the users of `job` are decoded, so many together.
    pub(crate) fn batching<'b>(&self, batch_size: usize, job: &'b str) -> Batching<'b> {
        Batching { pad: self.tokenizer.pad(), batch_size, job }
    }

    /// Prompts of a task about samples.
    pub(crate) fn prompts(
        &self,
        task: Task,
        samples: &[Sample<'_>],
    ) -> Result<Vec<EncodedPrompt>, LabError> {
        Ok(self.encoder.prompts(&self.rendered(task, samples)?)?)
    }

    /// A task about samples, as text. Of a task that is answered out of a pool, samples with an item that
    /// has no title cannot be asked or not be answered: they are left out, and the log says how many.
    pub(crate) fn rendered(
        &self,
        task: Task,
        samples: &[Sample<'_>],
    ) -> Result<Vec<Rendered>, LabError> {
        if !is_over_pool(task) {
            let asked = samples.iter().map(|sample| self.tasks.asked(task, sample));
            return Ok(asked.collect::<Result<_, _>>()?);
        }
        let rendered = samples
            .iter()
            .map(|sample| {
                let rendered = self.tasks.event(task, sample, Wording::First)?;
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
