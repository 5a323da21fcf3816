//! Reading whole prompts. Rows with the same beginning, such as prompts of one template, are read
//! once as far as they agree.

use std::ops::Range;
use std::rc::Rc;

use tch::{Kind, Tensor};

use super::packed::{Packed, counts};
use super::span::{Reading, Span};
use super::{Decoder, Layer};
use crate::PolicyError;
use crate::cache::{KvCache, LayerCache, TokenBatch};
use crate::models::rotary::rotate;
use crate::score::sequences::Place;
use crate::sizes::to_usize;
use crate::tensor::cast;

/// Smallest number of tokens of a common beginning for which a separate pass pays.
const FEWEST_SHARED: i64 = 8;

impl Decoder {
    /// Hidden states `[U, T, D]` of right-padded rows, without keeping keys and values.
    ///
    /// `dropout` is the share of the embedding's and of each residual branch's elements that is
    /// zeroed, 0 outside training; it draws from libtorch's global generator.
    ///
    /// # Errors
    /// [`PolicyError::Positions`] for rows beyond the model's positions; [`PolicyError::Torch`] for
    /// ids outside the vocabulary.
    pub fn forward(&self, tokens: &TokenBatch, dropout: f64) -> Result<Tensor, PolicyError> {
        let mut spans = self.spans(tokens, Reading { dropout, ..Reading::default() })?;
        for layer in &self.layers {
            let _ = self.read_layer(layer, &mut spans, dropout)?;
        }
        let x: Vec<Tensor> = spans.into_iter().map(|span| span.x).collect();
        self.join(&x, tokens.shape()?[0])
    }

    /// The normalised states `[U, T, D]` of spans of `rows` prompts.
    pub(super) fn join(&self, x: &[Tensor], rows: i64) -> Result<Tensor, PolicyError> {
        let parts: Vec<Tensor> = x.iter().map(|x| x.expand([rows, -1, -1], false)).collect();
        self.normalise(&Tensor::f_cat(&parts, 1)?, &self.norm)
    }

    /// [`LanguageModel::prefill`](crate::LanguageModel::prefill): hidden state `[U, D]` of the last
    /// token of each right-padded prompt, and the cache.
    pub(super) fn read_prompts(
        &self,
        prompts: &TokenBatch,
    ) -> Result<(Tensor, KvCache), PolicyError> {
        let mut spans = self.spans(prompts, Reading::default())?;
        let [rows, padded] = prompts.shape()?;
        let lens = prompts.lens.shallow_clone();
        let mut cache = KvCache::new(lens, padded, self.config.num_hidden_layers)?;
        let ends: Vec<Place> = Vec::<i64>::try_from(&prompts.lens)?
            .iter()
            .enumerate()
            .map(|(row, len)| Ok(Place { row, position: to_usize(len - 1)? }))
            .collect::<Result<_, PolicyError>>()?;
        let ends = Self::pick(prompts, &spans, &ends)?;
        let mut hidden = None;
        for (index, layer) in self.layers.iter().enumerate() {
            let (keys, values) = if index + 1 < self.layers.len() {
                self.read_layer(layer, &mut spans, 0.0)?
            } else {
                let (last, kept) = self.read_last_layer(layer, &spans, &ends, 0.0)?;
                hidden = Some(last);
                kept
            };
            let own = |x: Tensor| x.expand([rows, -1, -1, -1], false).contiguous();
            cache.layers.push(LayerCache {
                prompt: (own(keys), own(values)),
                branch: None,
                source: None,
            });
        }
        let hidden = hidden.ok_or(PolicyError::Empty { what: "the list of layers" })?;
        Ok((self.normalise(&hidden, &self.norm)?, cache))
    }

