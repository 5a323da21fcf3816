//! The samples of several tasks, in the words of each epoch.

use std::num::NonZeroUsize;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use rayon::prelude::*;
use sidereal_data::{ItemId, Sample, TrainSet, UserId};
use sidereal_prompts::{Chat, Cursor, Mixture, MixtureRow, Rendered, Shard, Task, Tasks, Wording};

use super::lessons::{Epoch, Lessons};
use super::mixture::check_epochs;
use super::{MixtureConfig, SftConfig};
use crate::TrainError;
use crate::encode::Encoder;
use crate::fold::Sequence;

/// A sample that could be rendered in one paraphrase can be rendered in all, so this error only
/// occurs if that fails.
const UNRENDERED: TrainError = TrainError::NoSamples { what: "a mixture of tasks" };

/// Samples of several tasks, mixed as configured; each is rendered when its batch is needed, in
/// the paraphrase of its epoch.
///
/// If prompts continue one another, next items are folded: there is one sequence for a whole
/// history.
#[derive(Debug)]
pub struct MixedTasks<'a> {
    data: MixedData<'a>,
    sources: Vec<Source>,
    mixture: Mixture,
    max_tokens: usize,
    cuts: Cuts,
    size: NonZeroUsize,
    total: usize,
    seed: u64,
}

/// Counts of samples that were too long, in the epochs so far.
#[derive(Debug, Default)]
struct Cuts {
    /// Samples that lost their earliest items.
    shortened: AtomicUsize,
    /// Samples with only a part of their answer.
    parts: AtomicUsize,
    /// Samples without anything left to learn.
    lost: AtomicUsize,
}

impl Cuts {
    fn report(&self, epoch: usize, max_tokens: usize) {
        let [shortened, parts, lost] =
            [&self.shortened, &self.parts, &self.lost].map(|count| count.load(Relaxed));
        if parts + lost > 0 {
            tracing::warn!(
                epoch,
                max_tokens,
                shortened,
                parts,
                lost,
                "samples so far that were too long: shortened by their earliest items, cut within \
                 their answer, without an answer left to learn; raise `mixture.max_tokens`"
            );
        } else if shortened > 0 {
            tracing::info!(
                epoch,
                max_tokens,
                shortened,
                "samples were too long and lost their earliest items"
            );
        }
    }
}

/// The data of a mixture of tasks.
#[derive(Debug, Clone, Copy)]
pub struct MixedData<'a> {
    /// Events to learn from.
    pub train: &'a TrainSet,
    /// Their wording, with the texts that the tasks need.
    pub tasks: &'a Tasks<'a>,
    /// From text to tokens.
    pub encoder: &'a Encoder<'a>,
    /// General conversations.
    pub chats: &'a [Chat],
}

/// The rows of a source.
#[derive(Debug)]
enum Source {
    /// Whole histories.
    Folded(Vec<Sequence>),
    /// Numbers of training events.
    Events(Task, Vec<usize>),
    Items(Task, Vec<ItemId>),
    /// Users and places among the items of their queries.
    Queries(Task, Vec<(UserId, u32)>),
    Chats(usize),
}

impl Source {
    fn len(&self) -> usize {
        match self {
            Self::Folded(rows) => rows.len(),
            Self::Events(_, rows) => rows.len(),
            Self::Items(_, rows) => rows.len(),
            Self::Queries(_, rows) => rows.len(),
            Self::Chats(len) => *len,
        }
    }
}

impl<'a> MixedTasks<'a> {
    /// The samples that can be learned. Each is rendered once to check this.
    ///
    /// # Errors
    /// Those of [`MixtureConfig::mixture`] and of rendering.
    pub fn new(
        config: &MixtureConfig,
        sft: &SftConfig,
        data: MixedData<'a>,
        seed: u64,
    ) -> Result<Self, TrainError> {
        let mut sources = config
            .tasks
            .iter()
            .map(|task| data.source(*task))
            .collect::<Result<Vec<_>, TrainError>>()?;
        let lens: Vec<usize> = sources.iter().map(Source::len).collect();
        for (task, rows) in config.tasks.iter().zip(&lens) {
            tracing::info!(%task, rows, "to learn");
        }
        let mixture = config.mixture(&lens, data.chats.len())?;
        check_epochs(&mixture, sft.epochs)?;
        sources.push(Source::Chats(data.chats.len()));
        let size = NonZeroUsize::new(sft.batch_size).unwrap_or(NonZeroUsize::MIN);
        let max_tokens = config.max_tokens;
        let cuts = Cuts::default();
        let mut mixed = Self { data, sources, mixture, max_tokens, cuts, size, total: 0, seed };
        for epoch in 0..sft.epochs {
            mixed.total += mixed.plan(epoch)?.len();
        }
        Ok(mixed)
    }

    /// The rows of each batch of an epoch.
    fn plan(&self, epoch: usize) -> Result<Vec<Vec<MixtureRow>>, TrainError> {
        let cursor = Cursor { epoch: epoch as u64, position: 0 };
        let mut batches = self.mixture.resume(self.size, self.seed, Shard::WHOLE, cursor)?;
        Ok((0..batches.batches_in_epoch()).map(|_| batches.next_batch().to_vec()).collect())
    }

