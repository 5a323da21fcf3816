//! Keys and values of branches, with room for the tokens to come.

use tch::{Kind, Tensor};

use crate::PolicyError;

/// Number of tokens that counts as few, such as the codes of an item. A branch with so few tokens
/// is stored without room to grow, and its attention is elementwise: memory in reserve and a
/// product for each branch would cost more than copying and computing.
pub(crate) const FEW: i64 = 8;

/// Keys and values of all branches of one layer.
#[derive(Debug)]
pub(crate) struct BranchCache {
    /// `[U, Hkv, W, C, hd]`, of which the first `len` tokens have been read.
    pair: (Tensor, Tensor),
    len: i64,
}

impl BranchCache {
    /// `before` and after it the new tokens' keys and values, `[U, Hkv, W, S, hd]`; `recorded` if
    /// autograd keeps them for the backward pass, so that they must not change.
    pub(crate) fn grown(
        before: Option<Self>,
        (keys, values): (Tensor, Tensor),
        recorded: bool,
    ) -> Result<Self, PolicyError> {
        let added = keys.size()[3];
        let Some(before) = before else {
            return Ok(Self { pair: (keys, values), len: added });
        };
        let len = before.len + added;
        let copies = recorded || len <= FEW;
        let joined = |kept: &Tensor, new: &Tensor| -> Result<Tensor, PolicyError> {
            if copies {
                return Ok(Tensor::f_cat(&[&kept.f_narrow(3, 0, before.len)?, new], 3)?);
            }
            let mut roomy = kept.shallow_clone();
            if kept.size()[3] < len {
                // Doubled, so that a token is copied once on average for a text of any length.
                let mut shape = kept.size();
                shape[3] = 2 * len;
                roomy = Tensor::f_empty(shape.as_slice(), (kept.kind(), kept.device()))?;
                let old = kept.f_narrow(3, 0, before.len)?;
                roomy.f_narrow(3, 0, before.len)?.f_copy_(&old)?;
            }
            roomy.f_narrow(3, before.len, added)?.f_copy_(new)?;
            Ok(roomy)
        };
        let pair = (joined(&before.pair.0, &keys)?, joined(&before.pair.1, &values)?);
        Ok(Self { pair, len })
    }

    /// Keys and values of the tokens so far, `[U, Hkv, W, S, hd]`.
    pub(crate) fn read(&self) -> Result<(Tensor, Tensor), PolicyError> {
        Ok((self.pair.0.f_narrow(3, 0, self.len)?, self.pair.1.f_narrow(3, 0, self.len)?))
    }

    /// Branches `rows` of [`branch_rows`] as `[N, Hkv, K]` of them.
    pub(super) fn rows(&self, rows: &Tensor, shape: [i64; 3]) -> Result<Self, PolicyError> {
        self.map(|x| {
            let [users, heads, width, room, dim] = <[i64; 5]>::try_from(x.size()).unwrap_or([0; 5]);
            let flat = x.f_reshape([users * heads * width, room * dim])?;
            let [users, heads, width] = shape;
            Ok(flat.f_index_select(0, rows)?.f_view([users, heads, width, room, dim])?)
        })
    }

    /// Those of the prompts `rows`, in this order.
    pub(super) fn of_prompts(&self, rows: &Tensor) -> Result<Self, PolicyError> {
        self.map(|x| Ok(x.f_index_select(0, rows)?))
    }

    fn map(
        &self,
        of: impl Fn(&Tensor) -> Result<Tensor, PolicyError>,
    ) -> Result<Self, PolicyError> {
        Ok(Self { pair: (of(&self.pair.0)?, of(&self.pair.1)?), len: self.len })
    }
}

/// The places of the branches `slots[n]` (`[N, K]`) of the prompts `users` (`[N]`) among the rows
/// of `[U, Hkv, W]`, as `[N·Hkv·K]`.
pub(super) fn branch_rows(users: &Tensor, slots: &Tensor, heads: i64, width: i64) -> Tensor {
    let heads_of =
        users.unsqueeze(1) * heads + Tensor::arange(heads, (Kind::Int64, users.device()));
    ((heads_of * width).unsqueeze(2) + slots.unsqueeze(1)).view(-1)
}
