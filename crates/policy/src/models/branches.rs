//! Attention of branches over the prompt that they share and over their own tokens.

use tch::{Kind, Tensor};

use crate::PolicyError;
use crate::cache::LayerCache;
use crate::models::linear::cast;

/// Tokens of a branch up to which products with one query are elementwise: a matrix product for each
/// branch costs more to start than to compute.
const FEW: i64 = 8;

/// What branches' new tokens bring to a layer's attention; `H` a multiple of `Hkv`.
#[derive(Debug)]
pub(crate) struct NewTokens<'a> {
    /// Queries `[U, H, W, S, hd]`, already scaled.
    pub(crate) q: Tensor,
    /// Keys `[U, Hkv, W, S, hd]`.
    pub(crate) k: Tensor,
    /// Values `[U, Hkv, W, S, hd]`.
    pub(crate) v: Tensor,
    /// Added to the scores of the prompt's keys, as `[U, Hkv, rep, W, S, T]` broadcasts.
    pub(crate) on_prompt: &'a Tensor,
    /// Added to the scores of the branch's keys, old and new, as `[U, Hkv, rep, W, S, P + S]`
    /// broadcasts; `None` for nothing.
    pub(crate) on_branch: Option<&'a Tensor>,
}

impl NewTokens<'_> {
    /// What the new tokens attend to, `[U, W, S, H·hd]`, in the values' element type; their keys
    /// and values join `kept`. One softmax over prompt and branch, in f32.
    pub(crate) fn attend(self, kept: &mut LayerCache) -> Result<Tensor, PolicyError> {
        let Self { q, mut k, mut v, on_prompt, on_branch } = self;
        let [users, heads, width, len, dim] = <[i64; 5]>::try_from(q.size()).unwrap_or([0; 5]);
        let kv_heads = k.size()[1];
        let repeat = heads / kv_heads;
        if let Some((keys, values)) = kept.branch.take() {
            k = Tensor::f_cat(&[keys, k], 3)?;
            v = Tensor::f_cat(&[values, v], 3)?;
        }
        // Query heads that share a key head stand next to each other.
        let rows = repeat * width * len;
        let q = q.reshape([users, kv_heads, rows, dim]);
        let (prompt_k, prompt_v) = &kept.prompt;
        let longest = prompt_k.size()[2];
        let mut prompt = q
            .f_matmul(&prompt_k.transpose(2, 3))?
            .f_view([users, kv_heads, repeat, width, len, longest])?;
        let _ = prompt.f_add_(on_prompt)?;
        let q = q.view([users, kv_heads, repeat, width, len, dim]);
        let few = len == 1 && k.size()[3] <= FEW && k.kind() == Kind::Float;
        // [U, Hkv, rep, W, S, P + S]
        let mut branch = if few {
            (&q * k.unsqueeze(2))
                .f_sum_dim_intlist([-1i64].as_slice(), false, Kind::Float)?
                .unsqueeze(-2)
        } else {
            q.f_matmul(&k.unsqueeze(2).transpose(-1, -2))?
        };
        if let Some(bias) = on_branch {
            let _ = branch.f_add_(bias)?;
        }
        let weights = Tensor::f_cat(&[prompt, branch], -1)?.f_softmax(-1, Kind::Float)?;
        let weights = cast(&weights, v.kind())?;
        let all = weights.size()[5];
        // A view: the products take rows that stand apart.
        let prompt = weights.f_view([users, kv_heads, rows, all])?.narrow(-1, 0, longest);
        let branch = weights.narrow(-1, longest, all - longest);
        let on_branch = if few {
            let weighed = branch.transpose(-1, -2) * v.unsqueeze(2);
            weighed.f_sum_dim_intlist([-2i64].as_slice(), true, Kind::Float)?
        } else {
            branch.f_matmul(&v.unsqueeze(2))?
        };
        let attended = prompt.f_matmul(prompt_v)?.view(q.size().as_slice()) + on_branch;
        kept.branch = Some((k, v));
        let attended = attended.permute([0, 3, 4, 1, 2, 5]); // [U, W, S, Hkv, rep, hd]
        Ok(attended.reshape([users, width, len, heads * dim]))
    }
}

/// 0 where token `i` of `len` new ones sees key `j` of `past + len`, −∞ where it would look ahead;
/// `[S, P + S]`.
pub(crate) fn causal_bias(past: i64, len: i64, device: tch::Device) -> Tensor {
    let later = Tensor::ones([len, past + len], (Kind::Bool, device)).triu(past + 1);
    Tensor::zeros([len, past + len], (Kind::Float, device)).masked_fill(&later, f64::NEG_INFINITY)
}