    /// The embedded tokens, or what takes their place, in one span, or in two if the rows share a long beginning.
    /// Dropout must differ from row to row, so with dropout there is one span.
    pub(super) fn spans(
        &self,
        tokens: &TokenBatch,
        reading: Reading<'_>,
    ) -> Result<Vec<Span>, PolicyError> {
        let Reading { dropout, states, pack } = reading;
        let [rows, len] = tokens.shape()?;
        self.check_positions(len)?;
        let shared = if dropout > 0.0 { 0 } else { shared_beginning(tokens)? };
        let drop = |x: Tensor| if dropout > 0.0 { x.dropout(dropout, true) } else { x };
        let span = |rows: i64, positions: Range<i64>, mask, packed: Option<Packed>| {
            let (start, count) = (positions.start, positions.end - positions.start);
            let part = |x: &Tensor| x.f_narrow(0, 0, rows)?.f_narrow(1, start, count);
            let x = match states {
                None => drop(self.embed(&part(&tokens.ids)?)?),
                Some(states) => cast(&part(states)?, self.kind)?,
            };
            let x = packed.as_ref().map_or(Ok(x.shallow_clone()), |packed| packed.pack(&x))?;
            let turn = |table: &Tensor| cast(&table.f_narrow(0, start, count)?, self.kind);
            let rotary = (turn(&self.rotary.0)?, turn(&self.rotary.1)?);
            Ok::<_, PolicyError>(Span { x, rotary, mask, packed: packed.map(Rc::new) })
        };
        let packed = || -> Result<Option<Packed>, PolicyError> {
            if !pack {
                return Ok(None);
            }
            let own = counts(&tokens.lens.f_sub_scalar(shared)?)?;
            Ok(Packed::new(own, tokens.ids.device()))
        };
        if shared == 0 {
            return Ok(vec![span(rows, 0..len, None, packed()?)?]);
        }
        let mask =
            Tensor::ones([len - shared, len], (Kind::Bool, tokens.ids.device())).tril(shared);
        let beginning = span(1, 0..shared, None, None)?;
        Ok(vec![beginning, span(rows, shared..len, Some(mask), packed()?)?])
    }

    /// Runs every span through a layer; returns keys and values `[R, Hkv, T, hd]` of all positions.
    pub(super) fn read_layer(
        &self,
        layer: &Layer,
        spans: &mut [Span],
        dropout: f64,
    ) -> Result<(Tensor, Tensor), PolicyError> {
        let mut seen: Option<(Tensor, Tensor)> = None;
        for span in &mut *spans {
            let normed = self.normalise(&span.x, &layer.input_norm)?;
            let (cos, sin) = &span.rotary;
            let q = span.in_rows(&self.queries(layer, &normed, &span.x.size()[..2])?)?;
            let (rows, len) = (q.size()[0], q.size()[1]);
            let q = rotate(&q.transpose(1, 2), cos, sin); // [R, H, S, hd]
            let (k, v) = self.turned_keys(layer, &normed, span, seen.take())?;
            let attended = self.attend(&q, &k, &v, span.mask.as_ref())?;
            let attended = attended.transpose(1, 2).reshape([rows, len, -1]); // [R, S, H·hd]
            span.x = self.finish_layer(layer, &span.x, &span.of_rows(&attended)?, dropout)?;
            seen = Some((k, v));
        }
        seen.ok_or(PolicyError::Empty { what: "the list of spans" })
    }

    /// Rotated keys, and values, of a span after those of the positions before it,
    /// `[R, Hkv, P + S, hd]`.
    pub(super) fn turned_keys(
        &self,
        layer: &Layer,
        normed: &Tensor,
        span: &Span,
        before: Option<(Tensor, Tensor)>,
    ) -> Result<(Tensor, Tensor), PolicyError> {
        let (k, v) = self.keys_values(layer, normed, &normed.size()[..2])?;
        let (k, v) = (span.in_rows(&k)?, span.in_rows(&v)?);
        let rows = k.size()[0];
        let k = rotate(&k.transpose(1, 2), &span.rotary.0, &span.rotary.1);
        let v = v.transpose(1, 2);
        let Some((keys, values)) = before else { return Ok((k, v)) };
        let join = |before: Tensor, own: Tensor| -> Result<Tensor, PolicyError> {
            Ok(Tensor::f_cat(&[before.f_expand([rows, -1, -1, -1], false)?, own], 2)?)
        };
        Ok((join(keys, k)?, join(values, v)?))
    }

    /// Attention `[R, H, S, hd]`; causal unless there is a mask.
    pub(super) fn attend(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        mask: Option<&Tensor>,
    ) -> Result<Tensor, PolicyError> {
        let grouped = self.config.num_key_value_heads != self.config.num_attention_heads;
        let causal = mask.is_none();
        Ok(Tensor::f_scaled_dot_product_attention(q, k, v, mask, 0.0, causal, None, grouped)?)
    }
}

/// Number of tokens that all rows begin with; 0 if a separate pass does not pay. Each row keeps at
/// least one token of its own.
fn shared_beginning(tokens: &TokenBatch) -> Result<i64, PolicyError> {
    let [rows, len] = tokens.shape()?;
    if rows < 2 || len <= FEWEST_SHARED {
        return Ok(0);
    }
    let agree = tokens.ids.f_eq_tensor(&tokens.ids.f_narrow(0, 0, 1)?)?.all_dim(0, false); // [T]
    let agree = i64::try_from(agree.to_kind(Kind::Int64).cumprod(0, Kind::Int64).sum(Kind::Int64))?;
    let shortest = i64::try_from(tokens.lens.f_min()?)?;
    let shared = agree.min(shortest - 1);
    Ok(if shared < FEWEST_SHARED { 0 } else { shared })
}
