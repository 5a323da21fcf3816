//! Writing free text: several rollouts of each prompt, which end at different lengths.

use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use tch::{Kind, Tensor};

use crate::PolicyError;
use crate::cache::{KvCache, TokenBatch};
use crate::decode::sampling::{NOTHING_TO_DRAW, Purpose, stream};
use crate::decode::{Prefilled, SamplingConfig};
use crate::policy::LanguageModel;
use crate::score::completions::CompletionToken;
use crate::score::target::Target;
use crate::sizes::{axes, to_usize};
use crate::weights::to_i64;

/// Largest number of logits that a step holds at once: 64 MiB of f32.
const LOGITS_AT_ONCE: usize = 1 << 24;

/// Draws texts from the policy, token by token over the whole vocabulary.
///
/// A prompt is read once for all its rollouts; rollouts that have ended cost nothing more. What is
/// drawn only depends on `seed`, the key of the prompt and the number of the rollout, up to the
/// rounding of logits.
#[derive(Debug, Clone, Copy)]
pub struct TextSampler<'a> {
    /// The policy.
    pub model: &'a dyn LanguageModel,
    /// Number of ids that tokens have,
    /// [`SidTokenizer::vocab_size`](crate::SidTokenizer::vocab_size): rows after them are padding
    /// and never drawn.
    pub num_ids: usize,
    /// How a token is drawn.
    pub sampling: SamplingConfig,
    /// Largest number of tokens of a text. Range `1..`.
    pub budget: usize,
    /// Sequences of tokens that end a text.
    pub stops: &'a [Vec<u32>],
    /// Seed of the draws.
    pub seed: u64,
}

/// A token of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WrittenToken {
    /// Vocabulary id.
    pub id: u32,
    /// How it was drawn; `None` for a token that was forced, which carries no loss.
    pub drawn: Option<Drawn>,
}

/// Log-probabilities of a token that was drawn, nats.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drawn {
    /// Under the model, over the whole vocabulary at temperature 1.
    pub logp: f32,
    /// Under the distribution that it was drawn from, with temperature and cuts.
    pub draw_logp: f64,
}

impl WrittenToken {
    pub(super) const fn forced(id: u32) -> Self {
        Self { id, drawn: None }
    }

    /// The token as a part of [`Completions`](crate::Completions): scored if it was drawn.
    #[must_use]
    pub const fn completion(&self) -> CompletionToken {
        match self.drawn {
            Some(_) => CompletionToken::Scored(Target::Word(self.id)),
            None => CompletionToken::Read(self.id),
        }
    }
}

/// Why a text ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TextEnd {
    /// With the stop of this index, which the text includes.
    Stop(usize),
    /// At the budget.
    Budget,
}

/// A text that was drawn.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Text {
    /// Its tokens.
    pub tokens: Vec<WrittenToken>,
    /// Why it ended.
    pub end: TextEnd,
}

impl TextSampler<'_> {
    /// For each prompt `num_rollouts` texts, in the order of their numbers. `keys` are those of
    /// [`Conditions`](crate::Conditions).
    ///
    /// # Errors
    /// [`PolicyError::Empty`] for a budget of 0, no rollouts, an empty stop, or logits that are not
    /// finite; [`PolicyError::Size`] if keys and prompts differ in number;
    /// [`PolicyError::PromptLength`] if a prompt leaves no room for the budget.
    pub fn write(
        &self,
        prompts: &TokenBatch,
        keys: &[u64],
        num_rollouts: usize,
    ) -> Result<Vec<Vec<Text>>, PolicyError> {
        let _guard = tch::no_grad_guard();
        let mut writing = Writing::begin(self, prompts, keys, num_rollouts, self.budget)?;
        let mut texts: Vec<Vec<(usize, Text)>> = vec![Vec::new(); prompts.rows()?];
        while writing.is_open() {
            for ended in writing.draw()? {
                texts[ended.prompt].push((ended.place, ended.text));
            }
            writing.advance()?;
        }
        let in_order = |mut group: Vec<(usize, Text)>| {
            group.sort_by_key(|(place, _)| *place);
            group.into_iter().map(|(_, text)| text).collect()
        };
        Ok(texts.into_iter().map(in_order).collect())
    }
}

