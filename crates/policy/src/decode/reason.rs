//! Reasoning before the answer: free text and a close; what was read is kept for the answer.

use std::collections::BTreeMap;

use rand::Rng as _;
use sidereal_sid::NodeId;
use tch::Tensor;

use crate::PolicyError;
use crate::cache::{KvCache, TokenBatch};
use crate::decode::branches::log_sum_exp;
use crate::decode::sampling::{Purpose, stream};
use crate::decode::text::{Ended, TextEnd, TextSampler, Writing, WrittenToken};
use crate::decode::{Hypothesis, Prefilled, SamplingConfig};
use crate::policy::LanguageModel;
use crate::sizes::axes;
use crate::tokenizer::SidTokenizer;
use crate::weights::to_i64;

/// The tokens around a chain of thought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReasoningMarkers {
    /// The close marker, then the end of a turn.
    stops: Vec<Vec<u32>>,
    bridge: Vec<u32>,
    num_ids: usize,
}

impl ReasoningMarkers {
    /// Chains that `close` ends, `</think>` for most models, and between them and the answer
    /// `bridge`, such as `"\n\n"`; it may be empty. The mark before the codes, in a style that has one, comes
    /// after the bridge.
    ///
    /// A close marker of several tokens is recognised by the tokens of its text alone.
    ///
    /// # Errors
    /// [`PolicyError::Empty`] for an empty close marker, [`PolicyError::MissingToken`] for a
    /// marker that the tokenizer cannot write.
    pub fn new(tokenizer: &SidTokenizer, close: &str, bridge: &str) -> Result<Self, PolicyError> {
        if close.is_empty() {
            return Err(PolicyError::Empty { what: "the close marker of reasoning" });
        }
        let stops = vec![tokenizer.encode_exact(close)?, vec![tokenizer.end_of_turn()]];
        let mut bridge = tokenizer.encode_exact(bridge)?;
        bridge.extend(tokenizer.marks().map(|[begin, _]| begin));
        Ok(Self { stops, bridge, num_ids: tokenizer.vocab_size() })
    }

    /// Chains that `close` ends, with nothing between them and what comes after: no bridge, and no mark of
    /// Semantic IDs.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn closing(tokenizer: &SidTokenizer, close: &str) -> Result<Self, PolicyError> {
        Ok(Self { bridge: Vec::new(), ..Self::new(tokenizer, close, "")? })
    }

    /// The tokens that close a chain.
    #[must_use]
    pub fn close(&self) -> &[u32] {
        &self.stops[0]
    }

    /// Tokens that closing a chain may add to it, the bridge included.
    #[must_use]
    pub fn added(&self) -> usize {
        self.close().len() + self.bridge.len()
    }

    /// Number of tokens of `ids`, a text that begins with a chain, up to the end of the first close marker;
    /// `None` if no marker closes the chain.
    #[must_use]
    pub fn closed(&self, ids: &[u32]) -> Option<usize> {
        let close = self.close();
        ids.windows(close.len()).position(|part| part == close).map(|at| at + close.len())
    }
}

