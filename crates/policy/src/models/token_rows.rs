//! A matrix with a row for each token, of which adjacent rows may be trained as a weight of their own.

use std::ops::Range;

use tch::{Kind, Tensor};

use crate::PolicyError;
use crate::tensor::{cast, recorded};
use crate::weights::Weights;

/// A row for each token, `[V, D]`: an embedding or an output head.
///
/// The rows of some tokens may be a leaf of their own. The leaf shares storage with the matrix, so an update of the
/// one is an update of the other, and whatever records no gradients reads the matrix alone. While gradients are
/// recorded, these rows are taken from the leaf: gradient and moments have the leaf's size, not that of the matrix.
#[derive(Debug)]
pub(crate) struct TokenRows {
    weight: Tensor,
    own: Option<OwnRows>,
}

/// Adjacent rows of a matrix as a leaf.
#[derive(Debug)]
pub(crate) struct OwnRows {
    /// Token of the first row.
    pub(crate) start: i64,
    /// `[R, D]`.
    pub(crate) leaf: Tensor,
}

impl OwnRows {
    /// Token after the last row.
    pub(crate) fn end(&self) -> i64 {
        self.start + self.leaf.size()[0]
    }
}

impl TokenRows {
    pub(crate) const fn new(weight: Tensor) -> Self {
        Self { weight, own: None }
    }

    /// The whole matrix, `[V, D]`.
    pub(crate) const fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The rows that are a leaf, whether gradients are recorded or not.
    pub(crate) const fn own(&self) -> Option<&OwnRows> {
        self.own.as_ref()
    }

    /// Makes `rows` a leaf of their own, without a gradient at first; of the matrix itself no gradients are recorded
    /// any more.
    ///
    /// # Errors
    /// [`PolicyError::Size`] for rows outside the matrix, or for none.
    pub(crate) fn take_out(&mut self, rows: Range<i64>) -> Result<(), PolicyError> {
        let Range { start, end } = rows;
        let found = self.weight.size().first().copied().unwrap_or(0);
        if start < 0 || end > found || start >= end {
            let count = |n: i64| usize::try_from(n).unwrap_or(usize::MAX);
            let what = "rows of a matrix of tokens that codes need";
            return Err(PolicyError::Size { what, found: count(end), expected: count(found) });
        }
        let _ = self.weight.requires_grad_(false);
        let leaf = self.weight.detach().f_narrow(0, start, end - start)?;
        self.own = Some(OwnRows { start, leaf });
        Ok(())
    }

    /// Takes the leaf of a matrix that this one is tied to.
    pub(crate) fn take_out_as(&mut self, tied: &Self) {
        let share = |own: &OwnRows| OwnRows { start: own.start, leaf: own.leaf.shallow_clone() };
        self.own = tied.own.as_ref().map(share);
    }

    /// Gives the leaf up; the matrix holds its values.
    pub(crate) fn put_back(&mut self) {
        self.own = None;
    }

    /// The leaf, if what is computed from it has a graph at this moment.
    pub(crate) fn recorded(&self) -> Result<Option<&OwnRows>, PolicyError> {
        let Some(own) = &self.own else { return Ok(None) };
        Ok(recorded(&own.leaf)?.then_some(own))
    }

    /// Rows `[…, D]` of `ids` `[…]`, in the element type of the matrix.
    pub(crate) fn of_ids(&self, ids: &Tensor) -> Result<Tensor, PolicyError> {
        let plain = Tensor::f_embedding(&self.weight, ids, -1, false, false)?;
        let Some(own) = self.recorded()? else { return Ok(plain) };
        let flat = ids.f_reshape([-1i64])?;
        let inside = flat.f_ge(own.start)?.f_logical_and(&flat.f_lt(own.end())?)?;
        let at = inside.f_nonzero()?.f_squeeze_dim(1)?; // [n]
        if at.numel() == 0 {
            return Ok(plain);
        }
        let of_leaf = flat.f_index_select(0, &at)?.f_sub_scalar(own.start)?;
        let of_leaf = Tensor::f_embedding(&own.leaf, &of_leaf, -1, false, false)?; // [n, D]
        let shape = plain.size();
        let width = shape.last().copied().unwrap_or(1);
        let joined = plain.f_reshape([-1, width])?.f_index_copy(0, &at, &of_leaf)?;
        Ok(joined.f_view(shape.as_slice())?)
    }