/// Texts that are being written.
#[derive(Debug)]
pub(super) struct Writing<'a> {
    sampler: &'a TextSampler<'a>,
    cache: KvCache,
    /// States before the next tokens, `[U, W, D]`, of the prompts that still have open texts.
    hidden: Tensor,
    open: Vec<Open>,
}

#[derive(Debug)]
struct Open {
    prompt: usize,
    place: usize,
    /// Row and branch in the cache.
    at: (usize, usize),
    rng: ChaCha8Rng,
    tokens: Vec<WrittenToken>,
}

/// A text that ended, of which all tokens but the last have been read.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) prompt: usize,
    pub(super) place: usize,
    /// Row and branch in the cache until the others go on.
    pub(super) at: (usize, usize),
    pub(super) text: Text,
}

impl<'a> Writing<'a> {
    /// Reads prompts that must leave room for `room` tokens.
    pub(super) fn begin(
        sampler: &'a TextSampler<'a>,
        prompts: &TokenBatch,
        keys: &[u64],
        num_rollouts: usize,
        room: usize,
    ) -> Result<Self, PolicyError> {
        for (what, size) in [("a budget of tokens", sampler.budget), ("a group", num_rollouts)] {
            if size == 0 {
                return Err(PolicyError::Empty { what });
            }
        }
        if sampler.stops.iter().any(Vec::is_empty) {
            return Err(PolicyError::Empty { what: "a stop" });
        }
        let users = prompts.rows()?;
        if !keys.is_empty() && keys.len() != users {
            let (what, found) = ("keys of prompts", keys.len());
            return Err(PolicyError::Size { what, found, expected: users });
        }
        let limit = sampler.model.longest_prompt(room);
        for (row, len) in Vec::<i64>::try_from(&prompts.lens)?.into_iter().enumerate() {
            let found = to_usize(len)?;
            if found > limit {
                return Err(PolicyError::PromptLength { row, found, limit });
            }
        }
        let start = Prefilled::read(sampler.model, prompts, &vec![0; users])?;
        let open = (0..users).flat_map(|prompt| {
            let key = keys.get(prompt).copied().unwrap_or(prompt as u64);
            (0..num_rollouts).map(move |place| Open {
                prompt,
                place,
                at: (prompt, 0),
                rng: stream(sampler.seed, Purpose::Words, key, place),
                tokens: Vec::new(),
            })
        });
        let hidden = start.hidden.unsqueeze(1);
        Ok(Self { sampler, cache: start.cache, hidden, open: open.collect() })
    }

    pub(super) const fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// What has been read, the texts that just ended included.
    pub(super) const fn cache(&self) -> &KvCache {
        &self.cache
    }

