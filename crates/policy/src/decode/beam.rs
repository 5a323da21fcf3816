//! Trie-constrained beam search.

use rayon::prelude::*;
use sidereal_sid::{NodeId, Trie};
use tch::{Kind, Tensor};

use crate::PolicyError;
use crate::cache::TokenBatch;
use crate::decode::{Constraint, Scoring};
use crate::models::language_model::LanguageModel;
use crate::weights::to_i64;

/// A Semantic ID that the model wrote.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Hypothesis {
    /// Node of the trie that its codes lead to: a leaf.
    pub node: NodeId,
    /// Flat token indices, the guide's codes included.
    pub tokens: Vec<u32>,
    /// Sum of the log-probabilities of the codes behind the guide, in nats; no length
    /// normalisation.
    pub score: f32,
}

/// A prefix among the best of its level; a whole Semantic ID is told again at every later level.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct KeptPrefix<'a> {
    /// Index of the prompt.
    pub prompt: usize,
    /// Flat token indices, the guide's codes included.
    pub tokens: &'a [u32],
    /// Sum of the log-probabilities of the codes behind the guide, in nats.
    pub score: f32,
}

/// Beam search over the Semantic IDs of a catalogue.
///
/// Prompts are read once and shared by their beams. Only the output rows of the level at hand are
/// computed, and under [`Scoring::Full`] the normaliser of the whole vocabulary besides.
/// Semantic IDs of different lengths compete by their scores as they are.
#[derive(Debug, Clone, Copy)]
pub struct BeamSearch<'a> {
    /// The policy.
    pub model: &'a dyn LanguageModel,
    /// What may be written.
    pub constraint: &'a Constraint,
    /// Most hypotheses kept at each level and returned.
    pub beam_width: usize,
    /// What a code's probability is a share of.
    pub scoring: Scoring,
}

/// A hypothesis on its way.
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
    /// [`PolicyError::Size`] where guides and prompts differ in number, [`PolicyError::Empty`]
    /// where no Semantic ID begins with a guide, or the width is 0.
    pub fn search(
        &self,
        prompts: &TokenBatch,
        guides: &[&[u32]],
    ) -> Result<Vec<Vec<Hypothesis>>, PolicyError> {
        self.search_observed(prompts, guides, &mut |_| {})
    }

    /// As [`search`](Self::search), telling `observe` every prefix that is kept at each level, best
    /// first: the tree that the beam walks through.
    ///
    /// # Errors
    /// Those of [`search`](Self::search).
    pub fn search_observed(
        &self,
        prompts: &TokenBatch,
        guides: &[&[u32]],
        observe: &mut dyn FnMut(&KeptPrefix<'_>),
    ) -> Result<Vec<Vec<Hypothesis>>, PolicyError> {
        let _guard = tch::no_grad_guard();
        let users = prompts.rows()?;
        if guides.len() != users {
            return Err(PolicyError::Size { what: "guides", found: guides.len(), expected: users });
        }
        if self.beam_width == 0 {
            return Err(PolicyError::Empty { what: "a beam" });
        }
        let trie = self.constraint.trie();
        let mut beams = guides
            .iter()
            .map(|guide| {
                let node = trie
                    .walk(guide)
                    .filter(|node| !trie.is_leaf(*node))
                    .ok_or(PolicyError::Empty { what: "the set of semantic ids behind a guide" })?;
                Ok(vec![Beam { tokens: guide.to_vec(), node, score: 0.0, parent: 0 }])
            })
            .collect::<Result<Vec<_>, PolicyError>>()?;
        let begun: Vec<usize> = guides.iter().map(|guide| guide.len()).collect();
        let (hidden, mut cache) = self.model.prefill(prompts, &begun)?;
        let mut hidden = hidden.unsqueeze(1); // [U, 1, D]
        let mut finished: Vec<Vec<Hypothesis>> = vec![Vec::new(); users];
        loop {
            let slots = usize::try_from(hidden.size()[1]).unwrap_or(0);
            let scores = self.scores(&hidden, &beams, slots)?;
            let expansion = Expansion {
                trie,
                offsets: self.constraint.offsets(),
                beam_width: self.beam_width,
                scoring: self.scoring,
                slots,
            };
            beams.par_iter_mut().zip(&mut finished).enumerate().for_each(
                |(user, (beams, finished))| expansion.apply(user, &scores, beams, finished),
            );
            for (prompt, (beams, finished)) in beams.iter().zip(&finished).enumerate() {
                let whole = finished.iter().map(|found| (&found.tokens, found.score));
                let partial = beams.iter().map(|beam| (&beam.tokens, beam.score));
                for (tokens, score) in whole.chain(partial) {
                    observe(&KeptPrefix { prompt, tokens, score });
                }
            }
            let most = beams.iter().map(Vec::len).max().unwrap_or(0);
            if most == 0 {
                break;
            }
            // Rows with fewer beams repeat an existing branch; nothing reads the result.
            let mut parents = vec![0i64; users * most];
            let mut tokens = vec![0i64; users * most];
            for (user, beams) in beams.iter().enumerate() {
                for (slot, beam) in beams.iter().enumerate() {
                    parents[user * most + slot] = to_i64(beam.parent);
                    let token = beam.tokens.last().copied().unwrap_or(0);
                    tokens[user * most + slot] = i64::from(self.constraint.id(token));
                }
            }
            let shape = [to_i64(users), to_i64(most)];
            let device = self.model.device();
            cache.gather_branches(&Tensor::from_slice(&parents).view(shape).to_device(device))?;
            let tokens = Tensor::from_slice(&tokens).view(shape).unsqueeze(2).to_device(device);
            hidden = self.model.extend(&tokens, &mut cache)?.squeeze_dim(2); // [U, W, D]
        }
        Ok(finished)
    }

    /// Per level: log-probabilities of its codes, one row for each beam of that level.
    fn scores(
        &self,
        hidden: &Tensor,
        beams: &[Vec<Beam>],
        slots: usize,
    ) -> Result<LevelScores, PolicyError> {
        let width = hidden.size()[2];
        let flat = hidden.reshape([-1, width]); // [U·W, D]
        let mut rows_of = vec![Vec::new(); self.constraint.max_len()];
        for (user, beams) in beams.iter().enumerate() {
            for (slot, beam) in beams.iter().enumerate() {
                rows_of[beam.tokens.len()].push(user * slots + slot);
            }
        }
        let mut scores =
            LevelScores { row: vec![usize::MAX; beams.len() * slots], levels: Vec::new() };
        for (level, rows) in rows_of.iter().enumerate() {
            let mut values = Vec::new();
            if !rows.is_empty() {
                let index: Vec<i64> = rows.iter().map(|row| to_i64(*row)).collect();
                let index = Tensor::from_slice(&index).to_device(flat.device());
                let picked = flat.f_index_select(0, &index)?;
                let mut logits =
                    self.model.head().logits_of(&picked, self.constraint.rows(level))?;
                if self.scoring == Scoring::Full {
                    logits -= self.model.head().log_normaliser(&picked)?.unsqueeze(1);
                }
                values = Vec::<f32>::try_from(logits.to_kind(Kind::Float).contiguous().view(-1))?;
            }
            rows.iter().enumerate().for_each(|(row, flat)| scores.row[*flat] = row);
            scores.levels.push(values);
        }
        Ok(scores)
    }
}