/// Lets the policy reason before it answers: it writes several chains for a prompt, each up to a
/// budget of tokens and then closed. The prompt is read once.
///
/// ```text
/// prompt | chain … </think> | bridge | answer
/// ```
/// The answer is any constrained decoding of [`ReasonedPrompts::start`], with one row for each chain:
/// nothing is read twice.
///
/// ```no_run,standalone_crate
/// # use sidereal_policy::*;
/// # fn answer(
/// #     model: &Decoder, search: &BeamSearch<'_>, tokenizer: &SidTokenizer, prompts: &TokenBatch,
/// # ) -> Result<Vec<Vec<Hypothesis>>, PolicyError> {
/// let markers = ReasoningMarkers::new(tokenizer, "</think>", "\n\n")?;
/// let reasoner = Reasoner {
///     model,
///     markers: &markers,
///     sampling: SamplingConfig::new(0.8)?.with_top_p(0.95)?,
///     budget: 256,
///     answer_len: search.constraint.max_len(),
///     seed: 1,
/// };
/// let reasoned = reasoner.reason(prompts, &[], 4)?; // four chains a prompt
/// let start = reasoned.start.branches(model);
/// let found = search.search_from(start, &Conditions::default(), &mut |_| {})?;
/// # Ok(
/// found.chunks(4).map(merge_chains).collect()
/// # )
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Reasoner<'a> {
    /// The policy: a decoder.
    pub model: &'a dyn LanguageModel,
    /// The markers that close a chain.
    pub markers: &'a ReasoningMarkers,
    /// How a token is drawn.
    pub sampling: SamplingConfig,
    /// Largest number of tokens that are drawn for a chain, its close marker included. Range `1..`.
    pub budget: usize,
    /// Largest number of tokens of an answer, for which the prompt must leave room:
    /// [`Constraint::max_len`](crate::Constraint::max_len).
    pub answer_len: usize,
    /// Seed of the draws.
    pub seed: u64,
}

/// Why a chain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChainEnd {
    /// It wrote the close marker.
    Closed,
    /// The budget was spent; the close marker is forced.
    Budget,
    /// It ended its turn instead of closing. That token is [`Chain::turn_end`] and none of the chain's, and
    /// the close marker is forced.
    EndOfTurn,
}

/// A chain of thought.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Chain {
    /// Its tokens, the close marker and the bridge included; forced tokens are marked.
    pub tokens: Vec<WrittenToken>,
    /// Why it ended.
    pub end: ChainEnd,
    /// The end of the turn, where it was drawn instead of the close marker.
    pub turn_end: Option<WrittenToken>,
}

impl Chain {
    /// Vocabulary ids of its tokens.
    pub fn ids(&self) -> impl Iterator<Item = u32> {
        self.tokens.iter().map(|token| token.id)
    }

    /// All that was drawn and nothing that was forced, the end of the turn included.
    pub fn drawn(&self) -> impl Iterator<Item = &WrittenToken> {
        let drawn = self.tokens.iter().filter(|token| token.drawn.is_some());
        drawn.chain(&self.turn_end)
    }

    /// Whether its close was forced.
    #[must_use]
    pub fn is_forced(&self) -> bool {
        self.end != ChainEnd::Closed
    }
}

/// The chains of a batch of prompts, read and closed.
#[derive(Debug)]
#[non_exhaustive]
pub struct ReasonedPrompts {
    /// For each prompt its chains, in the order of their numbers.
    pub chains: Vec<Vec<Chain>>,
    /// The state from which answers are decoded: one row for each chain, those of a prompt
    /// adjacent, so that `found.chunks(num_chains)` are the answers of each prompt.
    pub start: Prefilled,
    /// A key for the [`Conditions`](crate::Conditions) of each row, made from the key of the prompt
    /// and the number of the chain.
    pub keys: Vec<u64>,
}

/// A chain that is closed, and the tokens at its end that have not been read.
#[derive(Debug)]
struct Closed {
    prompt: usize,
    place: usize,
    at: (usize, usize),
    chain: Chain,
    unread: Vec<u32>,
}

