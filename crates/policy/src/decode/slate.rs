//! Drawing slates: several different answers, from a pool or the whole constraint, one after the other.

use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use sidereal_sid::{ItemId, NodeId, Trie};

use crate::PolicyError;
use crate::cache::TokenBatch;
use crate::decode::branches::{advance, child_scores};
use crate::decode::conditions::Begin;
use crate::decode::sample::{OnBranch, Rollout, nodes, share_branches};
use crate::decode::sampling::{NO_TOKEN, NOTHING_TO_DRAW, Purpose, stream};
use crate::decode::{Conditions, Constraint, Excluded, Sampler, SamplingConfig, Scoring};
use crate::policy::LanguageModel;
use crate::score::completions::CompletionToken;
use crate::score::target::Target;

/// Draws slates from the policy: SAGE's slates of titles (`TextRec`) and of Semantic IDs (`OneRec-SAGE`).
///
/// The answers of a slate are drawn one after the other, each token by token, under the trie of
/// those answers that the slate does not hold yet: of those of a pool, or of all of the constraint.
/// Every sequence of the constraint
/// ends with one token that separates it from the next, such as a line end
/// ([`Constraint::from_sequences`]). Over the whole constraint, an answer costs the path to its leaf: the
/// leaves that the slate holds are excluded, and a prefix is excluded once nothing else follows it. A prompt is read once for all its slates, and slates that
/// agree so far are one branch. What is drawn only depends on `seed`, the key of the prompt and the
/// number of the slate, up to the rounding of logits.
#[derive(Debug, Clone, Copy)]
pub struct SlateSampler<'a> {
    /// The policy.
    pub model: &'a dyn LanguageModel,
    /// What an answer may be.
    pub constraint: &'a Constraint,
    /// Number of answers of a slate; if there are fewer, all of them. Range `1..`.
    pub slate_size: usize,
    /// How a token is drawn.
    pub sampling: SamplingConfig,
    /// How the returned log-probability of a token is normalised.
    pub scoring: Scoring,
    /// Seed of the draws.
    pub seed: u64,
}

/// A slate that was drawn.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Slate {
    /// Its answers, in the order in which they were drawn, no two the same.
    pub answers: Vec<Rollout>,
}

impl Slate {
    /// The slate as targets of [`completion_logp`](crate::completion_logp): the tokens of the
    /// answers are scored against the vocabulary; the separators, and the token `end` in place of
    /// the last separator, are only read.
    #[must_use]
    pub fn completion(&self, constraint: &Constraint, end: u32) -> Vec<CompletionToken> {
        let mut tokens = Vec::new();
        for answer in &self.answers {
            let Some((separator, words)) = answer.tokens.split_last() else { continue };
            let word = |token: &u32| CompletionToken::Scored(Target::Word(constraint.id(*token)));
            tokens.extend(words.iter().map(word));
            tokens.push(CompletionToken::Read(constraint.id(*separator)));
        }
        if let Some(last) = tokens.last_mut() {
            *last = CompletionToken::Read(end);
        }
        tokens
    }
}

/// What may follow in a slate.
#[derive(Debug, Clone)]
enum Left {
    /// These items of a pool.
    Of(Vec<ItemId>),
    /// All items but these, which the slate holds.
    AllBut(Vec<ItemId>),
}

impl Left {
    fn new(pool: Option<&[ItemId]>) -> Self {
        pool.map_or_else(|| Self::AllBut(Vec::new()), |pool| Self::Of(pool.to_vec()))
    }

    /// Takes out an answer of the slate.
    fn remove(&mut self, answer: &[ItemId]) {
        match self {
            Self::Of(left) => left.retain(|item| !answer.contains(item)),
            Self::AllBut(held) => held.extend_from_slice(answer),
        }
    }

    /// What may not be drawn.
    fn excluded(&self, trie: &Trie) -> Result<Excluded, PolicyError> {
        match self {
            Self::Of(left) => Excluded::all_but(trie, left.iter().copied()),
            Self::AllBut(held) => Excluded::new(trie, held.iter().copied()),
        }
    }
}

/// A slate that is not complete.
#[derive(Debug)]
struct Open {
    answers: Vec<Rollout>,
    /// The answer that is being drawn.
    current: Rollout,
    left: Left,
    /// What may not be drawn: the rest of the trie.
    excluded: Excluded,
    /// Its number in the group.
    place: usize,
    rng: ChaCha8Rng,
    /// Branch that it belongs to.
    slot: usize,
    last: u32,
}

impl OnBranch for Open {
    fn slot(&mut self) -> &mut usize {
        &mut self.slot
    }

    fn node(&self) -> NodeId {
        self.current.node
    }

    fn last(&self) -> Result<u32, PolicyError> {
        Ok(self.last)
    }
}

impl Open {
    /// A new answer begins at the root.
    fn blank() -> Rollout {
        Rollout::begin(
            &Begin { guide: &[], node: None, excluded: None, prior: None, key: 0 },
            Trie::ROOT,
        )
    }

