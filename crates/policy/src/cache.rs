//! Keys and values of what has been read, owned by the caller.

mod branches;
mod chains;
#[cfg(test)]
mod tests;

use tch::{Kind, Tensor};

use branches::branch_rows;
pub(crate) use branches::{BranchCache, FEW};

use crate::PolicyError;
use crate::sizes::to_usize;
use crate::weights::to_i64;

/// Keys and values of a batch of prompts and of the branches that continue them.
///
/// A prompt is stored once for any number of beams or rollouts. Each branch only owns the keys of
/// its own tokens, and reads those of the prompt in place.
#[derive(Debug)]
pub struct KvCache {
    pub(crate) layers: Vec<LayerCache>,
    /// Length of each prompt, `[U]`, i64.
    pub(crate) prompt_len: Tensor,
    /// Length of the longest prompt.
    pub(crate) longest: i64,
    /// Added to the scores of prompt positions: 0, or −∞ where a row has padding, `[U, 1, 1, T]`.
    /// It cannot be computed from `prompt_len`, because padding is not always at the end.
    pub(crate) prompt_mask: Tensor,
    /// The same of an encoder's tokens, `[U, 1, 1, T]`; `None` without an encoder.
    pub(crate) source_mask: Option<Tensor>,
    /// Tokens in each branch so far.
    pub(crate) branch_len: i64,
    /// Branches of each prompt, once a branch has a token.
    pub(crate) width: Option<i64>,
}

/// Keys and values of one layer.
#[derive(Debug)]
pub(crate) struct LayerCache {
    /// `[U, Hkv, T, hd]`.
    pub(crate) prompt: (Tensor, Tensor),
    /// What the branches have read, once one has a token.
    pub(crate) branch: Option<BranchCache>,
    /// Keys and values of an encoder's states, `[U, H, T, hd]`, which all branches of a prompt read.
    pub(crate) source: Option<(Tensor, Tensor)>,
}

impl KvCache {
    pub(crate) fn new(prompt_len: Tensor, padded: i64, layers: usize) -> Result<Self, PolicyError> {
        let longest = i64::try_from(prompt_len.f_max()?)?;
        let prompt_mask = padding_mask(&prompt_len, padded);
        let layers = Vec::with_capacity(layers);
        Ok(Self {
            layers,
            prompt_len,
            longest,
            prompt_mask,
            source_mask: None,
            branch_len: 0,
            width: None,
        })
    }

    /// Number of prompts, `U`.
    #[must_use]
    pub fn num_prompts(&self) -> usize {
        self.prompt_len.numel()
    }

    /// Tokens in each branch so far.
    #[must_use]
    pub const fn branch_len(&self) -> i64 {
        self.branch_len
    }

    /// What was read of these prompts (ascending), without branches. Their storage is shared if
    /// they are all prompts of the cache.
    ///
    /// The padding is kept for each row. It may be between the tokens of a prompt and those of a
    /// chain ([`branches_as_prompts`](Self::branches_as_prompts)), so the lengths do not say where
    /// it is.
    pub(crate) fn of_prompts(&self, prompts: &[usize]) -> Result<Self, PolicyError> {
        let rows: Vec<i64> = prompts.iter().map(|row| to_i64(*row)).collect();
        let rows = Tensor::from_slice(&rows).to_device(self.prompt_len.device());
        let all = prompts.len() == self.num_prompts();
        let of_rows = |x: &Tensor| -> Result<Tensor, PolicyError> {
            Ok(if all { x.shallow_clone() } else { x.f_index_select(0, &rows)? })
        };
        let prompt_len = of_rows(&self.prompt_len)?;
        let mask = of_rows(&self.prompt_mask)?;
        let width = read_width(&mask)?;
        let of_pair = |(keys, values): &(Tensor, Tensor), width: i64| {
            let part = |x: &Tensor| of_rows(&x.f_narrow(2, 0, width)?);
            Ok::<_, PolicyError>((part(keys)?, part(values)?))
        };
        let mut layers = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let prompt = of_pair(&layer.prompt, width)?;
            let source = layer.source.as_ref().map(|pair| of_pair(pair, pair.0.size()[2]));
            layers.push(LayerCache { prompt, branch: None, source: source.transpose()? });
        }
        Ok(Self {
            layers,
            longest: i64::try_from(prompt_len.f_max()?)?,
            prompt_len,
            prompt_mask: mask.f_narrow(-1, 0, width)?,
            source_mask: self.source_mask.as_ref().map(of_rows).transpose()?,
            branch_len: 0,
            width: None,
        })
    }

    /// Users, branches and length `[U, W, S]` of tokens that may continue the branches.
    pub(crate) fn check_branches(&self, tokens: &Tensor) -> Result<[i64; 3], PolicyError> {
        let [users, width, len] = <[i64; 3]>::try_from(tokens.size()).map_err(|_| {
            PolicyError::Size { what: "axes of branch tokens", found: tokens.dim(), expected: 3 }
        })?;
        check_prompts("prompts of branches", users, self.num_prompts())?;
        if let Some(expected) = self.width.filter(|kept| *kept != width) {
            let (found, expected) = (to_usize(width)?, to_usize(expected)?);
            return Err(PolicyError::Size { what: "branches of a prompt", found, expected });
        }
        Ok([users, width, len])
    }

    /// Records that every layer now holds `len` more tokens of `width` branches.
    pub(crate) const fn grow(&mut self, width: i64, len: i64) {
        self.branch_len += len;
        self.width = Some(width);
    }

    /// Makes branch `w` of prompt `u` continue what branch `parents[u][w]` was; `[U, W']`, i64.
    ///
    /// While the branches have no tokens, there is nothing to do, and any parents are accepted.
    ///
    /// # Errors
    /// [`PolicyError::Size`] if `parents` does not have a row for each prompt, or an index is
    /// outside the branches.
    pub fn gather_branches(&mut self, parents: &Tensor) -> Result<(), PolicyError> {
        let [users, width] = <[i64; 2]>::try_from(parents.size()).map_err(|_| {
            PolicyError::Size { what: "axes of parents", found: parents.dim(), expected: 2 }
        })?;
        check_prompts("rows of parents", users, self.num_prompts())?;
        let Some(before) = self.width else { return Ok(()) };
        check_parents(parents, before)?;
        let all = Tensor::arange(users, (Kind::Int64, parents.device()));
        let mut rows: Option<Tensor> = None;
        for layer in &mut self.layers {
            let heads = layer.prompt.0.size()[1];
            let Some(branch) = &mut layer.branch else { continue };
            // The same in every layer.
            let rows = rows.get_or_insert_with(|| branch_rows(&all, parents, heads, before));
            *branch = branch.rows(rows, [users, heads, width])?;
        }
        self.width = Some(width);
        Ok(())
    }
}

