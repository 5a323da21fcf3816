//! Trie-constrained beam search.

use rayon::prelude::*;
use sidereal_sid::{NodeId, Trie};

use crate::PolicyError;
use crate::cache::TokenBatch;
use crate::decode::branches::{Branches, ChildScores, Onward, advance, child_scores, normaliser};
use crate::decode::conditions::Begin;
use crate::decode::sampling::NO_TOKEN;
use crate::decode::{Conditions, Constraint, Scoring};
use crate::policy::Policy;

/// A Semantic ID that the model wrote.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Hypothesis {
    /// Node of the trie that its codes lead to: a leaf.
    pub node: NodeId,
    /// Flat token indices, the guide's codes included.
    pub tokens: Vec<u32>,
    /// Sum of the log-probabilities of the codes after the guide, in nats, and of what a
    /// [prior](crate::TriePrior) adds; no length normalisation.
    pub score: f32,
}

/// A prefix among the best of its level; a whole Semantic ID is reported again at every later level.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct KeptPrefix<'a> {
    /// Index of the prompt.
    pub prompt: usize,
    /// Flat token indices, the guide's codes included.
    pub tokens: &'a [u32],
    /// Sum of the log-probabilities of the codes after the guide, in nats.
    pub score: f32,
}

/// Beam search over the Semantic IDs of a catalogue.
///
/// Prompts are read once and shared by their beams. Only the output rows of the current level are
/// computed, and with [`Scoring::Full`] also the normaliser of the whole vocabulary. Semantic IDs
/// of different lengths compete by their scores, without length normalisation.
#[derive(Debug, Clone, Copy)]
pub struct BeamSearch<'a> {
    /// The policy.
    pub model: &'a dyn Policy,
    /// What may be written.
    pub constraint: &'a Constraint,
    /// Largest number of hypotheses that are kept at each level and returned.
    pub beam_width: usize,
    /// How the probability of a code is normalised.
    pub scoring: Scoring,
}

/// A hypothesis that is not complete.
#[derive(Debug, Clone)]
struct Beam {
    tokens: Vec<u32>,
    node: NodeId,
    score: f32,
    /// Branch of the cache that it continues.
    parent: usize,
}

impl BeamSearch<'_> {
    /// For each prompt the best Semantic IDs, best first: `beam_width` of them, or all there are.
    ///
    /// `guides` gives for each prompt flat tokens that the Semantic ID must begin with (empty:
    /// free); the prompt's own tokens must end with the same codes. Equal scores keep the order
    /// of the codes.
    ///
    /// # Errors
    /// [`PolicyError::Size`] if guides and prompts differ in number, [`PolicyError::Empty`] if no
    /// Semantic ID begins with a guide, or the width is 0, [`PolicyError::NotFinite`] if a score is
    /// NaN or infinite.
    pub fn search(
        &self,
        prompts: &TokenBatch,
        guides: &[&[u32]],
    ) -> Result<Vec<Vec<Hypothesis>>, PolicyError> {
        // Here every prompt must say how its answer begins.
        if guides.is_empty() {
            let expected = prompts.rows()?;
            return Err(PolicyError::Size { what: "guides", found: 0, expected });
        }
        self.search_under(prompts, &Conditions::guided(guides))
    }

    /// As [`search`](Self::search), under any conditions.
    ///
    /// A prompt for which everything is excluded has no answer.
    ///
    /// # Errors
    /// Those of [`search`](Self::search).
    pub fn search_under(
        &self,
        prompts: &TokenBatch,
        conditions: &Conditions<'_>,
    ) -> Result<Vec<Vec<Hypothesis>>, PolicyError> {
        self.search_observed(prompts, conditions, &mut |_| {})
    }

    /// As [`search_under`](Self::search_under), and calls `observe` with every prefix that is kept
    /// at each level, best first: the tree that the beam walks through.
    ///
    /// # Errors
    /// Those of [`search`](Self::search).
    pub fn search_observed(
        &self,
        prompts: &TokenBatch,
        conditions: &Conditions<'_>,
        observe: &mut dyn FnMut(&KeptPrefix<'_>),
    ) -> Result<Vec<Vec<Hypothesis>>, PolicyError> {
        let _guard = tch::no_grad_guard();
        self.begin(conditions, prompts.rows()?)?;
        let start = self.model.read(prompts, &conditions.begun(prompts.rows()?))?;
        self.search_from(start, conditions, observe)
    }

    /// As [`search_observed`](Self::search_observed), after prompts that were read before.
    ///
    /// # Errors
    /// Those of [`search`](Self::search).
    pub fn search_from(
        &self,
        mut start: Box<dyn Branches + '_>,
        conditions: &Conditions<'_>,
        observe: &mut dyn FnMut(&KeptPrefix<'_>),
    ) -> Result<Vec<Vec<Hypothesis>>, PolicyError> {
        let _guard = tch::no_grad_guard();
        let begins = self.begin(conditions, start.num_prompts())?;
        let mut beams: Vec<Vec<Beam>> = begins
            .iter()
            .map(|begin| {
                let tokens = begin.guide.to_vec();
                let root = |node| Beam { tokens, node, score: 0.0, parent: 0 };
                begin.node.map(root).into_iter().collect()
            })
            .collect();
        let mut finished: Vec<Vec<Hypothesis>> = vec![Vec::new(); beams.len()];
        loop {
            let nodes: Vec<Vec<NodeId>> =
                beams.iter().map(|beams| beams.iter().map(|beam| beam.node).collect()).collect();
            let scores = child_scores(&*start, self.constraint, self.scoring, &nodes)?;
            let expansion = Expansion {
                trie: self.constraint.trie(),
                scores: &scores,
                beam_width: self.beam_width,
                scoring: self.scoring,
            };
            beams.par_iter_mut().zip(&mut finished).zip(&begins).enumerate().try_for_each(
                |(user, ((beams, finished), begin))| expansion.apply(user, begin, beams, finished),
            )?;
            for (prompt, (beams, finished)) in beams.iter().zip(&finished).enumerate() {
                let whole = finished.iter().map(|found| (&found.tokens, found.score));
                let partial = beams.iter().map(|beam| (&beam.tokens, beam.score));
                for (tokens, score) in whole.chain(partial) {
                    observe(&KeptPrefix { prompt, tokens, score });
                }
            }
            let onward = |beam: &Beam| {
                let token = *beam.tokens.last().ok_or(NO_TOKEN)?;
                Ok(Onward { parent: beam.parent, token })
            };
            let next = beams.iter().map(|beams| beams.iter().map(onward).collect());
            let next = next.collect::<Result<Vec<Vec<Onward>>, PolicyError>>()?;
            if !advance(&mut *start, self.constraint, &next)? {
                return Ok(finished);
            }
        }
    }

    fn begin<'c>(
        &self,
        conditions: &Conditions<'c>,
        users: usize,
    ) -> Result<Vec<Begin<'c>>, PolicyError> {
        if self.beam_width == 0 {
            return Err(PolicyError::Empty { what: "a beam" });
        }
        conditions.begin(self.constraint.trie(), users)
    }
}

