use std::borrow::Borrow;

use sidereal_sid::Catalog;

use crate::{Group, Reward};

/// 1 for a rollout whose Semantic ID belongs to an item of the catalogue, else 0.
///
/// SIDReasoner eq 8's format term, where its weight is 0.1. Under trie-constrained decoding it is
/// always 1; it matters where generation is free. `C` is anything that lends a catalogue: a
/// reference, an `Arc`, the catalogue itself. An example stands with [`Stepwise`](crate::Stepwise).
#[derive(Debug, Clone, Copy)]
pub struct Legal<C> {
    catalog: C,
}

impl<C: Borrow<Catalog>> Legal<C> {
    /// The reward for Semantic IDs of this catalogue.
    pub const fn new(catalog: C) -> Self {
        Self { catalog }
    }
}

impl<C: Borrow<Catalog>> Reward for Legal<C> {
    fn score(&self, group: &Group<'_>) -> Vec<f64> {
        let known = |sid| !self.catalog.borrow().items(sid).is_empty();
        group.rollouts().iter().map(|sid| f64::from(u8::from(known(sid)))).collect()
    }
}