impl Reasoner<'_> {
    /// `num_chains` chains for each prompt. `keys` are those of
    /// [`Conditions`](crate::Conditions).
    ///
    /// # Errors
    /// [`PolicyError::Empty`] for a budget of 0, no chains, or logits that are not finite;
    /// [`PolicyError::Size`] if keys and prompts differ in number; [`PolicyError::PromptLength`] if
    /// a prompt leaves no room for chain and answer; [`PolicyError::Unsupported`] for an
    /// encoder-decoder.
    pub fn reason(
        &self,
        prompts: &TokenBatch,
        keys: &[u64],
        num_chains: usize,
    ) -> Result<ReasonedPrompts, PolicyError> {
        let _guard = tch::no_grad_guard();
        let sampler = TextSampler {
            model: self.model,
            num_ids: self.markers.num_ids,
            sampling: self.sampling,
            budget: self.budget,
            stops: &self.markers.stops,
            seed: self.seed,
        };
        let room = self.budget.saturating_add(self.markers.added() + self.answer_len);
        let mut writing = Writing::begin(&sampler, prompts, keys, num_chains, room)?;
        writing.cache().check_no_source()?;
        let (mut parts, mut chains) = (Vec::new(), BTreeMap::new());
        while writing.is_open() {
            // Chains that end together are read together if they have the same number of unread
            // tokens.
            let mut by_len: BTreeMap<usize, Vec<Closed>> = BTreeMap::new();
            for ended in writing.draw()? {
                let closed = self.close(ended);
                by_len.entry(closed.unread.len()).or_default().push(closed);
            }
            for group in by_len.into_values() {
                let part = self.read_on(writing.cache(), &group)?;
                for (row, Closed { prompt, place, chain, .. }) in group.into_iter().enumerate() {
                    chains.insert((prompt, place), (chain, (parts.len(), row)));
                }
                parts.push(part);
            }
            writing.advance()?;
        }
        let first_rows: Vec<usize> = parts
            .iter()
            .scan(0, |sum, (_, cache): &(Tensor, KvCache)| {
                let first = *sum;
                *sum += cache.num_prompts();
                Some(first)
            })
            .collect();
        let users = prompts.rows()?;
        let mut by_prompt: Vec<Vec<Chain>> = (0..users).map(|_| Vec::new()).collect();
        let (mut order, mut row_keys) = (Vec::new(), Vec::new());
        for ((prompt, place), (chain, (part, row))) in chains {
            by_prompt[prompt].push(chain);
            order.push(first_rows[part] + row);
            let key = keys.get(prompt).copied().unwrap_or(prompt as u64);
            row_keys.push(stream(self.seed, Purpose::Answers, key, place).r#gen());
        }
        let (hidden, caches): (Vec<Tensor>, Vec<KvCache>) = parts.into_iter().unzip();
        let rows: Vec<i64> = order.iter().map(|row| to_i64(*row)).collect();
        let rows = Tensor::from_slice(&rows).to_device(self.model.device());
        let hidden = Tensor::f_cat(&hidden, 0)?.f_index_select(0, &rows)?;
        let mut cache = KvCache::stack(&caches)?;
        cache.keep_prompts(&order)?;
        Ok(ReasonedPrompts {
            chains: by_prompt,
            start: Prefilled { hidden, cache },
            keys: row_keys,
        })
    }

    /// The text as a chain with its close and the bridge.
    fn close(&self, ended: Ended) -> Closed {
        let Ended { prompt, place, at, text } = ended;
        let mut tokens = text.tokens;
        let close = self.markers.close();
        // All tokens except the last were read; the end of a turn is removed.
        let (end, mut unread, turn_end) = match text.end {
            TextEnd::Stop(0) => (ChainEnd::Closed, 1, None),
            TextEnd::Stop(_) => (ChainEnd::EndOfTurn, 0, tokens.pop()),
            TextEnd::Budget => (ChainEnd::Budget, 1, None),
        };
        let missing = match end {
            ChainEnd::Closed => &[],
            // A marker that was begun is completed.
            _ => &close[begun(&tokens, close)..],
        };
        unread += missing.len() + self.markers.bridge.len();
        let added = missing.iter().chain(&self.markers.bridge);
        tokens.extend(added.copied().map(WrittenToken::forced));
        let unread = tokens[tokens.len() - unread..].iter().map(|token| token.id).collect();
        Closed { prompt, place, at, chain: Chain { tokens, end, turn_end }, unread }
    }

    /// Reads the rest of chains with the same number of unread tokens, each as a prompt of its own.
    fn read_on(
        &self,
        cache: &KvCache,
        chains: &[Closed],
    ) -> Result<(Tensor, KvCache), PolicyError> {
        let picks: Vec<(usize, usize)> = chains.iter().map(|chain| chain.at).collect();
        let mut own = cache.branches_as_prompts(&picks)?;
        let unread: Vec<i64> =
            chains.iter().flat_map(|chain| &chain.unread).map(|id| i64::from(*id)).collect();
        let unread = Tensor::from_slice(&unread)
            .f_view([to_i64(chains.len()), 1, -1])?
            .to_device(self.model.device());
        let hidden = self.model.extend(&unread, &mut own)?; // [P, 1, S, D]
        let [_, _, len, _] = axes("axes of states behind chains", &hidden)?;
        let rows: Vec<(usize, usize)> = (0..chains.len()).map(|row| (row, 0)).collect();
        Ok((hidden.select(2, len - 1).squeeze_dim(1), own.branches_as_prompts(&rows)?))
    }
}