/// The part of a step without tensors, which runs for all users in parallel.
#[derive(Debug, Clone, Copy)]
struct Expansion<'a> {
    trie: &'a Trie,
    scores: &'a ChildScores,
    beam_width: usize,
    scoring: Scoring,
}

impl Expansion<'_> {
    /// Replaces a user's beams by the best of their continuations; whole Semantic IDs move to
    /// `finished` while they are among the best. A score that is not finite is an error.
    fn apply(
        &self,
        user: usize,
        begin: &Begin<'_>,
        beams: &mut Vec<Beam>,
        finished: &mut Vec<Hypothesis>,
    ) -> Result<(), PolicyError> {
        let mut candidates: Vec<(f32, usize, u32, NodeId)> = Vec::new();
        for (slot, beam) in beams.iter().enumerate() {
            let children = self.trie.children(beam.node);
            let codes = self.scores.of(user, slot, beam.tokens.len(), children.tokens);
            let normaliser = normaliser(self.scoring, codes.clone());
            for (k, (token, code)) in children.tokens.iter().zip(codes).enumerate() {
                let node = children.node(k);
                let is_out = begin.excluded.is_some_and(|excluded| excluded.contains(node));
                let led = begin.prior.map_or(0.0, |prior| prior.at(node) - prior.at(beam.node));
                if !is_out && led > f32::NEG_INFINITY {
                    candidates.push((beam.score + (code - normaliser) + led, slot, *token, node));
                }
            }
        }
        // A whole Semantic ID keeps its score, while the scores of the others can only fall.
        let best_first = |a: &(f32, usize, u32, NodeId), b: &(f32, usize, u32, NodeId)| {
            b.0.total_cmp(&a.0).then(a.3.cmp(&b.3))
        };
        let wrong = candidates.iter().map(|candidate| candidate.0).find(|score| score.is_nan());
        if candidates.len() > self.beam_width {
            candidates.select_nth_unstable_by(self.beam_width - 1, best_first);
            candidates.truncate(self.beam_width);
        }
        candidates.sort_unstable_by(best_first);
        if let Some(found) =
            wrong.or(candidates.last().map(|last| last.0)).filter(|s| !s.is_finite())
        {
            return Err(PolicyError::NotFinite { what: "a beam's score", prompt: user, found });
        }
        let mut next = Vec::with_capacity(candidates.len());
        for (score, slot, token, node) in candidates {
            let mut tokens = beams[slot].tokens.clone();
            tokens.push(token);
            if self.trie.is_leaf(node) {
                finished.push(Hypothesis { node, tokens, score });
            } else {
                next.push(Beam { tokens, node, score, parent: slot });
            }
        }
        finished.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.tokens.cmp(&b.tokens)));
        finished.truncate(self.beam_width);
        // Unfinished beams are dropped if enough finished ones are already better.
        next.retain(|beam| {
            let better = finished.partition_point(|hypothesis| hypothesis.score > beam.score);
            better < self.beam_width
        });
        *beams = next;
        Ok(())
    }
}
