//! Attention of branches over the prompt that they share and over their own tokens.

use tch::{Kind, Tensor};

use crate::PolicyError;
use crate::cache::{BranchCache, FEW, LayerCache};
use crate::tensor::cast;

/// The input of new tokens of branches to the attention of a layer; `H` is a multiple of `Hkv`.
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
        let Self { q, k, v, on_prompt, on_branch } = self;
        let [users, heads, width, len, dim] = <[i64; 5]>::try_from(q.size()).unwrap_or([0; 5]);
        let kv_heads = k.size()[1];
        let repeat = heads / kv_heads;
        let recorded = [&q, &k, &v].iter().any(|x| x.requires_grad());
        let grown = BranchCache::grown(kept.branch.take(), (k, v), recorded)?;
        let (k, v) = kept.branch.insert(grown).read()?; // [U, Hkv, W, P + S, hd]
        // Query heads that share a key head are adjacent.
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
            of_width(&per_branch(&q)?.f_matmul(&k.transpose(-1, -2))?, repeat)?
        };
        if let Some(bias) = on_branch {
            let _ = branch.f_add_(bias)?;
        }
        let weights = Tensor::f_cat(&[prompt, branch], -1)?.f_softmax(-1, Kind::Float)?;
        let weights = cast(&weights, v.kind())?;
        let all = weights.size()[5];
        // A view: the products accept rows that are not adjacent in memory.
        let prompt = weights.f_view([users, kv_heads, rows, all])?.narrow(-1, 0, longest);
        let branch = weights.narrow(-1, longest, all - longest);
        let on_branch = if few {
            let weighed = branch.transpose(-1, -2) * v.unsqueeze(2);
            weighed.f_sum_dim_intlist([-2i64].as_slice(), true, Kind::Float)?
        } else {
            of_width(&per_branch(&branch)?.f_matmul(&v)?, repeat)?
        };
        let attended = prompt.f_matmul(prompt_v)?.view(q.size().as_slice()) + on_branch;
        let attended = attended.permute([0, 3, 4, 1, 2, 5]); // [U, W, S, Hkv, rep, hd]
        Ok(attended.reshape([users, width, len, heads * dim]))
    }
}

/// `[U, Hkv, rep, W, S, n]` as the rows of each branch, `[U, Hkv, W, rep·S, n]`: heads that share
/// keys read them in one product, without a copy for each.
fn per_branch(x: &Tensor) -> Result<Tensor, PolicyError> {
    Ok(x.f_transpose(2, 3)?.f_flatten(3, 4)?)
}

/// The inverse of [`per_branch`].
fn of_width(x: &Tensor, repeat: i64) -> Result<Tensor, PolicyError> {
    Ok(x.f_unflatten(3, [repeat, -1].as_slice())?.f_transpose(2, 3)?)
}

/// 0 if token `i` of `len` new ones sees key `j` of `past + len`, −∞ where it would look ahead;
/// `[S, P + S]`.
pub(crate) fn causal_bias(past: i64, len: i64, device: tch::Device) -> Tensor {
    let later = Tensor::ones([len, past + len], (Kind::Bool, device)).triu(past + 1);
    Tensor::zeros([len, past + len], (Kind::Float, device)).masked_fill(&later, f64::NEG_INFINITY)
}