    fn sequence(&self, row: MixtureRow, epoch: usize) -> Result<Sequence, TrainError> {
        let MixedData { train, tasks, encoder, chats, .. } = self.data;
        let wording = Wording::Varied { seed: self.seed, epoch: epoch as u64 };
        let rendered = match &self.sources[row.source] {
            Source::Folded(rows) => return Ok(self.cut(rows[row.index].clone())),
            Source::Events(task, rows) => match train.sample(rows[row.index]) {
                Some(sample) => return self.event(*task, sample, wording),
                None => None,
            },
            Source::Items(task, rows) => tasks.item(*task, rows[row.index], wording)?,
            Source::Queries(task, rows) => {
                let (user, place) = rows[row.index];
                tasks.query(*task, user, place, wording)?
            }
            Source::Chats(_) => {
                let number = u32::try_from(row.index).unwrap_or(u32::MAX);
                chats.get(row.index).map(|chat| chat.render(number))
            }
        };
        let sample = rendered.ok_or(UNRENDERED)?;
        Ok(self.cut(encoder.sequence(&sample)?))
    }

    /// A sample of an event, with as many of its latest items as fit.
    fn event(
        &self,
        task: Task,
        mut sample: Sample<'_>,
        wording: Wording,
    ) -> Result<Sequence, TrainError> {
        let MixedData { tasks, encoder, .. } = self.data;
        let whole = sample.history.len();
        loop {
            let rendered = tasks.event(task, &sample, wording)?.ok_or(UNRENDERED)?;
            let sequence = encoder.sequence(&rendered)?;
            let (found, items) = (sequence.ids.len(), sample.history.len());
            if found <= self.max_tokens || items <= 1 {
                if items < whole {
                    self.cuts.shortened.fetch_add(1, Relaxed);
                }
                return Ok(self.cut(sequence));
            }
            let keep = (items * self.max_tokens / found).clamp(1, items - 1);
            sample.history = &sample.history[items - keep..];
        }
    }

    /// The sequence up to the most tokens of a sample.
    fn cut(&self, sequence: Sequence) -> Sequence {
        let before = sequence.targets.len();
        let cut = sequence.cut(self.max_tokens);
        match cut.targets.len() {
            0 if before > 0 => self.cuts.lost.fetch_add(1, Relaxed),
            left if left < before => self.cuts.parts.fetch_add(1, Relaxed),
            _ => 0,
        };
        cut
    }
}

impl Lessons for MixedTasks<'_> {
    fn epoch(&self, epoch: usize) -> Result<Epoch<'_>, TrainError> {
        let plan = self.plan(epoch)?;
        let len = plan.len();
        let batch = move |number: usize| {
            let sequences = plan[number].par_iter().map(|row| self.sequence(*row, epoch)).collect();
            if number + 1 == plan.len() {
                self.cuts.report(epoch, self.max_tokens);
            }
            sequences
        };
        Ok(Epoch { len, total: self.total, batch: Box::new(batch) })
    }
}

impl MixedData<'_> {
    /// The rows of a task from which something can be learned.
    fn source(&self, task: Task) -> Result<Source, TrainError> {
        let Self { train, tasks, encoder, .. } = self;
        let learnable = |found: Result<Option<Rendered>, _>| match found {
            Ok(found) => Ok(found.is_some_and(|rendered| !rendered.completion.is_empty())),
            Err(error) => Err(TrainError::from(error)),
        };
        let continues = tasks.prompts().spec().continuation && encoder.folds();
        if task == Task::NextItem && continues {
            return Ok(Source::Folded(encoder.train(tasks, train, task)?));
        }
        if task.is_about_an_item() {
            let items: Vec<ItemId> = tasks.items().collect();
            let kept = items
                .into_par_iter()
                .map(|item| Ok(learnable(tasks.item(task, item, Wording::First))?.then_some(item)));
            let kept: Vec<Option<ItemId>> = kept.collect::<Result<_, TrainError>>()?;
            return Ok(Source::Items(task, kept.into_iter().flatten().collect()));
        }
        if task.is_about_a_query() {
            let queries: Vec<(UserId, u32)> = tasks.queries(train).collect();
            let kept = queries.into_par_iter().map(|(user, place)| {
                let found = learnable(tasks.query(task, user, place, Wording::First))?;
                Ok(found.then_some((user, place)))
            });
            let kept: Vec<Option<_>> = kept.collect::<Result<_, TrainError>>()?;
            return Ok(Source::Queries(task, kept.into_iter().flatten().collect()));
        }
        let kept = (0..train.num_samples()).into_par_iter().map(|index| {
            let Some(sample) = train.sample(index) else { return Ok(None) };
            Ok(learnable(tasks.event(task, &sample, Wording::First))?.then_some(index))
        });
        let kept: Vec<Option<usize>> = kept.collect::<Result<_, TrainError>>()?;
        Ok(Source::Events(task, kept.into_iter().flatten().collect()))
    }
}
