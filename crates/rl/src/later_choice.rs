//! What a user chose after the history that a prompt shows.

use sidereal_sid::{ItemId, SemanticId};

/// An item that the user of a group chose after the history that the prompt shows, and what the user did
/// with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaterChoice {
    /// The item.
    pub item: ItemId,
    /// Its Semantic ID.
    pub sid: SemanticId,
    /// Behaviours as a set of bits: bit `b` is the behaviour of number `b`.
    pub behaviours: u32,
}

impl LaterChoice {
    /// Whether the user showed the behaviour of this number; there is none from 32 on.
    #[must_use]
    pub fn has(&self, behaviour: u32) -> bool {
        1u32.checked_shl(behaviour).is_some_and(|bit| self.behaviours & bit != 0)
    }
}
