//! What a batch of rows is told: the next item of every place, or the last item of every row.

use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use super::NeuralError;
use super::grouped::groups;
use super::loss::LossKind;
use super::padded::{Padded, without_last};
use super::softmax::Scored;

/// What a target is compared with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Objective {
    pub(crate) kind: LossKind,
    /// Items that are drawn for the losses other than the full softmax.
    pub(crate) negatives: usize,
}

impl Objective {
    /// The mean loss of every item after the first of its row, `[]`.
    ///
    /// # Shapes
    /// - `rows`: `[B]` lists of two items and more
    /// - `items`: `[N, D]`
    /// - `encode`: rows without their last items, and the flat places of their `M` items → `[M, D]`; it is
    ///   called for each group of rows of similar length
    pub(crate) fn of_places(
        self,
        rows: &[&[u32]],
        items: &Tensor,
        rng: &mut ChaCha8Rng,
        mut encode: impl FnMut(&Padded, &Tensor) -> Result<Tensor, NeuralError>,
    ) -> Result<Tensor, NeuralError> {
        let device = items.device();
        let (mut states, mut targets, mut row_of) = (Vec::new(), Vec::new(), Vec::new());
        for group in groups(rows, device) {
            let inputs: Vec<&[u32]> =
                group.iter().map(|at| &rows[*at][..rows[*at].len().saturating_sub(1)]).collect();
            let inputs = Padded::right(&inputs, device)?;
            states.push(encode(&inputs, &inputs.places()?)?);
            for at in group {
                let next = rows[at].iter().skip(1);
                targets.extend(next.map(|item| i64::from(*item)));
                row_of.resize(targets.len(), at);
            }
        }
        let states = Tensor::f_cat(&states, 0)?; // [M, D]
        let targets = Tensor::f_from_slice(&targets)?.f_to_device(device)?; // [M]
        let scored = Scored { states: &states, items, bias: None, targets: &targets };
        scored.loss(self.kind, self.negatives, rows, &row_of, rng)
    }

    /// The mean loss of the last item of every row, `[]`.
    ///
    /// # Shapes
    /// - `rows`: `[B]` lists of one item and more
    /// - `items`: `[N, D]`
    /// - `encode`: rows without their last items → `[B, D]`
    pub(crate) fn of_last(
        self,
        rows: &[&[u32]],
        items: &Tensor,
        rng: &mut ChaCha8Rng,
        encode: impl FnOnce(&[&[u32]]) -> Result<Tensor, NeuralError>,
    ) -> Result<Tensor, NeuralError> {
        let (histories, targets) = without_last(rows, items.device())?;
        let states = encode(&histories)?;
        let scored = Scored { states: &states, items, bias: None, targets: &targets };
        let row_of: Vec<usize> = (0..rows.len()).collect();
        scored.loss(self.kind, self.negatives, rows, &row_of, rng)
    }
}