    /// Products `[…, V]` of states `[…, D]` with every row, computed in `kind`.
    pub(crate) fn products(&self, states: &Tensor, kind: Kind) -> Result<Tensor, PolicyError> {
        let with = |rows: &Tensor| -> Result<Tensor, PolicyError> {
            Ok(states.f_linear(&cast(rows, kind)?, None::<&Tensor>)?)
        };
        let Some(own) = self.recorded()? else { return with(&self.weight) };
        let (end, rows) = (own.end(), self.weight.size()[0]);
        let mut parts = Vec::with_capacity(3);
        if own.start > 0 {
            parts.push(with(&self.weight.f_narrow(0, 0, own.start)?)?);
        }
        parts.push(with(&own.leaf)?);
        if end < rows {
            parts.push(with(&self.weight.f_narrow(0, end, rows - end)?)?);
        }
        Ok(Tensor::f_cat(&parts, -1)?)
    }
}

/// Leaves by the names of their matrices with `.codes` after them.
pub(crate) fn named_leaves<'a>(
    found: impl IntoIterator<Item = Option<(&'static str, Option<&'a OwnRows>)>>,
) -> Weights {
    let named = |(name, own): (&str, Option<&OwnRows>)| {
        own.map(|own| (format!("{name}.codes"), own.leaf.shallow_clone()))
    };
    found.into_iter().flatten().filter_map(named).collect()
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    #[test]
    fn values_and_gradients_of_the_leaf_are_those_of_the_rows_of_the_whole_matrix() {
        tch::manual_seed(3);
        let float = (Kind::Float, Device::Cpu);
        let states = Tensor::randn([5, 4], float);
        let ids = Tensor::from_slice(&[0i64, 8, 3, 4, 4, 6, 2, 5]).view([2, 4]);
        for rows in [3..7, 0..2, 7..9, 0..9] {
            let values = Tensor::randn([9, 4], float);
            let whole = TokenRows::new(values.copy().set_requires_grad(true));
            let mut part = TokenRows::new(values);
            part.take_out(rows.clone()).unwrap();
            let leaf = part.own().unwrap().leaf.shallow_clone().set_requires_grad(true);
            let loss = |of: &TokenRows| {
                let read = of.of_ids(&ids).unwrap();
                let products = of.products(&states, Kind::Float).unwrap();
                assert_eq!((read.size(), products.size()), (vec![2, 4, 4], vec![5, 9]));
                read.sin().sum(Kind::Float) + products.cos().sum(Kind::Float)
            };
            let (expected, found) = (loss(&whole), loss(&part));
            assert!((expected.double_value(&[]) - found.double_value(&[])).abs() < 1e-5);
            expected.backward();
            found.backward();
            let expected = whole.weight().grad().narrow(0, rows.start, rows.end - rows.start);
            assert!(f64::try_from((leaf.grad() - expected).abs().max()).unwrap() < 1e-5);
            assert!(!part.weight().requires_grad());
            // An update of the leaf is one of the matrix.
            let _ = tch::no_grad(|| leaf.shallow_clone().fill_(2.5));
            let row = part.weight().get(rows.start);
            assert!(f64::try_from((row - 2.5).abs().max()).unwrap() < 1e-12);
        }
        let mut part = TokenRows::new(Tensor::randn([9, 4], float));
        assert!(part.take_out(3..10).is_err() && part.take_out(3..3).is_err());
    }
}
