//! The last layer at some places only, because nothing reads its states at the others.

use tch::Tensor;

use super::packed::Packed;
use super::span::{Reading, Span};
use super::{Decoder, Layer};
use crate::PolicyError;
use crate::cache::TokenBatch;
use crate::models::rotary::rotate;
use crate::score::sequences::{LowerStates, Place};
use crate::sizes::to_usize;
use crate::tensor::cast;
use crate::weights::to_i64;

/// Places in the form that the last layer needs.
pub(super) struct Picked {
    /// Of each place among the rows of all spans' states, one span after the other, `[N]`.
    states: Tensor,
    /// Its position, `[N]`.
    positions: Tensor,
    /// Of each cell of a grid `[U, M]` with a row for each of the batch, the place, `[U·M]`; cells
    /// beyond a row's places repeat some place.
    cells: Tensor,
    /// Of each place its cell, `[N]`.
    slots: Tensor,
    /// `M`, the largest number of places of a row.
    most: i64,
}

impl Picked {
    /// Lays out places of `rows` rows of `len` tokens, of which all rows share the first `shared`. What follows those
    /// may be packed.
    fn new(
        places: &[Place],
        [rows, len, shared]: [usize; 3],
        packed: Option<&Packed>,
        device: tch::Device,
    ) -> Result<Self, PolicyError> {
        if places.is_empty() {
            return Err(PolicyError::Empty { what: "the list of places" });
        }
        let needed = |of: fn(&Place) -> usize| places.iter().map(of).max().map_or(0, |n| n + 1);
        let sizes = [
            ("rows of a batch that a place needs", needed(|place| place.row), rows),
            ("positions of a batch that a place needs", needed(|place| place.position), len),
        ];
        for (what, found, expected) in sizes {
            if found > expected {
                return Err(PolicyError::Size { what, found, expected });
            }
        }
        if let Some(packed) = packed {
            let length = |place: &Place| shared + packed.lens[place.row];
            if let Some(place) = places.iter().find(|place| place.position >= length(place)) {
                let what = "tokens of a row that a place needs";
                let (found, expected) = (place.position + 1, length(place));
                return Err(PolicyError::Size { what, found, expected });
            }
        }
        let mut of_rows = vec![Vec::new(); rows];
        for (index, place) in places.iter().enumerate() {
            of_rows[place.row].push(index);
        }
        // Without rows there are no places.
        let most = of_rows.iter().map(Vec::len).max().unwrap_or(0);
        let (mut cells, mut slots) = (vec![0; rows * most], vec![0; places.len()]);
        for (row, of_row) in of_rows.iter().enumerate() {
            for (column, index) in of_row.iter().enumerate() {
                cells[row * most + column] = to_i64(*index);
                slots[*index] = to_i64(row * most + column);
            }
        }
        let state = |place: &Place| {
            let start =
                packed.map_or(place.row * (len - shared), |packed| packed.starts[place.row]);
            let own = start + place.position;
            to_i64(if place.position < shared { place.position } else { own })
        };
        let tensor = |values: &[i64]| Tensor::from_slice(values).to_device(device);
        let positions: Vec<i64> = places.iter().map(|place| to_i64(place.position)).collect();
        Ok(Self {
            states: tensor(&places.iter().map(state).collect::<Vec<i64>>()),
            positions: tensor(&positions),
            cells: tensor(&cells),
            slots: tensor(&slots),
            most: to_i64(most),
        })
    }
}

impl Decoder {
    /// Hidden states `[N, D]` at `places` only, in their order. They are those of
    /// [`forward`](Self::forward), but the last layer is not computed at other places, forward and
    /// backward. This saves most for a policy with few layers that learns a few tokens of a long
    /// prompt.
    ///
    /// `dropout` is as in [`forward`](Self::forward); in the last layer it only applies to these
    /// places.
    ///
    /// # Errors
    /// Those of [`forward`](Self::forward); [`PolicyError::Empty`] for no places,
    /// [`PolicyError::Size`] for one outside the batch.
    pub fn forward_at(
        &self,
        tokens: &TokenBatch,
        places: &[Place],
        dropout: f64,
    ) -> Result<Tensor, PolicyError> {
        self.forward_above(tokens, None, places, dropout)
    }