/// 0, or −∞ after a row's end, `[U, 1, 1, T]`, for rows of `lens` (`[U]`) padded to `T`.
pub(crate) fn padding_mask(lens: &Tensor, padded: i64) -> Tensor {
    let positions = Tensor::arange(padded, (Kind::Int64, lens.device()));
    let behind = positions.unsqueeze(0).ge_tensor(&lens.unsqueeze(1)); // [U, T]
    Tensor::zeros(behind.size(), (Kind::Float, lens.device()))
        .masked_fill(&behind, f64::NEG_INFINITY)
        .unsqueeze(1)
        .unsqueeze(1)
}

/// Columns of a mask `[U, 1, 1, T]` up to the last that some row reads.
fn read_width(mask: &Tensor) -> Result<i64, PolicyError> {
    let columns = mask.f_amax([0i64, 1, 2].as_slice(), false)?; // [T]
    let read = columns.f_isfinite()?.f_nonzero()?; // [N, 1]
    Ok(if read.numel() == 0 { 0 } else { i64::try_from(read.f_max()?)? + 1 })
}

/// Accepts parents that are branches.
fn check_parents(parents: &Tensor, branches: i64) -> Result<(), PolicyError> {
    let least = parents.f_min()?.f_int64_value(&[])?;
    let most = parents.f_max()?.f_int64_value(&[])?;
    if least >= 0 && most < branches {
        return Ok(());
    }
    let (found, expected) = (to_usize(most.max(0) + 1)?, to_usize(branches)?);
    Err(PolicyError::Size { what: "branches that parents name", found, expected })
}

/// Accepts a count of rows that is the cache's count of prompts.
pub(crate) fn check_prompts(
    what: &'static str,
    rows: i64,
    expected: usize,
) -> Result<(), PolicyError> {
    let found = to_usize(rows)?;
    if found == expected { Ok(()) } else { Err(PolicyError::Size { what, found, expected }) }
}

/// Right-padded token ids of a batch.
#[derive(Debug)]
pub struct TokenBatch {
    /// `[U, T]`, i64; what comes after the length of a row is never read.
    pub ids: Tensor,
    /// Length of each row, `[U]`, i64.
    pub lens: Tensor,
}

impl TokenBatch {
    /// Pads `rows` on the right with `pad`.
    ///
    /// # Errors
    /// [`PolicyError::Empty`] for no rows or an empty row; [`PolicyError::PromptLength`] if a row
    /// has more than `limit` tokens.
    pub fn new<R: AsRef<[u32]>>(
        rows: &[R],
        pad: u32,
        limit: usize,
        device: tch::Device,
    ) -> Result<Self, PolicyError> {
        // No rows are as empty as empty ones.
        let longest = rows.iter().map(|row| row.as_ref().len()).max().unwrap_or(0);
        if longest == 0 {
            return Err(PolicyError::Empty { what: "batch of prompts" });
        }
        let mut ids = vec![i64::from(pad); rows.len() * longest];
        for (row, (out, tokens)) in ids.chunks_exact_mut(longest).zip(rows).enumerate() {
            let tokens = tokens.as_ref();
            if tokens.is_empty() {
                return Err(PolicyError::Empty { what: "a prompt" });
            }
            if tokens.len() > limit {
                return Err(PolicyError::PromptLength { row, found: tokens.len(), limit });
            }
            out.iter_mut().zip(tokens).for_each(|(slot, id)| *slot = i64::from(*id));
        }
        let lens: Vec<i64> = rows.iter().map(|row| to_i64(row.as_ref().len())).collect();
        let shape = [to_i64(rows.len()), to_i64(longest)];
        Ok(Self {
            ids: Tensor::from_slice(&ids).view(shape).to_device(device),
            lens: Tensor::from_slice(&lens).to_device(device),
        })
    }
    /// Rows and padded length `[U, T]`.
    pub(crate) fn shape(&self) -> Result<[i64; 2], PolicyError> {
        let shape = <[i64; 2]>::try_from(self.ids.size()).map_err(|_| PolicyError::Size {
            what: "axes of a batch of tokens",
            found: self.ids.dim(),
            expected: 2,
        })?;
        if self.lens.size() != shape[..1] {
            let expected = to_usize(shape[0])?;
            let found = self.lens.numel();
            return Err(PolicyError::Size {
                what: "lengths of a batch of tokens",
                found,
                expected,
            });
        }
        Ok(shape)
    }

    /// Number of rows, `U`.
    pub(crate) fn rows(&self) -> Result<usize, PolicyError> {
        to_usize(self.shape()?[0])
    }
}
