//! Rendered samples as token sequences with targets.

use rayon::prelude::*;
use sidereal_corpus::{HeldOut, ItemId, Rendered, SegmentKind, Task, Tasks, TrainSet, Wording};
use sidereal_policy::{CompletionToken, PolicyError, SidTokenizer, Target, code_targets};
use sidereal_sid::{Catalog, Trie};

use crate::TrainError;
use crate::fold::{Sequence, fold};

/// Turns rendered samples into what a model reads and learns.
#[derive(Debug)]
pub struct Encoder<'a> {
    tokenizer: &'a SidTokenizer,
    catalog: &'a Catalog,
    trie: Trie,
}

/// A prompt, with the sample that it asks about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// Identity of the sample, from reader to metric.
    pub id: sidereal_corpus::SampleId,
    /// The item that the user chose.
    pub target: ItemId,
    /// Token ids.
    pub ids: Vec<u32>,
}

/// The codes behind `guide` as tokens that are scored.
pub(crate) fn scored_codes(
    trie: &Trie,
    guide: &[u32],
    codes: &[u32],
) -> Result<Vec<CompletionToken>, PolicyError> {
    let targets = code_targets(trie, guide, codes)?;
    Ok(targets.into_iter().map(CompletionToken::Scored).collect())
}

impl<'a> Encoder<'a> {
    /// An encoder for one catalogue and the tokenizer that spells it.
    #[must_use]
    pub fn new(tokenizer: &'a SidTokenizer, catalog: &'a Catalog) -> Self {
        Self { tokenizer, catalog, trie: Trie::from_catalog(catalog) }
    }

    /// A sample with its completion, piece by piece: codes are learned against codes, words
    /// against words, and pieces without a loss are read.
    ///
    /// # Errors
    /// [`TrainError::Codes`] where the tokenizer splits a Semantic ID differently than code by
    /// code; [`TrainError::Messages`] for a prompt that is no plain text.
    pub fn sequence(&self, sample: &Rendered) -> Result<Sequence, TrainError> {
        let mut ids = self.read(sample)?;
        let mut targets = Vec::new();
        for segment in &sample.completion {
            let piece = self.tokenizer.encode(&segment.text)?;
            let learned: Vec<Target> = match segment.kind {
                _ if !segment.loss => Vec::new(),
                SegmentKind::Sid => self.codes(sample, &piece)?,
                _ => piece.iter().map(|id| Target::Word(*id)).collect(),
            };
            targets.extend((ids.len()..).zip(learned));
            ids.extend(piece);
        }
        Ok(Sequence { ids, targets })
    }

    /// Tokens of a sample's prompt.
    fn read(&self, sample: &Rendered) -> Result<Vec<u32>, TrainError> {
        let text = sample.prompt.plain().ok_or(TrainError::Messages { task: sample.task })?;
        Ok(self.tokenizer.encode(text)?)
    }

    /// The targets of a Semantic ID that the tokenizer split into `piece`.
    fn codes(&self, sample: &Rendered, piece: &[u32]) -> Result<Vec<Target>, TrainError> {
        let codes = TrainError::Codes { id: sample.id };
        let Some(target) = sample.target else { return Err(codes) };
        let flat = self.flat(target)?;
        let ids = flat.iter().map(|token| self.tokenizer.sid_ids()[*token as usize]);
        if !ids.eq(piece.iter().copied()) {
            return Err(codes);
        }
        Ok(code_targets(&self.trie, &[], &flat)?)
    }

    /// Flat tokens of an item's Semantic ID.
    ///
    /// # Errors
    /// [`TrainError::UnknownItem`].
    pub fn flat(&self, item: ItemId) -> Result<Vec<u32>, TrainError> {
        let sid = self.catalog.sid(item).ok_or(TrainError::UnknownItem { item })?;
        Ok(self.catalog.spec().tokens(sid)?)
    }

    /// All training samples of a task, folded.
    ///
    /// # Errors
    /// As [`sequence`](Self::sequence), and those of rendering.
    pub fn train(
        &self,
        tasks: &Tasks<'_>,
        train: &TrainSet,
        task: Task,
    ) -> Result<Vec<Sequence>, TrainError> {
        let rendered: Vec<Rendered> =
            tasks.train(train, &[task], Wording::First).collect::<Result<_, _>>()?;
        self.encode_all(&rendered)
    }

    /// A history as one sequence, every item after the first learned: what [`train`](Self::train)
    /// folds a user's samples into, made without rendering each of them.
    ///
    /// # Errors
    /// [`TrainError::UnknownItem`], and those of the prompt.
    pub fn history(&self, tasks: &Tasks<'_>, items: &[ItemId]) -> Result<Sequence, TrainError> {
        let prompt = tasks.next_item_prompt(&[])?;
        let task = Task::NextItem;
        let mut ids =
            self.tokenizer.encode(prompt.plain().ok_or(TrainError::Messages { task })?)?;
        let mut targets = Vec::new();
        for (position, item) in items.iter().enumerate() {
            let flat = self.flat(*item)?;
            if position > 0 {
                let learned = code_targets(&self.trie, &[], &flat)?;
                targets.extend((ids.len()..).zip(learned));
            }
            ids.extend(flat.iter().map(|token| self.tokenizer.sid_ids()[*token as usize]));
        }
        Ok(Sequence { ids, targets })
    }

    /// The samples of a held-out set, for its loss.
    ///
    /// # Errors
    /// As [`sequence`](Self::sequence), and those of rendering.
    pub fn held_out(
        &self,
        tasks: &Tasks<'_>,
        set: &impl HeldOut,
    ) -> Result<Vec<Sequence>, TrainError> {
        let rendered: Vec<Rendered> =
            tasks.held_out(set, Task::NextItem).collect::<Result<_, _>>()?;
        self.encode_all(&rendered)
    }

    /// The prompts of rendered samples, for decoding.
    ///
    /// # Errors
    /// Those of the tokenizer.
    pub fn prompts(&self, rendered: &[Rendered]) -> Result<Vec<Prompt>, TrainError> {
        rendered
            .par_iter()
            .map(|sample| {
                let without = TrainError::NoTarget { id: sample.id };
                let target = sample.target.ok_or(without)?;
                Ok(Prompt { id: sample.id, target, ids: self.read(sample)? })
            })
            .collect()
    }

    fn encode_all(&self, rendered: &[Rendered]) -> Result<Vec<Sequence>, TrainError> {
        let sequences = rendered
            .par_iter()
            .map(|sample| self.sequence(sample))
            .collect::<Result<Vec<_>, TrainError>>()?;
        Ok(fold(sequences))
    }
}
