//! Rendered samples as token sequences with targets.

mod framing;

use rayon::prelude::*;
use sidereal_data::{HeldOut, ItemId, SampleId, TrainSet, UserId};
use sidereal_policy::{
    CompletionToken, END_OF_TURN, PolicyError, ReasoningMarkers, SidTokenizer, Target, code_targets,
};
use sidereal_prompts::{
    Prompt, PromptError, PromptSet, ReasoningFrame, Rendered, Segment, SegmentKind, Task, Tasks,
    Variable, Wording,
};
use sidereal_sid::{Catalog, Trie};

pub use self::framing::Framing;
use crate::TrainError;
use crate::fold::{Sequence, fold};

/// Turns rendered samples into what a model reads and learns.
///
/// Messages are framed by the chat template of the tokenizer's folder. If it has none, each message
/// is one line after the name of the speaker:
///
/// ```text
/// system: You recommend.
/// user: After <a_1><b_2>, what comes next?
/// assistant: <a_4><b_0><|im_end|>
/// ```
/// The end of the turn is learned with the answer. Where the style of the codes has marks, the mark before an
/// answer is the end of its prompt and the mark after it is read: a policy never chooses them.
#[derive(Debug)]
pub struct Encoder<'a> {
    tokenizer: &'a SidTokenizer,
    catalog: &'a Catalog,
    framing: Framing,
    /// The frame of a set with texts for [`Task::Reasoning`].
    frame: Option<ReasoningFrame>,
    /// Of the catalogue.
    trie: &'a Trie,
    /// Whether samples that continue one another become one sequence.
    folds: bool,
}

/// Whether the policy answers directly or reasons first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// The Semantic ID follows the prompt.
    Direct,
    /// The prompt ends with the opening of a chain of thought.
    Reasoning,
}

/// A prompt, with its sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedPrompt {
    /// Identity of the sample, from reader to metric.
    pub id: SampleId,
    /// The item that the user chose.
    pub target: ItemId,
    /// How it is to be answered.
    pub mode: Mode,
    /// The candidates that it shows; the answer is one of them. Empty if the answer may be any
    /// item.
    pub pool: Vec<ItemId>,
    /// Token ids.
    pub ids: Vec<u32>,
}

impl EncodedPrompt {
    /// The candidates that it shows; `None` if the answer may be any item.
    pub(crate) fn shown(&self) -> Option<&[ItemId]> {
        Some(self.pool.as_slice()).filter(|pool| !pool.is_empty())
    }

    /// The items of `items` that may be the answer.
    pub(crate) fn offered(&self, items: &[ItemId]) -> Vec<ItemId> {
        let offered = |item: &&ItemId| self.pool.is_empty() || self.pool.contains(item);
        items.iter().filter(offered).copied().collect()
    }

    /// The key of the sample for random numbers, so that draws do not depend on its neighbours in a
    /// batch.
    #[must_use]
    pub fn key(&self) -> u64 {
        match self.id {
            SampleId::Event { user, position } => u64::from(user.0) << 32 | u64::from(position),
            // No user has so many events.
            SampleId::Query { user, place } => {
                u64::from(user.0) << 32 | u64::from(place | (1 << 31))
            }
            SampleId::Item(item) => u64::from(item.0) << 32 | u64::from(u32::MAX),
            SampleId::Chat(chat) => u64::from(chat) << 32 | u64::from(u32::MAX - 1),
        }
    }
}

/// The codes after `guide` as tokens that are scored.
///
/// # Errors
/// [`PolicyError`] for codes that are not a path of the trie.
pub fn scored_codes(
    trie: &Trie,
    guide: &[u32],
    codes: &[u32],
) -> Result<Vec<CompletionToken>, PolicyError> {
    let targets = code_targets(trie, guide, codes)?;
    Ok(targets.into_iter().map(CompletionToken::Scored).collect())
}

