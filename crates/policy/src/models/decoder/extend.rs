//! Reading more tokens in branches of prompts that were read before.

use tch::{Kind, Tensor};

use super::Decoder;
use crate::PolicyError;
use crate::cache::{KvCache, check_prompts};
use crate::models::linear::cast;
use crate::models::rotary::rotate;
use crate::weights::to_i64;

impl Decoder {
    /// [`LanguageModel::extend`](crate::LanguageModel::extend).
    pub(super) fn extend_branches(
        &self,
        tokens: &Tensor,
        cache: &mut KvCache,
    ) -> Result<Tensor, PolicyError> {
        let [users, width, len] = <[i64; 3]>::try_from(tokens.size()).map_err(|_| {
            PolicyError::Size { what: "axes of branch tokens", found: tokens.dim(), expected: 3 }
        })?;
        check_prompts("prompts of branches", users, cache.num_prompts())?;
        if let Some(expected) = cache.width.filter(|kept| *kept != width) {
            let [found, expected] = [width, expected].map(|n| usize::try_from(n).unwrap_or(0));
            return Err(PolicyError::Size { what: "branches of a prompt", found, expected });
        }
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
        // The attention's scale rides on the queries' rotation.
        let scale = 1.0 / (self.config.head_dim as f64).sqrt();
        let (q_cos, q_sin) = (&cos * scale, &sin * scale);
        // Within a branch token i sees tokens 0..=past + i.
        let later = Tensor::ones([len, past + len], (Kind::Bool, tokens.device())).triu(past + 1);
        let causal = Tensor::zeros([len, past + len], (Kind::Float, tokens.device()))
            .masked_fill(&later, f64::NEG_INFINITY);

        let kv_heads = to_i64(self.config.num_key_value_heads);
        let dim = to_i64(self.config.head_dim);
        let repeat = to_i64(self.config.num_attention_heads) / kv_heads;
        let mut x = self.embed(tokens)?; // [U, W, S, D]
        for (layer, kept) in self.layers.iter().zip(&mut cache.layers) {
            let normed = self.normalise(&x, &layer.input_norm)?;
            let shape = [users, width, len];
            let q = self.queries(layer, &normed, &shape)?; // [U, W, S, H, hd]
            let (k, v) = self.keys_values(layer, &normed, &shape)?;
            let heads_first = |t: Tensor| t.permute([0, 3, 1, 2, 4]); // [U, H, W, S, hd]
            let q = rotate(&heads_first(q), &q_cos, &q_sin);
            let mut k = rotate(&heads_first(k), &cos, &sin);
            let mut v = heads_first(v);
            if let Some((keys, values)) = kept.branch.take() {
                k = Tensor::f_cat(&[keys, k], 3)?;
                v = Tensor::f_cat(&[values, v], 3)?;
            }
            // Query heads that share a key head stand next to each other.
            let q = q.reshape([users, kv_heads, repeat * width * len, dim]);
            let (prompt_k, prompt_v) = &kept.prompt;
            let mut on_prompt = q.f_matmul(&prompt_k.transpose(2, 3))?; // [U, Hkv, rep·W·S, T]
            let _ = on_prompt.f_add_(&cache.prompt_mask)?;
            let split = [users, kv_heads, repeat, width, len];
            let q = q.view([users, kv_heads, repeat, width, len, dim]);
            let mut on_branch = q.f_matmul(&k.unsqueeze(2).transpose(-1, -2))?; // […, S, past + S]
            if len > 1 {
                let _ = on_branch.f_add_(&causal)?;
            }
            let longest = on_prompt.size()[3];
            let on_prompt = on_prompt.view([&split[..], &[longest]].concat().as_slice());
            let weights = Tensor::f_cat(&[on_prompt, on_branch], -1)?.f_softmax(-1, Kind::Float)?;
            let weights = cast(&weights, self.kind)?;
            let on_prompt = weights.narrow(-1, 0, longest).reshape([
                users,
                kv_heads,
                repeat * width * len,
                longest,
            ]);
            let on_branch = weights.narrow(-1, longest, past + len);
            let attended =
                on_prompt.f_matmul(prompt_v)?.view([users, kv_heads, repeat, width, len, dim])
                    + on_branch.f_matmul(&v.unsqueeze(2))?;
            let attended = attended
                .permute([0, 3, 4, 1, 2, 5]) // [U, W, S, Hkv, rep, hd]
                .reshape([users, width, len, kv_heads * repeat * dim]);
            kept.branch = Some((k, v));
            x = self.finish_layer(layer, &x, &attended, 0.0)?;
        }
        cache.branch_len += len;
        cache.width = Some(width);
        self.normalise(&x, &self.norm)
    }
}