    /// Continues after a drawn token; true if the slate is complete.
    fn go_on(&mut self, trie: &Trie, slate_size: usize) -> Result<bool, PolicyError> {
        self.last = self.current.tokens.last().copied().ok_or(NO_TOKEN)?;
        if !trie.is_leaf(self.current.node) {
            return Ok(false);
        }
        let whole = std::mem::replace(&mut self.current, Self::blank());
        self.left.remove(trie.items(whole.node));
        self.excluded = self.left.excluded(trie)?;
        self.answers.push(whole);
        Ok(self.answers.len() == slate_size || self.excluded.contains(Trie::ROOT))
    }
}

impl SlateSampler<'_> {
    /// For each prompt `num_slates` independent slates of its pool, or without one of all items of the
    /// constraint, in the order of their numbers.
    ///
    /// `keys` name the prompts for their random numbers; without keys, their places are used.
    ///
    /// # Errors
    /// [`PolicyError::Size`] if pools, keys and prompts differ in number; [`PolicyError::Empty`]
    /// for no slates, a slate without answers, an empty pool, or logits that are not finite;
    /// [`PolicyError::UnknownItem`] for an item that the constraint does not have.
    pub fn sample(
        &self,
        prompts: &TokenBatch,
        pools: &[Option<&[ItemId]>],
        keys: &[u64],
        num_slates: usize,
    ) -> Result<Vec<Vec<Slate>>, PolicyError> {
        let _guard = tch::no_grad_guard();
        let users = prompts.rows()?;
        for (what, size) in [("a group of slates", num_slates), ("a slate", self.slate_size)] {
            if size == 0 {
                return Err(PolicyError::Empty { what });
            }
        }
        if pools.len() != users {
            let (found, expected) = (pools.len(), users);
            return Err(PolicyError::Size { what: "pools", found, expected });
        }
        if pools.iter().any(|pool| pool.is_some_and(<[_]>::is_empty)) {
            return Err(PolicyError::Empty { what: "a pool" });
        }
        let trie = self.constraint.trie();
        let conditions = Conditions { keys, ..Conditions::default() };
        let begins = conditions.begin(trie, users)?;
        let mut open = begins
            .iter()
            .zip(pools)
            .map(|(begin, pool)| self.group(begin.key, *pool, num_slates))
            .collect::<Result<Vec<_>, _>>()?;
        let mut start = self.model.read(prompts, &conditions.begun(users))?;
        let mut whole: Vec<Vec<(usize, Slate)>> = vec![Vec::new(); users];
        let Self { model, constraint, sampling, scoring, seed, slate_size } = *self;
        let sampler = Sampler { model, constraint, sampling, scoring, seed };
        loop {
            let nodes: Vec<Vec<NodeId>> = open.iter_mut().map(|open| nodes(open)).collect();
            let scores = child_scores(&*start, constraint, scoring, &nodes)?;
            let rule = sampler.rule(&scores);
            let next = open
                .par_iter_mut()
                .zip(&mut whole)
                .enumerate()
                .map(|(user, (open, whole))| {
                    let mut going = Vec::with_capacity(open.len());
                    for mut slate in open.drain(..) {
                        let excluded = Some(&slate.excluded);
                        let begin = Begin { guide: &[], node: None, excluded, prior: None, key: 0 };
                        let mut legal = rule.legal(&slate.current, &begin, user, slate.slot);
                        let draw = sampling.draw(&legal.logits, &mut slate.rng);
                        let draw = draw.ok_or(NOTHING_TO_DRAW)?;
                        let token = &mut legal.codes[draw.index];
                        token.draw_logp = draw.logp;
                        slate.current.push(token);
                        if slate.go_on(rule.trie, slate_size)? {
                            whole.push((slate.place, Slate { answers: slate.answers }));
                        } else {
                            going.push(slate);
                        }
                    }
                    *open = going;
                    share_branches(open)
                })
                .collect::<Result<Vec<_>, PolicyError>>()?;
            if !advance(&mut *start, self.constraint, &next)? {
                break;
            }
        }
        let in_order = |mut group: Vec<(usize, Slate)>| {
            group.sort_by_key(|(place, _)| *place);
            group.into_iter().map(|(_, slate)| slate).collect()
        };
        Ok(whole.into_iter().map(in_order).collect())
    }

    /// Longest prompt that leaves room for a slate.
    #[must_use]
    pub fn longest_prompt(&self) -> usize {
        self.model.longest_prompt(self.slate_size * self.constraint.max_len())
    }

    /// The slates of one prompt, before the first token.
    fn group(
        &self,
        key: u64,
        pool: Option<&[ItemId]>,
        num_slates: usize,
    ) -> Result<Vec<Open>, PolicyError> {
        let left = Left::new(pool);
        let excluded = left.excluded(self.constraint.trie())?;
        let slate = |place| Open {
            answers: Vec::new(),
            current: Open::blank(),
            left: left.clone(),
            excluded: excluded.clone(),
            place,
            rng: stream(self.seed, Purpose::Slates, key, place),
            slot: 0,
            last: 0,
        };
        Ok((0..num_slates).map(slate).collect())
    }
}
