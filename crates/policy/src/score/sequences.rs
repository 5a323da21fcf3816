//! Targets within whole sequences: what supervised fine-tuning learns.

use tch::Tensor;

use super::completions::{CompletionToken, Completions};
use super::law::TokenLaw;
use super::pass::LogpPass;
use super::target::Target;
use crate::PolicyError;
use crate::cache::TokenBatch;
use crate::decode::constraint::Constraint;
use crate::policy::Policy;

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
    /// The law that the log-probabilities are taken from.
    pub law: TokenLaw,
    /// Share of elements that are zeroed in training. Range `[0, 1)`.
    pub dropout: f64,
    /// Whether layers are computed again in the backward pass, to save memory.
    pub recompute: bool,
    /// States of frozen lower layers, above which the pass starts; without them it starts at the tokens.
    pub lower: Option<LowerStates<'a>>,
}

/// What frozen lower layers have computed: see [`Trainable::lower_states`](crate::Trainable::lower_states).
#[derive(Debug, Clone, Copy)]
pub struct LowerStates<'a> {
    /// Number of layers that the states come from.
    pub layers: usize,
    /// Hidden states `[U, T, D]` of the sequences.
    pub states: &'a Tensor,
}

impl SequencePass<'_> {
    /// Accepts a pass that starts at the tokens.
    ///
    /// # Errors
    /// [`PolicyError::Unsupported`] for states of lower layers.
    pub(crate) fn starts_at_the_tokens(&self) -> Result<(), PolicyError> {
        let Some(LowerStates { layers, .. }) = self.lower else { return Ok(()) };
        Err(PolicyError::Unsupported {
            field: "lower layers",
            found: layers.to_string(),
            expected: "none: this kind of policy has no layers one above the other",
        })
    }
}

/// The log-probabilities of a pass in which the first target of a row begins its completion.
pub(crate) fn in_completions<'a>(
    policy: &'a dyn Policy,
    constraint: &'a Constraint,
    pass: &SequencePass<'_>,
) -> Result<LogpPass<'a>, PolicyError> {
    pass.starts_at_the_tokens()?;
    let SequencePass { targets, law, dropout, recompute, .. } = *pass;
    for (field, found, wrong) in [
        ("dropout", dropout.to_string(), dropout > 0.0),
        ("recompute", recompute.to_string(), recompute),
    ] {
        if wrong {
            let expected = "0 and false: this kind of policy has neither";
            return Err(PolicyError::Unsupported { field, found, expected });
        }
    }
    let divided = divided(pass)?;
    let mut prompts: Vec<&[u32]> = Vec::with_capacity(divided.len());
    let mut rollouts = Vec::with_capacity(divided.len());
    for Divided { prompt, completion, learned } in &divided {
        prompts.push(prompt);
        let mut learned = learned.iter().peekable();
        let tokens = completion.iter().enumerate().map(|(at, id)| {
            match learned.next_if(|(_, place)| *place == at) {
                Some((target, _)) => CompletionToken::Scored(targets[*target]),
                None => CompletionToken::Read(*id),
            }
        });
        rollouts.push(vec![tokens.collect::<Vec<_>>()]);
    }
    // Ids that fill short rows are never read.
    let read = TokenBatch::new(&prompts, 0, usize::MAX, policy.device())?;
    let begun = vec![0; prompts.len()];
    let completions = Completions { prompts: &read, begun: &begun, rollouts: &rollouts };
    let found = policy.completion_pass(constraint, &completions, law)?;
    let (read, expected) = (found.places.len(), targets.len());
    if read != expected {
        let what = "targets of sequences, row by row and from left to right";
        return Err(PolicyError::Size { what, found: read, expected });
    }
    Ok(found.pass)
}

/// A row that has targets, divided before the first of them.
#[derive(Debug)]
pub(crate) struct Divided {
    /// The tokens before the first target.
    pub(crate) prompt: Vec<u32>,
    /// The first target and all tokens after it.
    pub(crate) completion: Vec<u32>,
    /// Indices of the row's targets among those of the pass, and their places in `completion`, from
    /// left to right.
    pub(crate) learned: Vec<(usize, usize)>,
}

/// The rows of a pass that have targets.
///
/// # Errors
/// [`PolicyError::Size`] if the numbers of targets and places differ, or a target is outside its
/// row.
pub(crate) fn divided(pass: &SequencePass<'_>) -> Result<Vec<Divided>, PolicyError> {
    let SequencePass { tokens, places, targets, .. } = *pass;
    let what = "targets of sequences, each within its row";
    let size = |found| PolicyError::Size { what, found, expected: targets.len() };
    if places.len() != targets.len() {
        return Err(size(places.len()));
    }
    let lens = Vec::<i64>::try_from(&tokens.lens)?;
    let mut of_rows: Vec<Vec<(usize, usize)>> = vec![Vec::new(); lens.len()];
    for (number, Place { row, position }) in places.iter().enumerate() {
        of_rows.get_mut(*row).ok_or_else(|| size(number))?.push((number, position + 1));
    }
    let mut divided = Vec::with_capacity(lens.len());
    for ((row, len), mut learned) in (0..).zip(lens).zip(of_rows) {
        learned.sort_by_key(|(_, at)| *at);
        let Some((_, first)) = learned.first().copied() else { continue };
        let cells = Vec::<i64>::try_from(tokens.ids.get(row).f_narrow(0, 0, len)?)?;
        let ids = cells.iter().map(|id| u32::try_from(*id).unwrap_or(u32::MAX));
        let mut prompt: Vec<u32> = ids.collect();
        if let Some((number, _)) = learned.iter().find(|(_, at)| *at >= prompt.len()) {
            return Err(size(*number));
        }
        let completion = prompt.split_off(first);
        for (_, at) in &mut learned {
            *at -= first;
        }
        divided.push(Divided { prompt, completion, learned });
    }
    Ok(divided)
}