/// The tensor-free half of a step, which runs for all users in parallel.
#[derive(Debug, Clone, Copy)]
struct Expansion<'a> {
    trie: &'a Trie,
    /// First flat token of each level, and the total.
    offsets: &'a [u32],
    beam_width: usize,
    scoring: Scoring,
    slots: usize,
}

impl Expansion<'_> {
    /// Replaces a user's beams by the best of their continuations; whole Semantic IDs move to
    /// `finished` while they are among the best.
    fn apply(
        &self,
        user: usize,
        scores: &LevelScores,
        beams: &mut Vec<Beam>,
        finished: &mut Vec<Hypothesis>,
    ) {
        let mut candidates: Vec<(f32, usize, u32, NodeId)> = Vec::new();
        for (slot, beam) in beams.iter().enumerate() {
            let level = beam.tokens.len();
            let (first, end) = (self.offsets[level], self.offsets[level + 1]);
            let size = (end - first) as usize;
            let row = scores.row[user * self.slots + slot] * size;
            let logits = &scores.levels[level][row..row + size];
            let children = self.trie.children(beam.node);
            let logit = |token: &u32| logits[(*token - first) as usize];
            let normaliser = match self.scoring {
                Scoring::Full => 0.0,
                Scoring::Renormalised => log_sum_exp(children.tokens.iter().map(logit)),
            };
            for (k, token) in children.tokens.iter().enumerate() {
                let score = beam.score + (logit(token) - normaliser);
                candidates.push((score, slot, *token, children.node(k)));
            }
        }
        // A whole Semantic ID keeps its score while the others can only lose.
        let best_first = |a: &(f32, usize, u32, NodeId), b: &(f32, usize, u32, NodeId)| {
            b.0.total_cmp(&a.0).then(a.3.cmp(&b.3))
        };
        if candidates.len() > self.beam_width {
            candidates.select_nth_unstable_by(self.beam_width - 1, best_first);
            candidates.truncate(self.beam_width);
        }
        candidates.sort_unstable_by(best_first);
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
        // Unfinished beams that the finished ones already push out of the width are dropped.
        next.retain(|beam| {
            let better = finished.partition_point(|hypothesis| hypothesis.score > beam.score);
            better < self.beam_width
        });
        *beams = next;
    }
}

/// Logits of each level's codes; `row` leads from a beam's slot to its row of its level.
#[derive(Debug)]
struct LevelScores {
    row: Vec<usize>,
    levels: Vec<Vec<f32>>,
}

fn log_sum_exp(values: impl Iterator<Item = f32> + Clone) -> f32 {
    let max = values.clone().fold(f32::NEG_INFINITY, f32::max);
    max + values.map(|value| (value - max).exp()).sum::<f32>().ln()
}
