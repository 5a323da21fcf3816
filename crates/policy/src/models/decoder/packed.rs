//! Rows without their padding.

use tch::{Device, Tensor};

use crate::PolicyError;
use crate::sizes::to_usize;
use crate::weights::to_i64;

/// A batch is packed if at least one in so many of its cells would be padding. Otherwise it is computed as it is.
const FEWEST_PADDED: usize = 32;

/// The real tokens of right-padded rows, one row after the other.
///
/// Products, norms and the feed-forward layer read the tokens `[1, N, D]`. Only attention lays them out as rows
/// `[R, S]`, where a token sees the tokens before it in its own row. This is what a block-diagonal mask over one
/// sequence of `N` tokens gives, with positions that start anew in every row, without its `N²` scores.
#[derive(Debug)]
pub(super) struct Packed {
    /// Cell of each token among those of the rows, `[N]`, i64.
    cells: Tensor,
    /// Index of the first token of each row.
    pub(super) starts: Vec<usize>,
    /// Number of tokens of each row.
    pub(super) lens: Vec<usize>,
    /// Rows and cells of a row, `[R, S]`.
    pub(super) shape: [i64; 2],
}

impl Packed {
    /// Rows of these lengths; `None` if there is too little padding for it to pay.
    pub(super) fn new(lens: Vec<usize>, device: Device) -> Option<Self> {
        let longest = lens.iter().copied().max().unwrap_or(0);
        let (cells, real) = (longest * lens.len(), lens.iter().sum::<usize>());
        if (cells - real) * FEWEST_PADDED < cells || real == 0 {
            return None;
        }
        let of_row = |(row, len): (usize, &usize)| (0..*len).map(move |at| row * longest + at);
        let cells: Vec<i64> = lens.iter().enumerate().flat_map(of_row).map(to_i64).collect();
        let mut starts = Vec::with_capacity(lens.len());
        let mut before = 0;
        for len in &lens {
            starts.push(before);
            before += len;
        }
        let cells = Tensor::from_slice(&cells).to_device(device);
        Some(Self { cells, starts, shape: [to_i64(lens.len()), to_i64(longest)], lens })
    }

    /// The real tokens `[1, N, D]` of rows `[R, S, D]`.
    pub(super) fn pack(&self, rows: &Tensor) -> Result<Tensor, PolicyError> {
        let rows = rows.f_flatten(0, 1)?;
        Ok(Tensor::f_embedding(&rows, &self.cells, -1, false, false)?.unsqueeze(0))
    }

    /// Rows `[R, S, …]` of tokens `[1, N, …]`, with 0 where there is none.
    pub(super) fn unpack(&self, tokens: &Tensor) -> Result<Tensor, PolicyError> {
        let size = tokens.size();
        let [rows, len] = self.shape;
        let flat = tokens.f_reshape([size[1], -1])?;
        let empty = Tensor::f_zeros([rows * len, flat.size()[1]], (flat.kind(), flat.device()))?;
        let laid = empty.f_index_copy(0, &self.cells, &flat)?;
        Ok(laid.f_view([&[rows, len], &size[2..]].concat().as_slice())?)
    }
}

/// Lengths of rows as counts.
pub(super) fn counts(lens: &Tensor) -> Result<Vec<usize>, PolicyError> {
    Vec::<i64>::try_from(lens)?.into_iter().map(to_usize).collect()
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    #[test]
    fn what_is_packed_is_unpacked_with_its_gradient() {
        let packed = Packed::new(vec![3, 1, 5], Device::Cpu).unwrap();
        assert_eq!((packed.starts.as_slice(), packed.shape), (&[0, 3, 4][..], [3, 5]));
        let tokens = Tensor::arange(18, (Kind::Float, Device::Cpu)).view([1, 9, 2]);
        let tokens = tokens.set_requires_grad(true);
        let rows = packed.unpack(&tokens).unwrap();
        assert_eq!(rows.size(), [3, 5, 2]);
        assert!(rows.get(1).get(0).equal(&tokens.get(0).get(3)));
        assert!(f64::try_from(rows.get(0).narrow(0, 3, 2).abs().max()).unwrap() < 1e-12);
        let again = packed.pack(&rows).unwrap();
        assert!(again.equal(&tokens));
        (again * &tokens).sum(Kind::Float).backward();
        assert!(tokens.grad().equal(&(&tokens * 2.0)));
    }

    #[test]
    fn rows_of_nearly_one_length_stay_as_they_are() {
        assert!(Packed::new(vec![40, 40, 39], Device::Cpu).is_none());
        assert!(Packed::new(vec![40, 40, 35], Device::Cpu).is_some());
        assert!(Packed::new(Vec::new(), Device::Cpu).is_none());
    }
}