    /// As [`forward_at`](Self::forward_at), above the states of lower layers if they are given. Padding is left out.
    pub(super) fn forward_above(
        &self,
        tokens: &TokenBatch,
        lower: Option<LowerStates<'_>>,
        places: &[Place],
        dropout: f64,
    ) -> Result<Tensor, PolicyError> {
        let (layers, states) = self.above(tokens, lower)?;
        let mut spans = self.spans(tokens, Reading { dropout, states, pack: true })?;
        let picked = Self::pick(tokens, &spans, places)?;
        let Some((last, layers)) = layers.split_last() else {
            return Err(PolicyError::Empty { what: "the list of layers" });
        };
        for layer in layers {
            let _ = self.read_layer(layer, &mut spans, dropout)?;
        }
        let (states, _) = self.read_last_layer(last, &spans, &picked, dropout)?;
        self.normalise(&states, &self.norm)
    }

    /// Places of a batch that was divided into these spans.
    pub(super) fn pick(
        tokens: &TokenBatch,
        spans: &[Span],
        places: &[Place],
    ) -> Result<Picked, PolicyError> {
        let shared = if spans.len() > 1 { spans[0].len() } else { 0 };
        let packed = spans.last().and_then(|span| span.packed.as_deref());
        let [rows, len] = tokens.shape()?;
        let sizes = [to_usize(rows)?, to_usize(len)?, to_usize(shared)?];
        Picked::new(places, sizes, packed, tokens.ids.device())
    }

    /// As [`read_layer`](Self::read_layer) for the last layer: only the picked places go through
    /// it, `[N, D]`, with keys and values of all positions.
    pub(super) fn read_last_layer(
        &self,
        layer: &Layer,
        spans: &[Span],
        picked: &Picked,
        dropout: f64,
    ) -> Result<(Tensor, (Tensor, Tensor)), PolicyError> {
        let mut seen: Option<(Tensor, Tensor)> = None;
        let (mut x, mut normed) = (Vec::new(), Vec::new());
        for span in spans {
            let of_span = self.normalise(&span.x, &layer.input_norm)?;
            seen = Some(self.turned_keys(layer, &of_span, span, seen.take())?);
            x.push(span.x.flatten(0, 1));
            normed.push(of_span.flatten(0, 1));
        }
        let (k, v) = seen.ok_or(PolicyError::Empty { what: "the list of spans" })?;
        let at = |parts: &[Tensor]| match parts {
            [whole] => whole.f_index_select(0, &picked.states),
            parts => Tensor::f_cat(parts, 0)?.f_index_select(0, &picked.states),
        };
        let (x, normed) = (at(&x)?, at(&normed)?); // [N, D]
        let turn = |table: &Tensor| -> Result<Tensor, PolicyError> {
            Ok(cast(&table.f_index_select(0, &picked.positions)?, self.kind)?.unsqueeze(1))
        };
        let (cos, sin) = (turn(&self.rotary.0)?, turn(&self.rotary.1)?); // [N, 1, hd]
        let q = rotate(&self.queries(layer, &normed, &[x.size()[0]])?, &cos, &sin); // [N, H, hd]
        let (rows, len) = (k.size()[0], k.size()[2]);
        let grid = |t: &Tensor| t.f_index_select(0, &picked.cells);
        let [heads, dim] = [q.size()[1], q.size()[2]];
        let q = grid(&q)?.f_view([rows, picked.most, heads, dim])?.transpose(1, 2); // [U, H, M, hd]
        let positions = grid(&picked.positions)?.f_view([rows, 1, picked.most, 1])?;
        let keys = Tensor::f_arange(len, (positions.kind(), positions.device()))?;
        let before = keys.f_less_equal_tensor(&positions)?; // [U, 1, M, T]
        let attended = self.attend(&q, &k, &v, Some(&before))?;
        let attended = attended.transpose(1, 2).f_reshape([rows * picked.most, heads * dim])?;
        let attended = attended.f_index_select(0, &picked.slots)?; // [N, H·hd]
        Ok((self.finish_layer(layer, &x, &attended, dropout)?, (k, v)))
    }
}
