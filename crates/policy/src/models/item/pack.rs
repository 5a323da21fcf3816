//! Histories laid end to end.

use sidereal_sid::ItemId;
use tch::{Device, Tensor};

use super::ItemPolicy;
use super::body::ItemDropout;
use crate::PolicyError;
use crate::cache::TokenBatch;
use crate::sizes::to_usize;
use crate::weights::to_i64;

/// Latest items of histories, one history after the other.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) items: Vec<u32>,
    pub(super) lens: Vec<usize>,
}

impl Packed {
    /// The latest `most` items of each history; there is one at least, and each is below `num_items`.
    pub(super) fn new<H: AsRef<[u32]>>(
        histories: &[H],
        most: usize,
        num_items: usize,
    ) -> Result<Self, PolicyError> {
        let (mut items, mut lens) = (Vec::new(), Vec::with_capacity(histories.len()));
        for history in histories {
            let history = history.as_ref();
            let latest = &history[history.len().saturating_sub(most)..];
            if latest.is_empty() {
                return Err(PolicyError::Empty { what: "a history" });
            }
            if let Some(item) = latest.iter().find(|item| **item as usize >= num_items) {
                return Err(PolicyError::UnknownItem { item: ItemId(*item) });
            }
            items.extend_from_slice(latest);
            lens.push(latest.len());
        }
        if lens.is_empty() {
            return Err(PolicyError::Empty { what: "the set of histories" });
        }
        Ok(Self { items, lens })
    }

    /// The items of prompts, without the codes that begin their answers.
    pub(super) fn of_prompts(
        policy: &ItemPolicy,
        prompts: &TokenBatch,
        begun: &[usize],
    ) -> Result<Self, PolicyError> {
        let rows = prompts.rows()?;
        if begun.len() != rows {
            let what = "beginnings of answers";
            return Err(PolicyError::Size { what, found: begun.len(), expected: rows });
        }
        let width = to_usize(prompts.shape()?[1])?;
        let ids = Vec::<i64>::try_from(prompts.ids.f_to_device(Device::Cpu)?.f_reshape([-1])?)?;
        let lens = Vec::<i64>::try_from(prompts.lens.f_to_device(Device::Cpu)?)?;
        let mut histories: Vec<Vec<u32>> = Vec::with_capacity(rows);
        for ((row, len), begun) in ids.chunks(width.max(1)).zip(lens).zip(begun) {
            let len = usize::try_from(len).ok().filter(|len| *len <= width);
            let Some(items) = len.and_then(|len| len.checked_sub(*begun)) else {
                return Err(PolicyError::Empty { what: "a history before the answer's beginning" });
            };
            let id = |id: &i64| u32::try_from(*id).unwrap_or(u32::MAX); // no item, and refused
            histories.push(row[..items].iter().map(id).collect());
        }
        Self::new(&histories, policy.config.max_history, policy.num_items())
    }

    /// Length of the longest history; 0 where there is none.
    fn longest(&self) -> usize {
        self.lens.iter().copied().max().unwrap_or(0)
    }

    /// Place of each item in the padded batch `[B·T]`.
    fn places(&self) -> Vec<i64> {
        let longest = self.longest();
        let of_row =
            |(row, len): (usize, &usize)| (0..*len).map(move |at| to_i64(row * longest + at));
        self.lens.iter().enumerate().flat_map(of_row).collect()
    }

    /// States `[n, D]` at every item, given the vectors `[n, D]` of the items.
    pub(super) fn states(
        &self,
        policy: &ItemPolicy,
        vectors: &Tensor,
        dropout: ItemDropout,
    ) -> Result<Tensor, PolicyError> {
        let device = vectors.device();
        let places = self.places();
        let padded = self.padded(policy, vectors, &places, dropout)?;
        let real = Tensor::from_slice(&places).to_device(device);
        Ok(Tensor::f_embedding(&padded, &real, -1, false, false)?)
    }

    /// States `[U, D]` after each history.
    pub(super) fn last_states(
        &self,
        policy: &ItemPolicy,
        vectors: &Tensor,
    ) -> Result<Tensor, PolicyError> {
        let places = self.places();
        let padded = self.padded(policy, vectors, &places, ItemDropout::default())?;
        let longest = self.longest();
        let last = self.lens.iter().enumerate().map(|(row, len)| to_i64(row * longest + len - 1));
        let last = Tensor::from_slice(&last.collect::<Vec<_>>()).to_device(vectors.device());
        Ok(Tensor::f_embedding(&padded, &last, -1, false, false)?)
    }

    /// States `[B·T, D]`, those after a history's end included.
    fn padded(
        &self,
        policy: &ItemPolicy,
        vectors: &Tensor,
        places: &[i64],
        dropout: ItemDropout,
    ) -> Result<Tensor, PolicyError> {
        let (rows, longest) = (self.lens.len(), self.longest());
        // After the end of a history there is the first item of its batch; these places are never
        // read.
        let mut from = vec![0i64; rows * longest];
        for (at, place) in places.iter().enumerate() {
            from[to_usize(*place)?] = to_i64(at);
        }
        let from = Tensor::from_slice(&from).view([to_i64(rows), to_i64(longest)]);
        let from = from.to_device(vectors.device());
        let x = Tensor::f_embedding(vectors, &from, -1, false, false)?; // [B, T, D]
        Ok(policy.body.forward(&x, dropout)?.f_flatten(0, 1)?)
    }
}
