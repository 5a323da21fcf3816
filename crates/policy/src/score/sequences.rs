//! Targets within whole sequences: what supervised fine-tuning learns.

use super::completions::{CompletionToken, Completions};
use super::law::TokenLaw;
use super::pass::LogpPass;
use super::target::Target;
use crate::PolicyError;
use crate::cache::TokenBatch;
use crate::decode::constraint::{Constraint, Scoring};
use crate::policy::Policy;
use crate::sizes::to_usize;

/// A token of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Row of the batch.
    pub row: usize,
    /// Position in the row.
    pub position: usize,
}

/// Sequences whose targets are learned together, and how they are read.
#[derive(Debug, Clone, Copy)]
pub struct SequencePass<'a> {
    /// The sequences.
    pub tokens: &'a TokenBatch,
    /// For each target the place just before it: its state predicts the target.
    pub places: &'a [Place],
    /// The targets, row by row and from left to right within a row.
    pub targets: &'a [Target],
    /// What a code's probability is a share of.
    pub scoring: Scoring,
    /// Share of elements that are zeroed in training. Range `[0, 1)`.
    pub dropout: f64,
    /// Whether layers are computed again on the way back, to save memory.
    pub recompute: bool,
}

/// The log-probabilities of a pass, a row's first target being the beginning of its completion.
pub(crate) fn in_completions<'a>(
    policy: &'a dyn Policy,
    constraint: &'a Constraint,
    pass: &SequencePass<'_>,
) -> Result<LogpPass<'a>, PolicyError> {
    let SequencePass { tokens, places, targets, scoring, dropout, recompute } = *pass;
    for (field, found, wrong) in [
        ("dropout", dropout.to_string(), dropout > 0.0),
        ("recompute", recompute.to_string(), recompute),
    ] {
        if wrong {
            let expected = "0 and false: this kind of policy has neither";
            return Err(PolicyError::Unsupported { field, found, expected });
        }
    }
    let lens = Vec::<i64>::try_from(&tokens.lens)?;
    let width = to_usize(tokens.shape()?[1])?;
    let ids = Vec::<i64>::try_from(tokens.ids.contiguous().view(-1))?;
    let id = |at: i64| u32::try_from(at).unwrap_or(u32::MAX);
    let (mut prompts, mut rollouts) = (Vec::new(), Vec::new());
    for (row, len) in lens.iter().enumerate() {
        let of_row = places.iter().zip(targets).filter(|(place, _)| place.row == row);
        let mut of_row = of_row.map(|(place, target)| (place.position + 1, *target)).peekable();
        let Some((first, _)) = of_row.peek().copied() else { continue };
        let cells = &ids[row * width..][..to_usize(*len)?.min(width)];
        prompts.push(cells[..first.min(cells.len())].iter().map(|at| id(*at)).collect::<Vec<_>>());
        let rest = cells.iter().enumerate().skip(first).map(|(at, cell)| {
            match of_row.next_if(|(target, _)| *target == at) {
                Some((_, target)) => CompletionToken::Scored(target),
                None => CompletionToken::Read(id(*cell)),
            }
        });
        rollouts.push(vec![rest.collect::<Vec<_>>()]);
    }
    // Ids that fill short rows are never read.
    let read = TokenBatch::new(&prompts, 0, usize::MAX, policy.device())?;
    let begun = vec![0; prompts.len()];
    let completions = Completions { prompts: &read, begun: &begun, rollouts: &rollouts };
    let found = policy.completion_pass(constraint, &completions, TokenLaw::from(scoring))?;
    let (read, expected) = (found.places.len(), targets.len());
    if read != expected {
        let what = "targets of sequences, row by row and from left to right";
        return Err(PolicyError::Size { what, found: read, expected });
    }
    Ok(found.pass)
}
