//! Branches that become prompts of their own, for texts of different lengths that are continued
//! together.

use tch::{Kind, Tensor};

use super::branches::branch_rows;
use super::{KvCache, LayerCache};
use crate::PolicyError;
use crate::sizes::axes;
use crate::weights::to_i64;

/// A tensor of one of several caches, whose mask of prompts has these sizes.
type OfPart<'f> = dyn Fn(&KvCache, [i64; 4]) -> Result<Tensor, tch::TchError> + 'f;

impl KvCache {
    /// The branches `picks` (prompt, branch) as prompts, each after a copy of its prompt's keys.
    ///
    /// Keys carry their positions, so their place in the prompt does not matter: padding may be
    /// between the tokens of a prompt and those of its branch.
    pub(crate) fn branches_as_prompts(
        &self,
        picks: &[(usize, usize)],
    ) -> Result<Self, PolicyError> {
        self.check_no_source()?;
        let device = self.prompt_len.device();
        let index = |of: fn(&(usize, usize)) -> usize| {
            let rows: Vec<i64> = picks.iter().map(|pick| to_i64(of(pick))).collect();
            Tensor::from_slice(&rows).to_device(device)
        };
        let (users, slots) = (index(|pick| pick.0), index(|pick| pick.1).unsqueeze(1));
        let mut rows: Option<Tensor> = None;
        let layers = self
            .layers
            .iter()
            .map(|layer| {
                let mut prompt = both(&layer.prompt, |x| x.f_index_select(0, &users))?;
                if let Some(branch) = &layer.branch {
                    let heads = prompt.0.size()[1];
                    let width = self.width.unwrap_or(1);
                    let rows =
                        rows.get_or_insert_with(|| branch_rows(&users, &slots, heads, width));
                    let own = branch.rows(rows, [to_i64(picks.len()), heads, 1])?.read()?;
                    let own = both(&own, |x| x.f_squeeze_dim(2))?; // [P, Hkv, S, hd]
                    prompt.0 = Tensor::f_cat(&[prompt.0, own.0], 2)?;
                    prompt.1 = Tensor::f_cat(&[prompt.1, own.1], 2)?;
                }
                Ok(LayerCache { prompt, branch: None, source: None })
            })
            .collect::<Result<Vec<_>, PolicyError>>()?;
        let mask = self.prompt_mask.f_index_select(0, &users)?;
        let own =
            Tensor::f_zeros([to_i64(picks.len()), 1, 1, self.branch_len], (Kind::Float, device))?;
        let prompt_len = self.prompt_len.f_index_select(0, &users)? + self.branch_len;
        Ok(Self {
            layers,
            longest: i64::try_from(prompt_len.f_max()?)?,
            prompt_len,
            prompt_mask: Tensor::f_cat(&[mask, own], -1)?,
            source_mask: None,
            branch_len: 0,
            width: None,
        })
    }

    /// Accepts what a decoder has read. An encoder-decoder takes positions from the places of keys.
    pub(crate) fn check_no_source(&self) -> Result<(), PolicyError> {
        match self.source_mask {
            None => Ok(()),
            Some(_) => Err(PolicyError::Unsupported {
                field: "model",
                found: "an encoder-decoder".into(),
                expected: "a decoder, where chains of thought go on as prompts",
            }),
        }
    }

    /// Leaves only the prompts `rows` and their branches, in this order.
    pub(crate) fn keep_prompts(&mut self, rows: &[usize]) -> Result<(), PolicyError> {
        let rows: Vec<i64> = rows.iter().map(|row| to_i64(*row)).collect();
        let rows = Tensor::from_slice(&rows).to_device(self.prompt_len.device());
        let keep = |x: &Tensor| x.f_index_select(0, &rows);
        for layer in &mut self.layers {
            layer.prompt = both(&layer.prompt, keep)?;
            layer.branch =
                layer.branch.as_ref().map(|branch| branch.of_prompts(&rows)).transpose()?;
            layer.source = layer.source.as_ref().map(|source| both(source, keep)).transpose()?;
        }
        self.source_mask = self.source_mask.as_ref().map(keep).transpose()?;
        self.prompt_len = keep(&self.prompt_len)?;
        self.prompt_mask = keep(&self.prompt_mask)?;
        self.longest = i64::try_from(self.prompt_len.f_max()?)?;
        Ok(())
    }

    /// One cache with the prompts of several caches, in order; branches are dropped.
    pub(crate) fn stack(parts: &[Self]) -> Result<Self, PolicyError> {
        let masks = parts.iter().map(|part| axes("axes of a mask of prompts", &part.prompt_mask));
        let masks: Vec<[i64; 4]> = masks.collect::<Result<_, _>>()?; // [U, 1, 1, T] of each
        // No caches give an empty cache.
        let most = masks.iter().map(|[.., padded]| *padded).max().unwrap_or(0);
        let rows = |of: &OfPart<'_>| {
            let rows = parts.iter().zip(&masks).map(|(part, mask)| of(part, *mask));
            let rows = rows.collect::<Result<Vec<_>, _>>()?;
            Tensor::f_cat(&rows, 0)
        };
        let num_layers = parts.first().map_or(0, |part| part.layers.len());
        let layers = (0..num_layers)
            .map(|layer| {
                let pad = |x: &Tensor, [.., padded]: [i64; 4]| {
                    x.f_constant_pad_nd([0, 0, 0, most - padded])
                };
                let keys = rows(&|part, mask| pad(&part.layers[layer].prompt.0, mask))?;
                let values = rows(&|part, mask| pad(&part.layers[layer].prompt.1, mask))?;
                Ok(LayerCache { prompt: (keys, values), branch: None, source: None })
            })
            .collect::<Result<Vec<_>, PolicyError>>()?;
        let mask = |part: &Self, [rows, .., padded]: [i64; 4]| {
            let options = (Kind::Float, part.prompt_mask.device());
            let behind = Tensor::f_full([rows, 1, 1, most - padded], f64::NEG_INFINITY, options)?;
            Tensor::f_cat(&[&part.prompt_mask, &behind], -1)
        };
        Ok(Self {
            layers,
            prompt_len: rows(&|part, _| Ok(part.prompt_len.shallow_clone()))?,
            // As above, nothing is as long as nothing.
            longest: parts.iter().map(|part| part.longest).max().unwrap_or(0),
            prompt_mask: rows(&mask)?,
            source_mask: None,
            branch_len: 0,
            width: None,
        })
    }
}

/// The same of keys and values.
fn both(
    (keys, values): &(Tensor, Tensor),
    of: impl Fn(&Tensor) -> Result<Tensor, tch::TchError>,
) -> Result<(Tensor, Tensor), tch::TchError> {
    Ok((of(keys)?, of(values)?))
}
