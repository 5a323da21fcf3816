//! Writing answers: the decoder over what the encoder read.

use tch::{Kind, Tensor};

use super::T5;
use super::encode::Source;
use super::stack::{attend, drop_some};
use crate::PolicyError;
use crate::cache::{KvCache, LayerCache, TokenBatch};
use crate::models::branches::{NewTokens, causal_bias};
use crate::sizes::axes;
use crate::weights::to_i64;

impl T5 {
    /// Hidden states `[U, 1 + S, D]` before each token of right-padded answers and after the last,
    /// for training: state `i` of a row predicts its token `i`.
    ///
    /// `dropout` is the share of elements that is zeroed, at the places where T5 zeroes them: of
    /// the embeddings, the weights of attention, the inner states of feed-forward layers, each
    /// residual branch, and the states of encoder and decoder. It is 0 outside training, and draws
    /// from libtorch's global generator.
    ///
    /// # Errors
    /// [`PolicyError::Size`] if prompts and answers differ in number; [`PolicyError::Torch`] for
    /// ids outside the vocabulary.
    pub fn forward(
        &self,
        prompts: &TokenBatch,
        answers: &TokenBatch,
        dropout: f64,
    ) -> Result<Tensor, PolicyError> {
        prompts.shape()?;
        let (found, expected) = (answers.rows()?, prompts.rows()?);
        if found != expected {
            return Err(PolicyError::Size { what: "answers of prompts", found, expected });
        }
        let source = self.encode(&prompts.ids, &prompts.lens, dropout)?;
        let (hidden, _) = self.read_answers(&source, &self.behind_start(&answers.ids)?, dropout)?;
        Ok(hidden)
    }

    /// [`LanguageModel::prefill`](crate::LanguageModel::prefill): the encoder reads each prompt
    /// except its last `begun[u]` tokens, which the decoder reads after the start token.
    pub(super) fn read_prompts(
        &self,
        prompts: &TokenBatch,
        begun: &[usize],
    ) -> Result<(Tensor, KvCache), PolicyError> {
        let [_, padded] = prompts.shape()?;
        let device = prompts.ids.device();
        let begun: Vec<i64> = begun.iter().map(|len| to_i64(*len)).collect();
        // Without prompts no answer has begun.
        let longest = begun.iter().copied().max().unwrap_or(0);
        let begun = Tensor::from_slice(&begun).to_device(device);
        let source_lens = &prompts.lens - &begun;
        if i64::try_from(source_lens.f_min()?)? < 1 {
            return Err(PolicyError::Empty { what: "what a prompt leaves for the encoder" });
        }
        let source = self.encode(&prompts.ids, &source_lens, 0.0)?;
        let offsets = Tensor::arange(longest, (Kind::Int64, device));
        let at = (source_lens.unsqueeze(1) + offsets).clamp_max(padded - 1); // [U, G]
        let ids = self.behind_start(&prompts.ids.f_gather(1, &at, false)?)?; // [U, 1 + G]
        let (hidden, layers) = self.read_answers(&source, &ids, 0.0)?;
        let last = begun.view([-1, 1, 1]).expand([-1, 1, hidden.size()[2]], false);
        let hidden = hidden.f_gather(1, &last, false)?.squeeze_dim(1); // [U, D]
        let mut cache = KvCache::new(begun + 1, longest + 1, 0)?;
        cache.layers = layers;
        cache.source_mask = Some(source.mask);
        Ok((hidden, cache))
    }

    /// `[U, 1 + S]`: the start token before each row.
    fn behind_start(&self, ids: &Tensor) -> Result<Tensor, PolicyError> {
        let start = i64::from(self.config.decoder_start_token_id);
        let start = Tensor::f_full([ids.size()[0], 1], start, (Kind::Int64, ids.device()))?;
        Ok(Tensor::f_cat(&[start, ids.shallow_clone()], 1)?)
    }

