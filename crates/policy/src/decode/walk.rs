//! Branches of a language model on their way down a trie.

use sidereal_sid::NodeId;
use tch::{Kind, Tensor};

use crate::PolicyError;
use crate::cache::{KvCache, TokenBatch};
use crate::decode::branches::{Branches, ChildScores, LevelScores, Onward};
use crate::decode::constraint::{Constraint, Scoring};
use crate::policy::LanguageModel;
use crate::sizes::{axes, to_usize};
use crate::weights::to_i64;

/// Prompts that were read, from which answers are decoded.
#[derive(Debug)]
pub struct Prefilled {
    /// Hidden state before each answer's next token, `[U, D]`.
    pub hidden: Tensor,
    /// What was read.
    pub cache: KvCache,
}

impl Prefilled {
    /// Reads prompts, of which the last `begun[u]` tokens are the beginning of the answer.
    ///
    /// # Errors
    /// Those of [`LanguageModel::prefill`].
    pub fn read(
        model: &dyn LanguageModel,
        prompts: &TokenBatch,
        begun: &[usize],
    ) -> Result<Self, PolicyError> {
        let (hidden, cache) = model.prefill(prompts, begun)?;
        Ok(Self { hidden, cache })
    }

    /// One branch for each prompt, for constrained decoding; `model` is the model that read them.
    #[must_use]
    pub fn branches<'a>(self, model: &'a dyn LanguageModel) -> Box<dyn Branches + 'a> {
        let hidden = self.hidden.unsqueeze(1); // [U, 1, D]
        Box::new(Walk { model, cache: self.cache, hidden })
    }

    /// A second start that shares what was read, to decode the answers in another way.
    ///
    /// # Errors
    /// [`PolicyError::Torch`].
    pub fn again(&self) -> Result<Self, PolicyError> {
        let all: Vec<usize> = (0..self.cache.num_prompts()).collect();
        Ok(Self { hidden: self.hidden.shallow_clone(), cache: self.cache.of_prompts(&all)? })
    }
}

/// The branches of every prompt and what the model has read of them.
#[derive(Debug)]
struct Walk<'a> {
    model: &'a dyn LanguageModel,
    cache: KvCache,
    /// States before the next codes, `[U, W, D]`.
    hidden: Tensor,
}

impl Branches for Walk<'_> {
    fn num_prompts(&self) -> usize {
        self.cache.num_prompts()
    }

    fn scores(
        &self,
        constraint: &Constraint,
        scoring: Scoring,
        nodes: &[Vec<NodeId>],
    ) -> Result<ChildScores, PolicyError> {
        let [_, slots, width] = axes("axes of the states of branches", &self.hidden)?;
        let slots = to_usize(slots)?;
        let flat = self.hidden.reshape([-1, width]); // [U·W, D]
        let mut rows_of = vec![Vec::new(); constraint.max_len()];
        for (user, nodes) in nodes.iter().enumerate() {
            for (slot, node) in nodes.iter().enumerate() {
                let children = constraint.trie().children(*node);
                // A leaf has no children, so there are no scores.
                let Some(first) = children.tokens.first() else { continue };
                rows_of[constraint.level(*first)].push(user * slots + slot);
            }
        }
        let row = vec![usize::MAX; nodes.len() * slots];
        let offsets = constraint.offsets().to_vec();
        let mut scores = LevelScores { offsets, slots, row, levels: Vec::new() };
        let head = self.model.head();
        for (level, rows) in rows_of.iter().enumerate() {
            let mut values = Vec::new();
            if !rows.is_empty() {
                let index: Vec<i64> = rows.iter().map(|row| to_i64(*row)).collect();
                let index = Tensor::from_slice(&index).to_device(flat.device());
                let picked = flat.f_index_select(0, &index)?;
                let codes = constraint.rows(level);
                let found = match scoring {
                    Scoring::Full => head.logp_of_rows(&picked, codes)?,
                    Scoring::Renormalised => head.logits_of(&picked, codes)?,
                };
                values = Vec::<f32>::try_from(found.to_kind(Kind::Float).contiguous().view(-1))?;
            }
            rows.iter().enumerate().for_each(|(row, flat)| scores.row[*flat] = row);
            scores.levels.push(values);
        }
        Ok(ChildScores::of_levels(scores))
    }

    fn advance(
        &mut self,
        constraint: &Constraint,
        next: &[Vec<Onward>],
    ) -> Result<(), PolicyError> {
        // Without prompts there are no branches.
        let most = next.iter().map(Vec::len).max().unwrap_or(0);
        // Prompts with fewer branches repeat an existing one; nothing reads the result.
        let mut parents = vec![0i64; next.len() * most];
        let mut tokens = vec![0i64; next.len() * most];
        for (user, branches) in next.iter().enumerate() {
            for (slot, branch) in branches.iter().enumerate() {
                parents[user * most + slot] = to_i64(branch.parent);
                tokens[user * most + slot] = i64::from(constraint.id(branch.token));
            }
        }
        let shape = [to_i64(next.len()), to_i64(most)];
        let device = self.model.device();
        self.cache.gather_branches(&Tensor::from_slice(&parents).view(shape).to_device(device))?;
        let tokens = Tensor::from_slice(&tokens).view(shape).unsqueeze(2).to_device(device);
        self.hidden = self.model.extend(&tokens, &mut self.cache)?.squeeze_dim(2); // [U, W, D]
        Ok(())
    }
}
