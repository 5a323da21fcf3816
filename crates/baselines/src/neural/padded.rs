//! Rows of items of different lengths as one rectangle.

use tch::{Device, Kind, Tensor};

use super::NeuralError;

/// Which end of a row is filled up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Before the first item: the last item is at the last place.
    Left,
    /// After the last item: the first item is at place 0.
    Right,
}

/// Rows of items as a rectangle `[B, T]`.
#[derive(Debug)]
pub(crate) struct Padded {
    /// Item numbers, `[B, T]`; item 0 where there is none.
    pub(crate) items: Tensor,
    lens: Vec<usize>,
    width: usize,
    side: Side,
}

impl Padded {
    /// The rows at the width of the longest, filled up after their last items.
    pub(crate) fn right(rows: &[&[u32]], device: Device) -> Result<Self, NeuralError> {
        let width = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        Self::new(rows, width, Side::Right, device)
    }

    /// The latest `width` items of each row, filled up before their first items.
    pub(crate) fn left(rows: &[&[u32]], width: usize, device: Device) -> Result<Self, NeuralError> {
        let rows: Vec<&[u32]> =
            rows.iter().map(|row| &row[row.len().saturating_sub(width)..]).collect();
        Self::new(&rows, width, Side::Left, device)
    }

    fn new(rows: &[&[u32]], width: usize, side: Side, device: Device) -> Result<Self, NeuralError> {
        let mut items = vec![0_i64; rows.len() * width];
        for (row, places) in rows.iter().zip(items.chunks_exact_mut(width.max(1))) {
            let start = match side {
                Side::Left => width - row.len(),
                Side::Right => 0,
            };
            for (place, item) in places[start..].iter_mut().zip(*row) {
                *place = i64::from(*item);
            }
        }
        let shape = [size(rows.len()), size(width)];
        let items = Tensor::f_from_slice(&items)?.f_reshape(shape)?.f_to_device(device)?;
        Ok(Self { items, lens: rows.iter().map(|row| row.len()).collect(), width, side })
    }

    /// The place of each item if the last item of its row has place `most − 1`, `[B, T]`; where there is no
    /// item, that one too. Rows are filled up at the right and have at most `most` items.
    pub(crate) fn places_from_last(&self, most: usize) -> Result<Tensor, NeuralError> {
        let place = |len: usize, at: usize| size((most + at).saturating_sub(len).min(most - 1));
        let places: Vec<i64> = self
            .lens
            .iter()
            .flat_map(|len| (0..self.width).map(move |at| place(*len, at)))
            .collect();
        let places = Tensor::f_from_slice(&places)?.f_reshape([self.rows(), self.width()])?;
        Ok(places.f_to_device(self.items.device())?)
    }

    /// Number of rows `B`.
    pub(crate) fn rows(&self) -> i64 {
        size(self.lens.len())
    }

    /// Number of places `T`.
    pub(crate) fn width(&self) -> i64 {
        size(self.width)
    }

    /// Lengths of the rows as numbers of a kind, `[B, 1]`.
    pub(crate) fn lengths(&self, kind: Kind) -> Result<Tensor, NeuralError> {
        let lens: Vec<i64> = self.lens.iter().map(|len| size(*len)).collect();
        let lens = Tensor::f_from_slice(&lens)?.f_unsqueeze(1)?;
        Ok(lens.f_to_kind(kind)?.f_to_device(self.items.device())?)
    }

    /// Where there is an item, `[B, T]` of booleans.
    pub(crate) fn real(&self) -> Result<Tensor, NeuralError> {
        let mut real = vec![false; self.lens.len() * self.width];
        for (len, places) in self.lens.iter().zip(real.chunks_exact_mut(self.width.max(1))) {
            let start = match self.side {
                Side::Left => self.width - len,
                Side::Right => 0,
            };
            places[start..start + len].fill(true);
        }
        let real = Tensor::f_from_slice(&real)?.f_reshape([self.rows(), self.width()])?;
        Ok(real.f_to_device(self.items.device())?)
    }

    /// What is added to the scores of attention so that no place attends to an empty one: 0 for an item,
    /// −∞ for none, `[B, 1, 1, T]`. Every row must have an item.
    pub(crate) fn closed(&self, kind: Kind) -> Result<Tensor, NeuralError> {
        let empty = self.real()?.f_logical_not()?; // [B, T]
        let zeros = Tensor::f_zeros([self.rows(), self.width()], (kind, self.items.device()))?;
        let mask = zeros.f_masked_fill(&empty, f64::NEG_INFINITY)?;
        Ok(mask.f_unsqueeze(1)?.f_unsqueeze(1)?)
    }

    /// Flat places of all items of rows that are filled up at the right, `[M]`, row after row.
    pub(crate) fn places(&self) -> Result<Tensor, NeuralError> {
        let places: Vec<i64> = (0..)
            .zip(&self.lens)
            .flat_map(|(row, len)| (0..size(*len)).map(move |at| (row, at)))
            .map(|(row, at): (i64, i64)| row * self.width() + at)
            .collect();
        Ok(Tensor::f_from_slice(&places)?.f_to_device(self.items.device())?)
    }

    /// Flat places of the last items, `[B]`.
    pub(crate) fn last(&self) -> Result<Tensor, NeuralError> {
        let width = self.width();
        let place = |(row, len): (i64, &usize)| match self.side {
            Side::Left => (row + 1) * width - 1,
            Side::Right => row * width + size(*len).max(1) - 1,
        };
        let places: Vec<i64> = (0..).zip(&self.lens).map(place).collect();
        Ok(Tensor::f_from_slice(&places)?.f_to_device(self.items.device())?)
    }
}

/// Rows without their last items, and their last items.
///
/// # Shapes
/// Returns `[B]` histories and targets `[B]`.
pub(crate) fn without_last<'r>(
    rows: &[&'r [u32]],
    device: Device,
) -> Result<(Vec<&'r [u32]>, Tensor), NeuralError> {
    let (mut histories, mut targets) =
        (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    for row in rows {
        if let Some((last, history)) = row.split_last() {
            histories.push(history);
            targets.push(i64::from(*last));
        }
    }
    Ok((histories, Tensor::f_from_slice(&targets)?.f_to_device(device)?))
}

/// A count as libtorch takes it.
pub(crate) fn size(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(tensor: &Tensor) -> Vec<i64> {
        tensor.to_kind(Kind::Int64).reshape([-1]).try_into().unwrap()
    }

    #[test]
    fn rows_are_filled_up_at_the_side_that_was_asked_for() {
        let rows: [&[u32]; 2] = [&[5, 6, 7], &[8]];
        let right = Padded::right(&rows, Device::Cpu).unwrap();
        assert_eq!(numbers(&right.items), [5, 6, 7, 8, 0, 0]);
        assert_eq!(numbers(&right.real().unwrap()), [1, 1, 1, 1, 0, 0]);
        assert_eq!(numbers(&right.places().unwrap()), [0, 1, 2, 3]);
        assert_eq!(numbers(&right.last().unwrap()), [2, 3]);
        assert_eq!(numbers(&right.places_from_last(5).unwrap()), [2, 3, 4, 4, 4, 4]);
        let left = Padded::left(&rows, 2, Device::Cpu).unwrap();
        assert_eq!(numbers(&left.items), [6, 7, 0, 8]);
        assert_eq!(numbers(&left.real().unwrap()), [1, 1, 0, 1]);
        assert_eq!(numbers(&left.last().unwrap()), [1, 3]);
    }
}
