//! Reading more tokens in branches of prompts that were read before.

use tch::{Kind, Tensor};

use super::Decoder;
use crate::PolicyError;
use crate::cache::KvCache;
use crate::models::branches::{NewTokens, causal_bias};
use crate::models::rotary::rotate;
use crate::tensor::cast;

impl Decoder {
    /// [`LanguageModel::extend`](crate::LanguageModel::extend).
    pub(super) fn extend_branches(
        &self,
        tokens: &Tensor,
        cache: &mut KvCache,
    ) -> Result<Tensor, PolicyError> {
        let [users, width, len] = cache.check_branches(tokens)?;
        let past = cache.branch_len;
        self.check_positions(cache.longest + past + len)?;
        let offsets = Tensor::arange_start(past, past + len, (Kind::Int64, tokens.device()));
        let positions = cache.prompt_len.unsqueeze(1) + offsets; // [U, S]
        let per_row = |table: &Tensor| -> Result<Tensor, PolicyError> {
            let dim = table.size()[1];
            let rows = cast(&table.f_index_select(0, &positions.view(-1))?, self.kind)?;
            Ok(rows.view([users, 1, 1, len, dim])) // broadcast over heads and branches
        };
        let (cos, sin) = (per_row(&self.rotary.0)?, per_row(&self.rotary.1)?);
        // The scale of attention is included in the rotation of the queries.
        let scale = 1.0 / (self.config.head_dim as f64).sqrt();
        let (q_cos, q_sin) = (&cos * scale, &sin * scale);
        let causal = (len > 1).then(|| causal_bias(past, len, tokens.device()));
        let on_prompt = cache.prompt_mask.unsqueeze(1).unsqueeze(1); // [U, 1, 1, 1, 1, T]
        let mut x = self.embed(tokens)?; // [U, W, S, D]
        for (layer, kept) in self.layers.iter().zip(&mut cache.layers) {
            let normed = self.normalise(&x, &layer.input_norm)?;
            let shape = [users, width, len];
            let q = self.queries(layer, &normed, &shape)?; // [U, W, S, H, hd]
            let (k, v) = self.keys_values(layer, &normed, &shape)?;
            let heads_first = |t: Tensor| t.permute([0, 3, 1, 2, 4]); // [U, H, W, S, hd]
            let new = NewTokens {
                q: rotate(&heads_first(q), &q_cos, &q_sin),
                k: rotate(&heads_first(k), &cos, &sin),
                v: heads_first(v),
                on_prompt: &on_prompt,
                on_branch: causal.as_ref(),
            };
            let attended = new.attend(kept)?;
            x = self.finish_layer(layer, &x, &attended, 0.0)?;
        }
        cache.grow(width, len);
        self.normalise(&x, &self.norm)
    }
}
