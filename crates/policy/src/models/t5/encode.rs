//! Reading prompts in both directions.

use tch::{Kind, Tensor};

use super::T5;
use super::stack::{attend, drop_some};
use crate::PolicyError;
use crate::cache::padding_mask;

/// What the decoder attends to.
#[derive(Debug)]
pub(super) struct Source {
    /// `[U, T, D]`.
    pub(super) states: Tensor,
    /// 0, or −∞ after a prompt's end, `[U, 1, 1, T]`.
    pub(super) mask: Tensor,
}

impl T5 {
    /// The encoder's states of right-padded ids `[U, T]` with `lens` (`[U]`) real tokens each.
    pub(super) fn encode(
        &self,
        ids: &Tensor,
        lens: &Tensor,
        dropout: f64,
    ) -> Result<Source, PolicyError> {
        let padded = ids.size()[1];
        let positions = Tensor::arange(padded, (Kind::Int64, ids.device()));
        let distance = positions.unsqueeze(0) - positions.unsqueeze(1); // [T, T]: key minus query
        let mask = padding_mask(lens, padded);
        let bias = self.encoder.bias.of(&distance)?.permute([2, 0, 1]) + &mask; // [U, H, T, T]
        let mut x = drop_some(self.embed(ids)?, dropout);
        for block in &self.encoder.blocks {
            let normed = self.encoder.normalise(&x, &block.own.norm, self.kind)?;
            let q = block.own.queries(&normed, self.kind)?.transpose(1, 2);
            let (k, v) = block.own.keys_values(&normed, self.kind)?;
            let attended = attend(&q, (&k.transpose(1, 2), &v.transpose(1, 2)), &bias, dropout)?;
            x = block.own.add_to(&x, &attended, self.kind, dropout)?;
            x = self.encoder.feed_forward(block, &x, self.kind, dropout)?;
        }
        let states = self.encoder.normalise(&x, &self.encoder.norm, self.kind)?;
        Ok(Source { states: drop_some(states, dropout), mask })
    }
}