impl<'a> Encoder<'a> {
    /// An encoder for one catalogue, with the tokenizer that spells it, the set of prompts, and the
    /// trie of the catalogue, which is also that of a [`Constraint`](sidereal_policy::Constraint)
    /// over it.
    ///
    /// # Errors
    /// [`TrainError::Policy`] for a chat template that cannot be read; [`TrainError::Prompt`] for a
    /// set whose reasoning task does not say where the reasoning begins and ends.
    pub fn new(
        tokenizer: &'a SidTokenizer,
        catalog: &'a Catalog,
        prompts: &PromptSet,
        trie: &'a Trie,
    ) -> Result<Self, TrainError> {
        let frame = match prompts.reasoning_frame() {
            Ok(frame) => Some(frame),
            Err(PromptError::NoTemplate { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let framing = Framing::new(tokenizer.chat_template())?;
        Ok(Self { tokenizer, catalog, framing, frame, trie, folds: !tokenizer.ends_prompts() })
    }

    /// The same encoder, for a policy that reads its prompts in an encoder: every sample stays a
    /// sequence of its own. Only in a causal model do the states of a beginning not depend on what
    /// follows.
    #[must_use]
    pub const fn without_folding(mut self) -> Self {
        self.folds = false;
        self
    }

    /// Whether samples that continue one another become one sequence.
    #[must_use]
    pub const fn folds(&self) -> bool {
        self.folds
    }

    /// The tokens that close a chain of thought and lead to the answer; `None` for a set without
    /// [`Task::Reasoning`].
    ///
    /// # Errors
    /// [`PolicyError::MissingToken`] if the tokenizer cannot write it.
    pub fn markers(&self) -> Result<Option<ReasoningMarkers>, TrainError> {
        let markers = self
            .frame
            .as_ref()
            .map(|frame| ReasoningMarkers::new(self.tokenizer, &frame.close, &frame.bridge));
        Ok(markers.transpose()?)
    }

    /// A sample with its completion, piece by piece: codes are learned against codes, words
    /// against words, and pieces without a loss are read.
    ///
    /// # Errors
    /// [`TrainError::Codes`] if the tokenizer splits a Semantic ID differently than code by code;
    /// those of the chat template.
    pub fn sequence(&self, sample: &Rendered) -> Result<Sequence, TrainError> {
        let mut ids = self.before(sample)?;
        let mut targets = Vec::new();
        for (place, segment) in sample.completion.iter().enumerate() {
            let mut piece = if sample.task.outputs().contains(&Variable::Slate) {
                self.lines(&segment.text)?
            } else {
                self.written(&segment.text)?
            };
            let learned: Vec<Target> = match segment.kind {
                SegmentKind::Sid => {
                    let codes = self.codes(sample, &piece)?;
                    if let Some([begin, _]) = self.tokenizer.marks() {
                        piece.remove(0); // the mark, as `codes` has seen
                        // The prompt of an answer in codes ends with it already.
                        ids.extend(Some(begin).filter(|_| place > 0));
                    }
                    if segment.loss { codes } else { Vec::new() }
                }
                _ if !segment.loss => Vec::new(),
                _ => piece.iter().map(|id| Target::Word(*id)).collect(),
            };
            targets.extend((ids.len()..).zip(learned));
            ids.extend(piece);
        }
        // A plain completion says itself where it ends.
        if matches!(sample.prompt, Prompt::Chat(_)) {
            let end = self.tokenizer.end_of_turn();
            targets.push((ids.len(), Target::Word(end)));
            ids.push(end);
        }
        Ok(Sequence { samples: vec![sample.id], ids, targets })
    }

    /// Tokens of a completion in words, with the end of the turn if it is part of a conversation: what
    /// [`sequence`](Self::sequence) writes after the prompt.
    pub(crate) fn in_words(
        &self,
        completion: &[Segment],
        chat: bool,
    ) -> Result<Vec<u32>, TrainError> {
        let pieces = completion.iter().map(|segment| self.written(&segment.text));
        let mut ids = pieces.collect::<Result<Vec<_>, _>>()?.concat();
        ids.extend(chat.then(|| self.tokenizer.end_of_turn()));
        Ok(ids)
    }

    /// Tokens of a piece of a completion. Sets of prompts write the end of a turn as it is called in
    /// tokenizers that are trained here; a base's own is what its answers end with.
    fn written(&self, text: &str) -> Result<Vec<u32>, TrainError> {
        let Some(text) = text.strip_suffix(END_OF_TURN) else {
            return Ok(self.tokenizer.encode(text)?);
        };
        let mut ids = self.tokenizer.encode(text)?;
        ids.push(self.tokenizer.end_of_turn());
        Ok(ids)
    }

    /// Tokens of a slate, item by item and line end by line end, as a trie writes it: some
    /// tokenizers have tokens that reach across.
    fn lines(&self, text: &str) -> Result<Vec<u32>, TrainError> {
        let mut ids = Vec::new();
        for line in text.split_inclusive('\n') {
            let (item, end) = line.strip_suffix('\n').map_or((line, ""), |item| (item, "\n"));
            for part in [item, end].into_iter().filter(|part| !part.is_empty()) {
                ids.extend(self.written(part)?);
            }
        }
        Ok(ids)
    }

    /// Tokens of a prompt, up to where the answer begins: of a plain one as the tokenizer frames every
    /// text ([`SidTokenizer::encode_prompt`]), of messages as the chat template writes them.
    ///
    /// # Errors
    /// Those of tokenizer and chat template.
    pub fn read(&self, prompt: &Prompt) -> Result<Vec<u32>, TrainError> {
        Ok(match prompt {
            Prompt::Plain(text) => self.tokenizer.encode_prompt(text)?,
            Prompt::Chat(messages) => self.framing.read(self.tokenizer, messages)?,
        })
    }

    /// Tokens of a prompt that is answered with a Semantic ID, up to where its codes begin: the mark before
    /// them included, in a style that has one.
    ///
    /// # Errors
    /// Those of tokenizer and chat template.
    pub fn ask(&self, prompt: &Prompt) -> Result<Vec<u32>, TrainError> {
        let Some([begin, _]) = self.tokenizer.spec().style().marks() else {
            return self.read(prompt);
        };
        // A plain prompt of an encoder ends with a token of its own, after the mark.
        if let Prompt::Plain(text) = prompt {
            return Ok(self.tokenizer.encode_prompt(&format!("{text}{begin}"))?);
        }
        let mut ids = self.read(prompt)?;
        ids.extend(self.tokenizer.marks().map(|[begin, _]| begin));
        Ok(ids)
    }

    /// Tokens of a prompt that is answered after reasoning, with the opening of a chain of thought.
    ///
    /// # Errors
    /// Those of tokenizer and chat template.
    pub fn ask_to_reason(&self, prompt: &Prompt) -> Result<Vec<u32>, TrainError> {
        let mut ids = self.read(prompt)?;
        if let Some(frame) = &self.frame {
            ids.extend(self.tokenizer.encode(&frame.opening)?);
        }
        Ok(ids)
    }

    /// Tokens of a sample's prompt, as its completion continues it.
    fn before(&self, sample: &Rendered) -> Result<Vec<u32>, TrainError> {
        match sample.completion.first().map(|segment| segment.kind) {
            Some(SegmentKind::Sid) => self.ask(&sample.prompt),
            _ => self.read(&sample.prompt),
        }
    }

    /// The targets of a Semantic ID that the tokenizer split into `piece`.
    fn codes(&self, sample: &Rendered, piece: &[u32]) -> Result<Vec<Target>, TrainError> {
        let codes = TrainError::Codes { id: sample.id };
        let Some(target) = sample.target else { return Err(codes) };
        let flat = self.flat(target)?;
        if self.marked(&flat) != piece {
            return Err(codes);
        }
        Ok(code_targets(self.trie, &[], &flat)?)
    }

    /// Tokens of a Semantic ID between the marks of its style.
    fn marked(&self, flat: &[u32]) -> Vec<u32> {
        let [begin, end] = self.tokenizer.marks().map_or([None, None], |marks| marks.map(Some));
        let codes = flat.iter().map(|token| self.tokenizer.sid_ids()[*token as usize]);
        begin.into_iter().chain(codes).chain(end).collect()
    }

    /// Flat tokens of an item's Semantic ID.
    ///
    /// # Errors
    /// [`TrainError::UnknownItem`].
    pub fn flat(&self, item: ItemId) -> Result<Vec<u32>, TrainError> {
        let sid = self.catalog.sid(item).ok_or(TrainError::UnknownItem { item })?;
        Ok(self.catalog.spec().tokens(sid)?)
    }

    /// All training samples of a task, folded where the policy is a causal model.
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

    /// A user's history as one sequence, every item after the first learned: what [`train`](Self::train)
    /// folds a user's samples into, made without rendering each of them.
    ///
    /// # Errors
    /// [`TrainError::UnknownItem`], those of the prompt, and [`TrainError::Messages`] for a set
    /// whose prompts do not continue one another, and if nothing is folded.
    pub fn history(
        &self,
        tasks: &Tasks<'_>,
        user: UserId,
        items: &[ItemId],
    ) -> Result<Sequence, TrainError> {
        let prompt = tasks.next_item_prompt(&[])?;
        let task = Task::NextItem;
        let continues = tasks.prompts().spec().continuation && self.folds;
        let text = prompt.plain().filter(|_| continues);
        let mut ids = self.tokenizer.encode_prompt(text.ok_or(TrainError::Messages { task })?)?;
        let mut targets = Vec::new();
        for (position, item) in items.iter().enumerate() {
            let flat = self.flat(*item)?;
            if position > 0 {
                let learned = code_targets(self.trie, &[], &flat)?;
                let mark = usize::from(self.tokenizer.marks().is_some());
                targets.extend((ids.len() + mark..).zip(learned));
            }
            ids.extend(self.marked(&flat));
        }
        let position = u32::try_from(items.len().saturating_sub(1)).unwrap_or(u32::MAX);
        let samples = vec![SampleId::Event { user, position }];
        Ok(Sequence { samples, ids, targets })
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

    /// The prompts of rendered samples, for decoding: those of [`Task::Reasoning`] with the opening
    /// of a chain of thought.
    ///
    /// # Errors
    /// [`TrainError::NoTarget`], and those of tokenizer and chat template.
    pub fn prompts(&self, rendered: &[Rendered]) -> Result<Vec<EncodedPrompt>, TrainError> {
        rendered
            .par_iter()
            .map(|sample| {
                let without = TrainError::NoTarget { id: sample.id };
                let target = sample.target.ok_or(without)?;
                let reasons = sample.task == Task::Reasoning && self.frame.is_some();
                let (mode, ids) = if reasons {
                    (Mode::Reasoning, self.ask_to_reason(&sample.prompt)?)
                } else {
                    (Mode::Direct, self.before(sample)?)
                };
                let pool = sample.candidates.clone();
                Ok(EncodedPrompt { id: sample.id, target, mode, pool, ids })
            })
            .collect()
    }

    fn encode_all(&self, rendered: &[Rendered]) -> Result<Vec<Sequence>, TrainError> {
        let sequences = rendered
            .par_iter()
            .map(|sample| self.sequence(sample))
            .collect::<Result<Vec<_>, TrainError>>()?;
        Ok(if self.folds { fold(sequences) } else { sequences })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::num::NonZeroUsize;

    use sidereal_data::{Dataset, Item, User, UserId, leave_one_out};
    use sidereal_prompts::{Enrichment, EnrichmentKind, Enrichments, PromptRegistry};
    use sidereal_sid::{SemanticId, SidSpec, TokenStyle};

    use super::*;

    #[test]
    fn samples_of_every_kind_have_keys_of_their_own() {
        let of_number = |n: u32| {
            let event = |position| SampleId::Event { user: UserId(n), position };
            [event(0), event(1), event(9), SampleId::Item(ItemId(n)), SampleId::Chat(n)]
        };
        let key = |id| {
            let (target, mode, pool, ids) = (ItemId(0), Mode::Direct, Vec::new(), Vec::new());
            EncodedPrompt { id, target, mode, pool, ids }.key()
        };
        let keys: BTreeSet<u64> =
            [0, 1, 7, u32::MAX].into_iter().flat_map(of_number).map(key).collect();
        assert_eq!(keys.len(), 20, "{keys:?}");
    }

    #[test]
    fn chain_answer_and_end_of_turn_are_learned_after_the_prompt() {
        let items = ["an apple", "a bean", "corn"].map(|title| Item::new(title, title)).to_vec();
        let events = [2, 0, 1, 0, 2].map(ItemId).to_vec();
        let dataset = Dataset::new(items, vec![User::new("u", events)]).unwrap();
        let sids = [[0, 0], [0, 1], [1, 0]].map(SemanticId::from).to_vec();
        let catalog = Catalog::new(SidSpec::new(vec![2, 2], 0).unwrap(), sids).unwrap();
        let tokenizer =
            SidTokenizer::train(["<think> corn, then beans"].iter(), 300, catalog.spec()).unwrap();
        let split = leave_one_out(&dataset, NonZeroUsize::MAX).unwrap();
        let sample = split.train.sample(1).unwrap();
        let mut texts = Enrichments::default();
        let text = Enrichment {
            id: sample.id,
            kind: EnrichmentKind::Reasoning,
            text: "corn, then beans\nRewriting: <a_1><b_0>".to_owned(),
            teacher: "test".to_owned(),
            prompt_hash: String::new(),
            dataset: None,
        };
        texts.insert(text, false).unwrap();
        let prompts = PromptRegistry::builtin().unwrap();
        let gream = prompts.set("gream").unwrap();
        let tasks = Tasks::new(&dataset, &catalog, gream).unwrap();
        let tasks = tasks.with_enrichments(&texts).unwrap();
        let trie = Trie::from_catalog(&catalog);
        let encoder = Encoder::new(&tokenizer, &catalog, gream, &trie).unwrap();

        let rendered = tasks.asked(Task::Reasoning, &sample).unwrap();
        let [prompt] =
            encoder.prompts(std::slice::from_ref(&rendered)).unwrap().try_into().unwrap();
        let sequence = encoder.sequence(&rendered).unwrap();
        assert_eq!(prompt.mode, Mode::Reasoning);
        assert!(sequence.ids.starts_with(&prompt.ids));
        let read = tokenizer.decode(&prompt.ids).unwrap();
        assert!(read.starts_with("system: ") && read.ends_with("\nassistant: <think>\n"), "{read}");
        let written = tokenizer.decode(&sequence.ids[prompt.ids.len()..]).unwrap();
        let expected = "corn, then beans\n</think>\nThe history, rewritten: <a_1><b_0>.\nAfter this \
                        analysis, the recommended item is\n<answer><a_0><b_1></answer>";
        assert_eq!(written, expected);
        // The close is learned as the tokens at which a decoder recognises it.
        let close = tokenizer.encode("<answer>").unwrap();
        let chain = &sequence.ids[prompt.ids.len()..];
        let at = chain.windows(close.len()).position(|window| window == close).unwrap();
        let answer = tokenizer.decode(&chain[at + close.len()..]).unwrap();
        assert_eq!(answer, "<a_0><b_1></answer>");

        // Every token after the prompt is learned, the opening and the end of the turn too.
        let opening = tokenizer.encode("<think>\n").unwrap().len();
        let learned: Vec<usize> = sequence.targets.iter().map(|(at, _)| *at).collect();
        let first = prompt.ids.len() - opening;
        assert_eq!(learned, (first..sequence.ids.len()).collect::<Vec<_>>());
        let codes = sequence.targets.iter().filter(|(_, t)| matches!(t, Target::Code { .. }));
        assert_eq!(codes.count(), 2);
        let end = Target::Word(tokenizer.end_of_turn());
        assert_eq!(sequence.targets.last().map(|(_, target)| *target), Some(end));

        // The same history without reasoning.
        let rendered = tasks.next_item(&sample).unwrap();
        let [direct] = encoder.prompts(&[rendered]).unwrap().try_into().unwrap();
        assert_eq!((direct.mode, direct.key()), (Mode::Direct, prompt.key()));
        assert!(tokenizer.decode(&direct.ids).unwrap().ends_with("\nassistant: "));
    }
    #[test]
    fn marks_around_codes_are_read_and_the_codes_between_them_are_learned() {
        let items = ["an apple", "a bean", "corn"].map(|title| Item::new(title, title)).to_vec();
        let events = [2, 0, 1, 0, 2].map(ItemId).to_vec();
        let dataset = Dataset::new(items, vec![User::new("u", events)]).unwrap();
        let split = leave_one_out(&dataset, NonZeroUsize::MAX).unwrap();
        let sids = [[0, 0], [0, 1], [1, 0]].map(SemanticId::from).to_vec();
        let prompts = PromptRegistry::builtin().unwrap();
        let mut learned = Vec::new();
        for style in TokenStyle::published() {
            let spec = SidSpec::new(vec![2, 2], 0).unwrap().with_style(style);
            let catalog = Catalog::new(spec.clone(), sids.clone()).unwrap();
            let tokenizer = SidTokenizer::train(["next:"].iter(), 300, &spec).unwrap();
            let trie = Trie::from_catalog(&catalog);
            let mut of_style = Vec::new();
            for set in ["terse", "singer"] {
                let set = prompts.set(set).unwrap();
                let tasks = Tasks::new(&dataset, &catalog, set).unwrap();
                let encoder = Encoder::new(&tokenizer, &catalog, set, &trie).unwrap();
                for sample in split.train.samples() {
                    let rendered = tasks.next_item(&sample).unwrap();
                    let sequence = encoder.sequence(&rendered).unwrap();
                    let [prompt] = encoder
                        .prompts(std::slice::from_ref(&rendered))
                        .unwrap()
                        .try_into()
                        .unwrap();
                    let asked = tasks.next_item_prompt(sample.history).unwrap();
                    assert_eq!(encoder.ask(&asked).unwrap(), prompt.ids);
                    let codes = encoder.flat(sample.target).unwrap();
                    let codes = codes.iter().map(|flat| tokenizer.sid_ids()[*flat as usize]);
                    let whole: Vec<u32> = prompt.ids.iter().copied().chain(codes).collect();
                    assert!(sequence.ids.starts_with(&whole));
                    assert_eq!(sequence.targets.first().map(|(at, _)| *at), Some(prompt.ids.len()));
                    let text = tokenizer.decode(&sequence.ids).unwrap();
                    assert!(text.contains(&spec.text(&sids[sample.target.index()])), "{text}");
                    of_style.push(sequence.targets.iter().map(|(_, t)| *t).collect::<Vec<_>>());
                }
            }
            // The whole history, token by token, is what its samples are folded into.
            let terse = prompts.set("terse").unwrap();
            let tasks = Tasks::new(&dataset, &catalog, terse).unwrap();
            let encoder = Encoder::new(&tokenizer, &catalog, terse, &trie).unwrap();
            let folded = encoder.train(&tasks, &split.train, Task::NextItem).unwrap();
            let events = split.train.sequences().next().unwrap().events;
            let history = encoder.history(&tasks, UserId(0), events).unwrap();
            assert_eq!(folded.len(), 1);
            assert_eq!((&folded[0].ids, &folded[0].targets), (&history.ids, &history.targets));
            // Words are other tokens in another tokenizer: only the codes are compared.
            let code = |target: &Target| matches!(target, Target::Code { .. });
            for targets in &mut of_style {
                targets.retain(code);
            }
            learned.push(of_style);
        }
        assert_eq!(learned[0], learned[1]);
    }
}
