//! Items' log-probabilities with the factors of repeats, whose equations stand in [`super::super::repeats`].
//!
//! ```text
//! log p(i) = log p₀(i) + log r(leaf of i) − log r(root)      r(root) = Σ over the leaves of p₀(leaf) · r(leaf)
//! ```

use rayon::prelude::*;
use sidereal_sid::{ItemId, NodeId, Trie};

use super::super::repeats::leaf_factor;
use super::super::seen::Seen;

/// The mass of seen leaves from which on that of all others is summed: what is left of one would be rounding.
pub(super) const NEARLY_ALL: f64 = 0.9;

/// Changes log-probabilities `[U, N]`, given `w` of each distance and the items of the histories.
pub(in super::super) fn reweigh(trie: &Trie, weights: &[f32], seen: &Seen, all: &mut [f32]) {
    let factors: Vec<f64> = weights.iter().map(|w| f64::from(*w).exp()).collect();
    let items = all.len() / seen.0.len().max(1);
    let users = all.par_chunks_mut(items.max(1)).zip(&seen.0);
    users.for_each(|(of_user, seen)| {
        let leaf = |(item, distance): &(u32, usize)| {
            trie.leaf(ItemId(*item)).map(|leaf| (leaf, factors[*distance]))
        };
        let mut leaves: Vec<(NodeId, f64)> = seen.iter().filter_map(leaf).collect();
        leaves.sort_by_key(|(leaf, _)| *leaf);
        let of_leaf = |same: &[(NodeId, f64)]| {
            let count = trie.items(same[0].0).len();
            (same[0].0, leaf_factor(count, same.iter().map(|(_, factor)| *factor)))
        };
        let leaves: Vec<(NodeId, f64)> = leaves.chunk_by(|a, b| a.0 == b.0).map(of_leaf).collect();
        one(trie, &leaves, of_user);
    });
}

/// Those of one user, `[N]`, given the seen leaves with their `r`.
fn one(trie: &Trie, leaves: &[(NodeId, f64)], of_user: &mut [f32]) {
    let p = |logp: f32| f64::from(logp).exp();
    let items = |(leaf, _): &(NodeId, f64)| trie.items(*leaf).iter().map(|item| item.index());
    let (mut seen, mut whole) = (0.0, 0.0);
    for leaf in leaves {
        let mass: f64 = items(leaf).map(|at| p(of_user[at])).sum();
        seen += mass;
        whole += mass * leaf.1;
    }
    whole += if seen < NEARLY_ALL {
        1.0 - seen
    } else {
        let mut others = of_user.to_vec();
        leaves.iter().flat_map(items).for_each(|at| others[at] = f32::NEG_INFINITY);
        others.into_iter().map(p).sum()
    };
    #[allow(clippy::cast_possible_truncation, reason = "a logarithm of a probability")]
    let log = |x: f64| x.ln() as f32;
    for leaf in leaves {
        items(leaf).for_each(|at| of_user[at] += log(leaf.1));
    }
    let whole = log(whole);
    for logp in of_user.iter_mut() {
        *logp -= whole;
    }
}