    /// The decoder's states `[U, S, D]` of ids `[U, S]`, and each layer's keys and values.
    fn read_answers(
        &self,
        source: &Source,
        ids: &Tensor,
        dropout: f64,
    ) -> Result<(Tensor, Vec<LayerCache>), PolicyError> {
        let len = ids.size()[1];
        let positions = Tensor::arange(len, (Kind::Int64, ids.device()));
        let distance = positions.unsqueeze(0) - positions.unsqueeze(1); // [S, S]
        let bias = self.decoder.bias.of(&distance)?.permute([2, 0, 1]) // [H, S, S]
            + causal_bias(0, len, ids.device());
        let mut layers = Vec::with_capacity(self.decoder.blocks.len());
        let mut x = drop_some(self.embed(ids)?, dropout);
        for block in &self.decoder.blocks {
            let normed = self.decoder.normalise(&x, &block.own.norm, self.kind)?;
            let q = block.own.queries(&normed, self.kind)?.transpose(1, 2); // [U, H, S, hd]
            let (k, v) = block.own.keys_values(&normed, self.kind)?;
            let (k, v) = (k.transpose(1, 2), v.transpose(1, 2));
            let attended = attend(&q, (&k, &v), &bias, dropout)?;
            x = block.own.add_to(&x, &attended, self.kind, dropout)?;
            let mut kept = LayerCache { prompt: (k, v), branch: None, source: None };
            if let Some(attention) = &block.source {
                let (k, v) = attention.keys_values(&source.states, self.kind)?;
                let (k, v) = (k.transpose(1, 2), v.transpose(1, 2));
                let normed = self.decoder.normalise(&x, &attention.norm, self.kind)?;
                let q = attention.queries(&normed, self.kind)?.transpose(1, 2);
                let attended = attend(&q, (&k, &v), &source.mask, dropout)?;
                x = attention.add_to(&x, &attended, self.kind, dropout)?;
                kept.source = Some((k, v));
            }
            x = self.decoder.feed_forward(block, &x, self.kind, dropout)?;
            layers.push(kept);
        }
        Ok((drop_some(self.finish(&x)?, dropout), layers))
    }

    /// [`LanguageModel::extend`](crate::LanguageModel::extend).
    pub(super) fn extend_branches(
        &self,
        tokens: &Tensor,
        cache: &mut KvCache,
    ) -> Result<Tensor, PolicyError> {
        let [users, width, len] = cache.check_branches(tokens)?;
        let Some(mask) = cache.source_mask.as_ref() else {
            return Err(PolicyError::Empty { what: "the encoder's part of the cache" });
        };
        let (past, device) = (cache.branch_len, tokens.device());
        let new = Tensor::arange_start(past, past + len, (Kind::Int64, device)); // [S]
        let own = Tensor::arange(past + len, (Kind::Int64, device)) - new.unsqueeze(1);
        let own = self.decoder.bias.of(&own)?.permute([2, 0, 1]).unsqueeze(1); // [H, 1, S, P + S]
        let on_branch = (own + causal_bias(past, len, device)).unsqueeze(1); // [H, 1, 1, S, P + S]
        let [.., padded] = axes::<4>("axes of a mask of prompts", &cache.prompt_mask)?;
        let before = Tensor::arange(padded, (Kind::Int64, device)); // [T]
        let at = (cache.prompt_len.unsqueeze(1) + new).unsqueeze(2); // [U, S, 1]
        let distance = before - at; // [U, S, T]
        let on_prompt = self.decoder.bias.of(&distance)?.permute([0, 3, 1, 2]) + &cache.prompt_mask;
        let on_prompt = on_prompt.unsqueeze(2).unsqueeze(2); // [U, H, 1, 1, S, T]

        let mut x = self.embed(tokens)?; // [U, W, S, D]
        for (block, kept) in self.decoder.blocks.iter().zip(&mut cache.layers) {
            let normed = self.decoder.normalise(&x, &block.own.norm, self.kind)?;
            let heads_first = |t: Tensor| t.permute([0, 3, 1, 2, 4]); // [U, H, W, S, hd]
            let (k, v) = block.own.keys_values(&normed, self.kind)?;
            let new = NewTokens {
                q: heads_first(block.own.queries(&normed, self.kind)?),
                k: heads_first(k),
                v: heads_first(v),
                on_prompt: &on_prompt,
                on_branch: Some(&on_branch),
            };
            x = block.own.add_to(&x, &new.attend(kept)?, self.kind, 0.0)?;
            if let (Some(attention), Some((k, v))) = (&block.source, &kept.source) {
                let normed = self.decoder.normalise(&x, &attention.norm, self.kind)?;
                let q = attention.queries(&normed.flatten(1, 2), self.kind)?.transpose(1, 2);
                let attended = attend(&q, (k, v), mask, 0.0)?.view([users, width, len, -1]);
                x = attention.add_to(&x, &attended, self.kind, 0.0)?;
            }
            x = self.decoder.feed_forward(block, &x, self.kind, 0.0)?;
        }
        cache.grow(width, len);
        self.finish(&x)
    }
}