/// Tokens of `marker` that `tokens` ends with as its beginning: 0 where it ends with none.
fn begun(tokens: &[WrittenToken], marker: &[u32]) -> usize {
    (0..marker.len())
        .rev()
        .find(|len| {
            let tail = tokens.len().checked_sub(*len);
            tail.is_some_and(|at| {
                tokens[at..].iter().map(|t| t.id).eq(marker[..*len].iter().copied())
            })
        })
        .unwrap_or(0)
}

/// Merges the answers of the chains of one prompt, the best first.
///
/// ```text
/// log p(y) = log 1/C Σ_c p(y | chain c)
/// ```
/// The mean over chains drawn from the policy estimates the probability of the answer, summed over
/// all chains. If the search of a chain did not find an answer, it counts as 0 for this chain, so
/// the estimate is a lower bound. Chains may have found different answers, and in different orders.
#[must_use]
pub fn merge_chains(found: &[Vec<Hypothesis>]) -> Vec<Hypothesis> {
    let mut by_node: BTreeMap<NodeId, (Vec<u32>, Vec<f32>)> = BTreeMap::new();
    for hypothesis in found.iter().flatten() {
        let entry = by_node.entry(hypothesis.node);
        let (_, scores) = entry.or_insert_with(|| (hypothesis.tokens.clone(), Vec::new()));
        scores.push(hypothesis.score);
    }
    let num_chains = (found.len() as f32).ln();
    let mut merged: Vec<Hypothesis> = by_node
        .into_iter()
        .map(|(node, (tokens, scores))| {
            let score = log_sum_exp(scores.iter().copied()) - num_chains;
            Hypothesis { node, tokens, score }
        })
        .collect();
    merged.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.tokens.cmp(&b.tokens)));
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_started_closing_marker_is_completed() {
        let tokens: Vec<WrittenToken> = [7, 1, 1, 2].map(WrittenToken::forced).into();
        assert_eq!(begun(&tokens, &[1, 2, 3]), 2);
        assert_eq!(begun(&tokens, &[2, 1, 2]), 1);
        assert_eq!(begun(&tokens, &[3]), 0);
        assert_eq!(begun(&[], &[1, 2]), 0);
    }

    #[test]
    fn merged_scores_are_the_means_of_probabilities() {
        let hypothesis = |node: u32, p: f32| Hypothesis {
            node: NodeId(node),
            tokens: vec![node],
            score: p.ln(),
        };
        let merged = merge_chains(&[
            vec![hypothesis(3, 0.5), hypothesis(4, 0.3)],
            vec![hypothesis(4, 0.6), hypothesis(5, 0.1)],
        ]);
        let expected = [(4, 0.45), (3, 0.25), (5, 0.05)];
        assert_eq!(merged.len(), expected.len());
        for (found, (node, p)) in merged.iter().zip(expected) {
            assert_eq!(found.node, NodeId(node));
            assert!((found.score.exp() - p).abs() < 1e-6, "{node}");
        }
        assert!(merge_chains(&[]).is_empty());
    }
}
