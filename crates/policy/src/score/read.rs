//! Log-probabilities of completions under a language model, which reads shared prompts once.

use tch::Tensor;

use super::branches::{Grid, grids};
use super::completions::{CompletionPass, CompletionToken, Completions, ScoredTokens, TokenPlace};
use super::entropy::target_entropy;
use super::law::TokenLaw;
use super::target::code_targets;
use super::target_logp;
use super::way_back::target_pass;
use crate::PolicyError;
use crate::cache::TokenBatch;
use crate::decode::constraint::{Constraint, Scoring};
use crate::policy::{LanguageModel, Policy};
use crate::sizes::to_usize;
use crate::weights::to_i64;

/// Largest number of attention scores of one head that a pass over branches computes at once.
const SCORES_AT_ONCE: usize = 1 << 23;

/// Log-probabilities of the scored tokens of completions.
#[derive(Debug)]
#[non_exhaustive]
pub struct TokenLogp {
    /// `[N]`, in nats, in the order prompt, rollout, token.
    pub logp: Tensor,
    /// The token that each belongs to.
    pub places: Vec<TokenPlace>,
    /// Number of scored tokens of each rollout, in the order prompt, rollout.
    pub lens: Vec<usize>,
}

/// Log-probability of every scored token of every completion, through which gradients flow.
///
/// Each prompt is computed once, forward and backward, for all its completions. Tokens of a
/// completion after its last scored token are not read. The result equals reading prompt and
/// completion together, one completion at a time.
///
/// Completions of similar length are read together, so that less than 8/3 of their tokens (beyond 8
/// a completion) are computed. Memory beyond that of the prompts: for each layer, while gradients
/// are recorded, some `10·D + 3·F` floats a token of a completion (width D, feed-forward width F)
/// and, with `S` tokens after a prompt of `T`, `2·H·S·(T + S)` attention scores a completion; a
/// pass computes at most 8 million of them for a head at once, unless one prompt alone needs more.
/// Logits over the vocabulary are only computed for scored tokens.
///
/// # Errors
/// Those of [`LanguageModel::prefill`]; [`PolicyError::Size`] if the numbers of prompts and groups
/// differ; [`PolicyError::Empty`] if nothing is scored; [`PolicyError::IllegalCode`] for a code
/// that cannot follow its node; [`PolicyError::Positions`] for a completion that exceeds the
/// model's positions.
pub fn completion_logp(
    model: &dyn LanguageModel,
    constraint: &Constraint,
    completions: &Completions<'_>,
    law: impl Into<TokenLaw>,
) -> Result<TokenLogp, PolicyError> {
    let law = law.into();
    let Scored { states, tokens } = scored(model, constraint, completions, law)?;
    let logp = target_logp(model, constraint, &states, &tokens.targets, law.scoring)?;
    let ScoredTokens { places, lens, .. } = tokens;
    Ok(TokenLogp { logp, places, lens })
}

/// As [`completion_logp`], with a backward pass that keeps no logits over the whole vocabulary, for
/// training: [`Policy::completion_pass`](crate::Policy::completion_pass) of language models.
///
/// # Errors
/// As [`completion_logp`].
pub(crate) fn completion_pass<'a>(
    model: &'a dyn LanguageModel,
    constraint: &'a Constraint,
    completions: &Completions<'_>,
    law: TokenLaw,
) -> Result<CompletionPass<'a>, PolicyError> {
    let scoring = law.scoring;
    let Scored { states, tokens } = scored(model, constraint, completions, law)?;
    let kept = states.detach();
    let pass = target_pass(model, constraint, states, &tokens.targets, scoring)?;
    let targets = tokens.targets.clone();
    Ok(CompletionPass::new(pass, tokens, move || {
        target_entropy(model, constraint, &kept, &targets, scoring)
    }))
}

/// Mean entropy of each completion's scored tokens, in the order prompt, rollout; in nats a token,
/// 0 for a completion without any.
///
/// The entropy of a token is that of the distribution which its log-probability under `law` is
/// taken from: what the policy might have written instead. Without a graph.
///
/// # Errors
/// As [`Policy::completion_pass`].
pub fn completion_entropy(
    policy: &dyn Policy,
    constraint: &Constraint,
    completions: &Completions<'_>,
    law: impl Into<TokenLaw>,
) -> Result<Vec<f64>, PolicyError> {
    let _guard = tch::no_grad_guard();
    policy.completion_pass(constraint, completions, law.into())?.mean_entropies()
}

/// The states and targets from which the log-probabilities of completions are computed.
pub(super) struct Scored {
    /// `[N, D]`, each before its target.
    pub(super) states: Tensor,
    pub(super) tokens: ScoredTokens,
}

/// Reads prompts and completions, with states such that the head's logits are the law's.
fn scored(
    model: &dyn LanguageModel,
    constraint: &Constraint,
    completions: &Completions<'_>,
    law: TokenLaw,
) -> Result<Scored, PolicyError> {
    let Scored { states, tokens } = read_states(model, constraint, completions)?;
    let states = law.tempered(states, &tokens.targets)?;
    Ok(Scored { states, tokens })
}

