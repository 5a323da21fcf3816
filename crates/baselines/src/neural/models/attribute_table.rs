//! The vectors of attributes, and which items have them.

use tch::{Device, Kind, Tensor};

use crate::neural::NeuralError;
use crate::neural::layers::INITIAL_STD;
use crate::neural::padded::size;
use crate::neural::parameters::Parameters;
use crate::neural::view::Attributes;

/// Vectors of attributes `[A, D]`, and the attributes of each of `N` items.
#[derive(Debug)]
pub(crate) struct AttributeTable {
    /// `[A, D]`.
    pub(crate) vectors: Tensor,
    of_item: Vec<Vec<u32>>,
    /// All items' attributes in one line, and where each item's begin.
    line: Tensor,
    starts: Tensor,
}

impl AttributeTable {
    /// A table with fresh vectors, named `attributes`.
    ///
    /// # Errors
    /// [`NeuralError::Attributes`] without attributes, or with those of another number of items.
    pub(crate) fn new(
        parameters: &mut Parameters,
        model: &'static str,
        num_items: usize,
        attributes: Option<&Attributes>,
        width: usize,
    ) -> Result<Self, NeuralError> {
        let refuse = |problem: String| NeuralError::Attributes { model, problem };
        let attributes = attributes.ok_or_else(|| refuse("none were given".to_owned()))?;
        let of_item = attributes.of_items();
        if of_item.len() != num_items {
            let problem = format!("found those of {} items, needed {num_items}", of_item.len());
            return Err(refuse(problem));
        }
        if attributes.count() == 0 {
            return Err(refuse("no item has a category or a brand".to_owned()));
        }
        let shape = [size(attributes.count()), size(width)];
        let vectors = parameters.normal("attributes", &shape, INITIAL_STD)?;
        let line: Vec<i64> = of_item.iter().flatten().map(|number| i64::from(*number)).collect();
        let starts = of_item.iter().scan(0, |next, own| {
            let start = *next;
            *next += size(own.len());
            Some(start)
        });
        let starts: Vec<i64> = starts.collect();
        let device = parameters.device();
        let here = |values: &[i64]| -> Result<Tensor, NeuralError> {
            Ok(Tensor::f_from_slice(values)?.f_to_device(device)?)
        };
        let (line, starts) = (here(&line)?, here(&starts)?);
        Ok(Self { vectors, of_item: of_item.to_vec(), line, starts })
    }

    /// The mean vector of each item's attributes, `[N, D]`; zero for an item without any.
    pub(crate) fn means(&self) -> Result<Tensor, NeuralError> {
        const MEAN: i64 = 1;
        let found = Tensor::f_embedding_bag(
            &self.vectors,
            &self.line,
            &self.starts,
            false,
            MEAN,
            false,
            None::<&Tensor>,
            false,
        )?;
        Ok(found.0)
    }

    /// Which attributes some items have, `[M, A]` of ones and zeros.
    pub(crate) fn has(
        &self,
        items: &[u32],
        kind: Kind,
        device: Device,
    ) -> Result<Tensor, NeuralError> {
        let width = self.vectors.size2()?.0;
        let (mut rows, mut columns) = (Vec::new(), Vec::new());
        for (row, item) in (0..).zip(items) {
            for attribute in self.of_item.get(*item as usize).into_iter().flatten() {
                rows.push(row * width + i64::from(*attribute));
                columns.push(1.0);
            }
        }
        let found = Tensor::f_zeros([size(items.len()) * width], (kind, device))?;
        let places = Tensor::f_from_slice(&rows)?.f_to_device(device)?;
        let ones = Tensor::f_from_slice(&columns)?.f_to_kind(kind)?.f_to_device(device)?;
        Ok(found.f_index_put(&[Some(places)], &ones, false)?.f_reshape([-1, width])?)
    }
}
