//! Branches on their way down a trie: what beam search and sampling share.

use tch::{Kind, Tensor};

use crate::PolicyError;
use crate::cache::{KvCache, TokenBatch};
use crate::decode::{Conditions, Constraint, Scoring};
use crate::models::language_model::LanguageModel;
use crate::weights::to_i64;

/// Prompts that were read: where answers go on from.
#[derive(Debug)]
pub struct Prefilled {
    /// Hidden state before each answer's next token, `[U, D]`.
    pub hidden: Tensor,
    /// What was read.
    pub cache: KvCache,
}

impl Prefilled {
    /// Reads prompts whose answers begin as `conditions` say.
    ///
    /// # Errors
    /// [`PolicyError::Size`] where conditions and prompts differ in number, and those of
    /// [`LanguageModel::prefill`].
    pub fn read(
        model: &dyn LanguageModel,
        prompts: &TokenBatch,
        conditions: &Conditions<'_>,
    ) -> Result<Self, PolicyError> {
        let (hidden, cache) = model.prefill(prompts, &conditions.begun(prompts.rows()?))?;
        Ok(Self { hidden, cache })
    }

    /// The same once more, sharing what was read: for a second way of answering.
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
pub(super) struct Walk<'a> {
    model: &'a dyn LanguageModel,
    constraint: &'a Constraint,
    cache: KvCache,
    /// States before the next codes, `[U, W, D]`.
    hidden: Tensor,
}

/// A branch to go on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Onward {
    /// Branch that it continues.
    pub(super) parent: usize,
    /// Flat token that it adds.
    pub(super) token: u32,
}

impl<'a> Walk<'a> {
    /// One branch for each prompt.
    pub(super) fn new(
        model: &'a dyn LanguageModel,
        constraint: &'a Constraint,
        start: Prefilled,
    ) -> Self {
        let hidden = start.hidden.unsqueeze(1); // [U, 1, D]
        Self { model, constraint, cache: start.cache, hidden }
    }

    /// Log-probabilities of the codes of its level for each branch, up to the normaliser that
    /// renormalised scoring takes away; `levels` gives the level of each prompt's branches.
    pub(super) fn scores(
        &self,
        scoring: Scoring,
        levels: &[Vec<usize>],
    ) -> Result<LevelScores<'a>, PolicyError> {
        let [_, slots, width] = <[i64; 3]>::try_from(self.hidden.size()).unwrap_or([0; 3]);
        let slots = usize::try_from(slots).unwrap_or(0);
        let flat = self.hidden.reshape([-1, width]); // [U·W, D]
        let mut rows_of = vec![Vec::new(); self.constraint.max_len()];
        for (user, levels) in levels.iter().enumerate() {
            for (slot, level) in levels.iter().enumerate() {
                rows_of[*level].push(user * slots + slot);
            }
        }
        let row = vec![usize::MAX; levels.len() * slots];
        let offsets = self.constraint.offsets();
        let mut scores = LevelScores { offsets, slots, row, levels: Vec::new() };
        let head = self.model.head();
        for (level, rows) in rows_of.iter().enumerate() {
            let mut values = Vec::new();
            if !rows.is_empty() {
                let index: Vec<i64> = rows.iter().map(|row| to_i64(*row)).collect();
                let index = Tensor::from_slice(&index).to_device(flat.device());
                let picked = flat.f_index_select(0, &index)?;
                let codes = self.constraint.rows(level);
                let found = match scoring {
                    Scoring::Full => head.logp_of_rows(&picked, codes)?,
                    Scoring::Renormalised => head.logits_of(&picked, codes)?,
                };
                values = Vec::<f32>::try_from(found.to_kind(Kind::Float).contiguous().view(-1))?;
            }
            rows.iter().enumerate().for_each(|(row, flat)| scores.row[*flat] = row);
            scores.levels.push(values);
        }
        Ok(scores)
    }

    /// Reads one more code in each branch of `next`; false where no prompt has any left.
    pub(super) fn advance(&mut self, next: &[Vec<Onward>]) -> Result<bool, PolicyError> {
        let most = next.iter().map(Vec::len).max().unwrap_or(0);
        if most == 0 {
            return Ok(false);
        }
        // Prompts with fewer branches repeat an existing one; nothing reads the result.
        let mut parents = vec![0i64; next.len() * most];
        let mut tokens = vec![0i64; next.len() * most];
        for (user, branches) in next.iter().enumerate() {
            for (slot, branch) in branches.iter().enumerate() {
                parents[user * most + slot] = to_i64(branch.parent);
                tokens[user * most + slot] = i64::from(self.constraint.id(branch.token));
            }
        }
        let shape = [to_i64(next.len()), to_i64(most)];
        let device = self.model.device();
        self.cache.gather_branches(&Tensor::from_slice(&parents).view(shape).to_device(device))?;
        let tokens = Tensor::from_slice(&tokens).view(shape).unsqueeze(2).to_device(device);
        self.hidden = self.model.extend(&tokens, &mut self.cache)?.squeeze_dim(2); // [U, W, D]
        Ok(true)
    }
}

/// Scores of each level's codes.
#[derive(Debug)]
pub(super) struct LevelScores<'a> {
    /// First flat token of each level, and the total.
    offsets: &'a [u32],
    /// Branches of a prompt, the unused ones counted.
    slots: usize,
    /// From a branch to its row of its level.
    row: Vec<usize>,
    levels: Vec<Vec<f32>>,
}

impl LevelScores<'_> {
    /// Scores of the codes `tokens` (flat tokens of one level) for a branch of that level.
    pub(super) fn of<'s>(
        &'s self,
        user: usize,
        slot: usize,
        level: usize,
        tokens: &'s [u32],
    ) -> impl Iterator<Item = f32> + Clone + 's {
        let (first, end) = (self.offsets[level], self.offsets[level + 1]);
        let size = (end - first) as usize;
        let row = self.row[user * self.slots + slot] * size;
        let scores = &self.levels[level][row..row + size];
        tokens.iter().map(move |token| scores[(*token - first) as usize])
    }
}

/// What renormalised scoring takes away from the scores of a node's codes.
pub(super) fn normaliser(scoring: Scoring, codes: impl Iterator<Item = f32> + Clone) -> f32 {
    match scoring {
        Scoring::Full => 0.0,
        Scoring::Renormalised => log_sum_exp(codes),
    }
}

/// `ln Σ exp`, −∞ for no values.
pub(super) fn log_sum_exp(values: impl Iterator<Item = f32> + Clone) -> f32 {
    let max = values.clone().fold(f32::NEG_INFINITY, f32::max);
    if max == f32::NEG_INFINITY {
        return max;
    }
    max + values.map(|value| (value - max).exp()).sum::<f32>().ln()
}
