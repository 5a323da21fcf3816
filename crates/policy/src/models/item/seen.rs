//! The items that histories hold, with the places where each was chosen last.

use super::pack::Packed;

/// The items of histories, each with the distance of its latest place; no item twice.
#[derive(Debug)]
pub(super) struct Seen(pub(super) Vec<Vec<(u32, usize)>>);

impl Seen {
    /// Those of whole histories.
    pub(super) fn of(packed: &Packed) -> Self {
        let mut rest = packed.items.as_slice();
        let of_history = |len: &usize| {
            let (history, after) = rest.split_at(*len);
            rest = after;
            seen(history)
        };
        Self(packed.lens.iter().map(of_history).collect())
    }

    /// Those of every beginning of the histories, one after the other.
    pub(super) fn of_beginnings(packed: &Packed) -> Self {
        let (mut rest, mut found) =
            (packed.items.as_slice(), Vec::with_capacity(packed.items.len()));
        for len in &packed.lens {
            let (history, after) = rest.split_at(*len);
            rest = after;
            found.extend((1..=*len).map(|end| seen(&history[..end])));
        }
        Self(found)
    }
}

/// The items of a history with the distances of their latest places, by item.
pub(super) fn seen(history: &[u32]) -> Vec<(u32, usize)> {
    let mut found: Vec<(u32, usize)> =
        history.iter().rev().enumerate().map(|(distance, item)| (*item, distance)).collect();
    found.sort_unstable();
    found.dedup_by_key(|(item, _)| *item);
    found
}
