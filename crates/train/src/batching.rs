//! Decodes prompts together with prompts of the same length.

use sidereal_policy::TokenBatch;
use tch::Device;

use crate::TrainError;
use crate::encode::EncodedPrompt;
use crate::lengths::check_lengths;
use crate::observe::Observer;

/// How users are decoded: together with users whose prompts have the same length.
#[derive(Debug, Clone, Copy)]
pub struct Batching<'a> {
    /// Id that fills short rows.
    pub pad: u32,
    /// Users decoded together. Range `1..`; 0 counts as 1.
    pub batch_size: usize,
    /// Name in progress.
    pub job: &'a str,
}

/// Accepts prompts of at most `limit` tokens.
pub(crate) fn check_room(
    job: &str,
    prompts: &[EncodedPrompt],
    limit: usize,
) -> Result<(), TrainError> {
    check_lengths(job, prompts.iter().map(|prompt| (prompt.id, prompt.ids.len(), limit)))
}

/// As [`in_batches`], with each batch as tokens. A prompt may have `limit` of them at most.
pub(crate) fn in_token_batches<T, E: From<TrainError>>(
    prompts: &[EncodedPrompt],
    batching: Batching<'_>,
    (limit, device): (usize, Device),
    observer: &mut dyn Observer,
    mut decode: impl FnMut(&[&EncodedPrompt], &TokenBatch) -> Result<Vec<T>, E>,
) -> Result<Vec<T>, E> {
    let Batching { pad, batch_size, job } = batching;
    check_room(job, prompts, limit)?;
    in_batches(prompts, batch_size, job, observer, |batch| {
        let rows: Vec<&[u32]> = batch.iter().map(|prompt| prompt.ids.as_slice()).collect();
        let tokens = TokenBatch::new(&rows, pad, limit, device).map_err(TrainError::from)?;
        decode(batch, &tokens)
    })
}

/// The result of `decode` for every prompt. Prompts of equal length are decoded together; the order
/// is kept.
pub(crate) fn in_batches<T, E: From<TrainError>>(
    prompts: &[EncodedPrompt],
    batch_size: usize,
    job: &str,
    observer: &mut dyn Observer,
    mut decode: impl FnMut(&[&EncodedPrompt]) -> Result<Vec<T>, E>,
) -> Result<Vec<T>, E> {
    if prompts.is_empty() {
        return Err(TrainError::NoSamples { what: "an evaluation" }.into());
    }
    let mut order: Vec<usize> = (0..prompts.len()).collect();
    order.sort_by_key(|index| prompts[*index].ids.len());
    let mut found: Vec<Option<T>> = prompts.iter().map(|_| None).collect();
    let mut done = 0;
    for batch in order.chunks(batch_size.max(1)) {
        let asked: Vec<&EncodedPrompt> = batch.iter().map(|index| &prompts[*index]).collect();
        for (index, of_prompt) in batch.iter().zip(decode(&asked)?) {
            found[*index] = Some(of_prompt);
        }
        done += batch.len();
        observer.on_progress(job, "users", done, prompts.len());
    }
    Ok(found.into_iter().flatten().collect())
}
