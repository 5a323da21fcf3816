//! Sequences from a formula, the same here and in the programs of `parity`.

use sidereal_sid::ItemId;

pub(crate) const NUM_ITEMS: u32 = 60;
const NUM_USERS: usize = 200;

/// The sequences of `parity/transition.py`: user `u` has `5 + u mod 9` events, each a step of 0 to 6
/// from the one before it.
pub(crate) fn sequences() -> Vec<Vec<ItemId>> {
    let mut state = 1_u64;
    let mut draw = |n: u32| {
        state = (state * 1_103_515_245 + 12_345) % (1 << 31);
        u32::try_from(state >> 16).unwrap() % n
    };
    (0..NUM_USERS)
        .map(|user| {
            let mut at = draw(NUM_ITEMS);
            let step = |_| {
                let event = ItemId(at);
                at = (at + draw(7)) % NUM_ITEMS;
                event
            };
            (0..5 + user % 9).map(step).collect()
        })
        .collect()
}