    /// Draws a token for every open text; those that end with it are closed.
    pub(super) fn draw(&mut self) -> Result<Vec<Ended>, PolicyError> {
        let [_, slots, width] = axes("axes of the states of texts", &self.hidden)?;
        let states = self.hidden.reshape([-1, width]); // [U·W, D]
        let slots = to_usize(slots)?;
        let sampler = self.sampler;
        let (config, num_ids) = (sampler.sampling, sampler.num_ids);
        let rows_at_once = (LOGITS_AT_ONCE / num_ids.max(1)).max(1);
        for open in self.open.chunks_mut(rows_at_once) {
            let rows: Vec<i64> =
                open.iter().map(|open| to_i64(open.at.0 * slots + open.at.1)).collect();
            let rows = Tensor::from_slice(&rows).to_device(states.device());
            let picked = states.f_index_select(0, &rows)?;
            let logp = sampler.model.head().logits(&picked)?.f_log_softmax(-1, Kind::Float)?;
            let [_, size] = axes("axes of the logits of texts", &logp)?;
            let size = to_usize(size)?.max(1);
            let logp = Vec::<f32>::try_from(logp.contiguous().view(-1))?;
            open.par_iter_mut().zip(logp.par_chunks_exact(size)).try_for_each(|(open, logp)| {
                let logp = &logp[..num_ids.min(size)];
                let draw = config.draw(logp, &mut open.rng).ok_or(NOTHING_TO_DRAW)?;
                let drawn = Drawn { logp: logp[draw.index], draw_logp: draw.logp };
                let id = u32::try_from(draw.index).unwrap_or(u32::MAX);
                open.tokens.push(WrittenToken { id, drawn: Some(drawn) });
                Ok::<(), PolicyError>(())
            })?;
        }
        let ended = self.open.extract_if(.., |open| sampler.end(&open.tokens).is_some());
        let close = |open: Open| {
            let end = sampler.end(&open.tokens)?;
            let Open { prompt, place, at, tokens, .. } = open;
            Some(Ended { prompt, place, at, text: Text { tokens, end } })
        };
        Ok(ended.filter_map(close).collect())
    }

    /// Reads the last token of every open text. Finished texts stay in the cache, if nothing reads
    /// them, until their prompt has no open text or every prompt needs fewer branches, because
    /// moving texts copies all that they have read.
    pub(super) fn advance(&mut self) -> Result<(), PolicyError> {
        let mut prompts: Vec<usize> = self.open.iter().map(|open| open.at.0).collect();
        prompts.dedup();
        if prompts.is_empty() {
            return Ok(());
        }
        if prompts.len() < self.cache.num_prompts() {
            self.cache.keep_prompts(&prompts)?;
        }
        let mut open_of = vec![0; prompts.len()];
        for open in &mut self.open {
            open.at.0 = prompts.partition_point(|prompt| *prompt < open.at.0);
            open_of[open.at.0] += 1;
        }
        let [_, slots, _] = axes("axes of the states of texts", &self.hidden)?;
        let slots = to_usize(slots)?;
        // Without prompts nothing is open.
        let most = open_of.iter().copied().max().unwrap_or(0);
        let shape = [to_i64(prompts.len()), to_i64(most)];
        let device = self.sampler.model.device();
        let to_tensor = |of: &[i64]| Tensor::from_slice(of).view(shape).to_device(device);
        if most != slots {
            // Prompts with fewer open texts repeat an existing branch; nothing reads the result.
            let mut parents = vec![0i64; prompts.len() * most];
            let mut moved = vec![0; prompts.len()];
            for open in &mut self.open {
                let (row, slot) = (open.at.0, moved[open.at.0]);
                parents[row * most + slot] = to_i64(open.at.1);
                open.at.1 = slot;
                moved[row] += 1;
            }
            self.cache.gather_branches(&to_tensor(&parents))?;
        }
        let mut ids = vec![0i64; prompts.len() * most];
        for open in &self.open {
            // An open text has written a token, the one that it goes on after.
            let id = open.tokens[open.tokens.len() - 1].id;
            ids[open.at.0 * most + open.at.1] = i64::from(id);
        }
        let ids = to_tensor(&ids).unsqueeze(2);
        self.hidden = self.sampler.model.extend(&ids, &mut self.cache)?.squeeze_dim(2);
        Ok(())
    }
}

impl TextSampler<'_> {
    /// Why a text ends here; `None` if it goes on.
    fn end(&self, tokens: &[WrittenToken]) -> Option<TextEnd> {
        let ends_with = |stop: &Vec<u32>| {
            let tail = tokens.len().checked_sub(stop.len());
            tail.is_some_and(|at| {
                tokens[at..].iter().map(|token| token.id).eq(stop.iter().copied())
            })
        };
        match self.stops.iter().position(ends_with) {
            Some(stop) => Some(TextEnd::Stop(stop)),
            None => (tokens.len() >= self.budget).then_some(TextEnd::Budget),
        }
    }
}