/// Reads prompts and completions.
pub(super) fn read_states(
    model: &dyn LanguageModel,
    constraint: &Constraint,
    completions: &Completions<'_>,
) -> Result<Scored, PolicyError> {
    let prompts = completions.prompts.rows()?;
    let tokens = completions.scored(constraint)?;
    let ScoredTokens { targets, places, lens } = &tokens;
    // Prompt of each rollout, and how many of its tokens are read.
    let mut branches: Vec<(usize, usize)> = Vec::new();
    let mut counts = lens.iter();
    let mut scored_so_far = 0;
    for (prompt, group) in completions.rollouts.iter().enumerate() {
        for count in counts.by_ref().take(group.len()) {
            scored_so_far += count;
            // The state before the last scored token is the last that is needed.
            let read = if *count > 0 { places[scored_so_far - 1].token } else { 0 };
            branches.push((prompt, read));
        }
    }
    let rollouts: Vec<&[CompletionToken]> =
        completions.rollouts.iter().flatten().map(Vec::as_slice).collect();
    let (hidden, cache) = model.prefill(completions.prompts, completions.begun)?; // [U, D]
    let dim = hidden.size()[1];
    let padded = to_usize(completions.prompts.shape()?[1])?;
    // Without branches nothing is read after the prompts.
    let longest = branches.iter().map(|(_, len)| *len).max().unwrap_or(0);
    // Row of each rollout's first state after its first token.
    let mut starts = vec![0; rollouts.len()];
    let (mut parts, mut next_row) = (vec![hidden], prompts);
    for grid in grids(&branches, SCORES_AT_ONCE / (padded + longest)) {
        let rows: Vec<usize> = grid.rows.iter().map(|(prompt, _)| *prompt).collect();
        let mut cache = cache.of_prompts(&rows)?;
        let inputs = inputs(&grid, &branches, &rollouts, constraint).to_device(model.device());
        parts.push(model.extend(&inputs, &mut cache)?.f_reshape([-1, dim])?); // [U'·W'·S', D]
        for (row, (_, members)) in grid.rows.iter().enumerate() {
            for (slot, branch) in members.iter().enumerate() {
                starts[*branch] = next_row + (row * grid.width + slot) * grid.len;
            }
        }
        next_row += grid.rows.len() * grid.width * grid.len;
    }
    let mut states = Vec::with_capacity(targets.len());
    let mut scored = places.iter();
    for (branch, count) in lens.iter().enumerate() {
        states.extend(scored.by_ref().take(*count).map(|place| {
            to_i64(if place.token == 0 { place.prompt } else { starts[branch] + place.token - 1 })
        }));
    }
    let index = Tensor::from_slice(&states).to_device(model.device());
    let states = Tensor::f_cat(&parts, 0)?.f_index_select(0, &index)?; // [N, D]
    Ok(Scored { states, tokens })
}

/// The tokens that a grid's branches read, `[U', W', S']`; 0 if there is none.
fn inputs(
    grid: &Grid,
    branches: &[(usize, usize)],
    rollouts: &[&[CompletionToken]],
    constraint: &Constraint,
) -> Tensor {
    let row_cells = grid.width * grid.len;
    let mut ids = vec![0i64; grid.rows.len() * row_cells];
    for ((_, members), row) in grid.rows.iter().zip(ids.chunks_exact_mut(row_cells)) {
        for (branch, cells) in members.iter().zip(row.chunks_exact_mut(grid.len)) {
            let read = rollouts[*branch].iter().take(branches[*branch].1);
            for (cell, token) in cells.iter_mut().zip(read) {
                *cell = i64::from(token.id(constraint));
            }
        }
    }
    let shape = [grid.rows.len(), grid.width, grid.len].map(to_i64);
    Tensor::from_slice(&ids).view(shape)
}

fn check_rows(what: &'static str, found: usize, expected: usize) -> Result<(), PolicyError> {
    if found == expected { Ok(()) } else { Err(PolicyError::Size { what, found, expected }) }
}

/// Groups of Semantic IDs whose prompts are read once each.
#[derive(Debug)]
pub struct Groups<'a> {
    /// The prompts, guides included.
    pub prompts: &'a TokenBatch,
    /// Flat tokens that each prompt ends with as the beginning of the answer.
    pub guides: &'a [&'a [u32]],
    /// Per prompt, per rollout: the flat tokens after the guide.
    pub completions: &'a [Vec<Vec<u32>>],
}

/// Log-probability of every code of every completion, `[N]` in the order prompt, rollout, code:
/// [`completion_logp`] of completions that consist of codes only.
///
/// # Errors
/// [`PolicyError::Size`] if the numbers of prompts, guides and groups differ;
/// [`PolicyError::Empty`] for a completion without codes or outside the trie.
pub fn group_logp(
    model: &dyn LanguageModel,
    constraint: &Constraint,
    groups: &Groups<'_>,
    scoring: Scoring,
) -> Result<Tensor, PolicyError> {
    let prompts = groups.prompts.rows()?;
    check_rows("guides", groups.guides.len(), prompts)?;
    check_rows("groups of completions", groups.completions.len(), prompts)?;
    let scored = |guide: &[u32], tokens: &[u32]| -> Result<Vec<CompletionToken>, PolicyError> {
        if tokens.is_empty() {
            return Err(PolicyError::Empty { what: "a completion" });
        }
        let targets = code_targets(constraint.trie(), guide, tokens)?;
        Ok(targets.into_iter().map(CompletionToken::Scored).collect())
    };
    let rollouts = groups
        .guides
        .iter()
        .zip(groups.completions)
        .map(|(guide, group)| group.iter().map(|tokens| scored(guide, tokens)).collect())
        .collect::<Result<Vec<Vec<_>>, PolicyError>>()?;
    let begun: Vec<usize> = groups.guides.iter().map(|guide| guide.len()).collect();
    let completions = Completions { prompts: groups.prompts, begun: &begun, rollouts: &rollouts };
    Ok(completion_logp(model, constraint, &completions, scoring)?.logp)
}
