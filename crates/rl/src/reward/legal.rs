use std::borrow::Borrow;

use sidereal_sid::Catalog;

use crate::{Group, Reward};

/// 1 for a rollout whose Semantic ID belongs to an item of the catalogue, else 0.
///
/// This is the format term of SIDReasoner eq 8, which has a weight of 0.1. Under trie-constrained
/// decoding it is 0 only for a chain that did not close; it matters if answers are free text. `C` is anything that holds a
/// catalogue: a reference, an `Arc`, or the catalogue itself. [`Stepwise`](crate::Stepwise) has an
/// example.
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
