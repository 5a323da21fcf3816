//! What decoding and scoring need of a model.

use std::fmt::Debug;

use tch::{Device, Tensor};

use crate::PolicyError;
use crate::cache::{KvCache, TokenBatch};
use crate::models::head::Head;

/// A model that writes an answer token by token: a decoder, or an encoder-decoder.
///
/// Prompts are read once; branches (beams, rollouts) continue them. The model is immutable, and
/// what it has read lives in a [`KvCache`] that the caller owns and hands to the same model again.
pub trait LanguageModel: Debug {
    /// Hidden state `[U, D]` before the next token of each answer, and the cache that branches
    /// read.
    ///
    /// The last `begun[u]` tokens of prompt `u` are the beginning of its answer. A decoder reads
    /// them like the rest; an encoder-decoder reads them in its decoder, behind its start token,
    /// and the rest in its encoder.
    ///
    /// # Errors
    /// [`PolicyError::Size`] where prompts and `begun` differ in number, and where nothing of a
    /// prompt is left for an encoder; [`PolicyError::Positions`] for rows beyond the model's
    /// positions; [`PolicyError::Torch`] for ids outside the vocabulary.
    fn prefill(
        &self,
        prompts: &TokenBatch,
        begun: &[usize],
    ) -> Result<(Tensor, KvCache), PolicyError>;

    /// Hidden states `[U, W, S, D]` of `S` more tokens `[U, W, S]` in each of `W` branches of each
    /// prompt, which it appends to `cache`. A branch sees its prompt and its own earlier tokens.
    ///
    /// # Errors
    /// [`PolicyError::Size`] where the branches do not fit the cache, [`PolicyError::Positions`]
    /// where the longest would leave the model's positions; `cache` is then as before.
    fn extend(&self, tokens: &Tensor, cache: &mut KvCache) -> Result<Tensor, PolicyError>;

    /// The output head, which hidden states go through.
    fn head(&self) -> &Head;

    /// Most tokens of a prompt behind which an answer of `answer_len` tokens still fits.
    fn longest_prompt(&self, answer_len: usize) -> usize;

    /// Where the weights live, and tokens must.
    fn device(&self) -> Device {
        self.head().device()
    }
}
