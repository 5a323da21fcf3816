//! Item transitions against their equation, computed in fractions by another program.
#![allow(clippy::unwrap_used, reason = "a failed test may panic, in its helpers too")]

use std::num::NonZeroUsize;

use serde::Deserialize;
use sidereal_baselines::{
    Case, ItemTransition, Recommender as _, Transition, TransitionConfig, evaluate,
};
use sidereal_metrics::{RankHistogram, SeenItems};
use sidereal_sid::ItemId;

const NUM_ITEMS: u32 = 60;
const NUM_USERS: usize = 200;

/// The sequences of `parity/transition.py`: user `u` has `5 + u mod 9` events, each a step of 0 to 6
/// from the one before it.
fn sequences() -> Vec<Vec<ItemId>> {
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

/// What `parity/transition.py` wrote.
#[derive(Deserialize)]
struct Reference {
    scores: Vec<Scores>,
    metrics: Metrics,
}

#[derive(Deserialize)]
struct Scores {
    user: usize,
    scores: Vec<f64>,
}

/// Hit rate and NDCG at 10.
#[derive(Deserialize)]
struct Metrics {
    kept: (f64, f64),
    removed: (f64, f64),
}

#[test]
fn scores_and_metrics_are_those_of_the_equation() {
    let reference: Reference =
        serde_json::from_str(include_str!("parity/transition.json")).unwrap();
    let sequences = sequences();
    let train: Vec<&[ItemId]> = sequences.iter().map(|s| &s[..s.len() - 2]).collect();
    let settings = Transition::try_from(TransitionConfig::default()).unwrap();
    let model = ItemTransition::fit(&settings, NUM_ITEMS as usize, &train).unwrap();
    assert_eq!(reference.scores.len(), 5);
    for Scores { user, scores: expected } in &reference.scores {
        let history = &sequences[*user][..sequences[*user].len() - 1];
        let mut scores = vec![0.0; NUM_ITEMS as usize];
        model.score(history, &mut scores).unwrap();
        for (found, expected) in scores.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-6, "{user}: {found} {expected}");
        }
    }
    let cases: Vec<Case<'_, usize>> = sequences
        .iter()
        .enumerate()
        .map(|(sample, s)| {
            let history = &s[..s.len() - 1]; // with the validation item
            Case { sample, history, seen: history, target: s[s.len() - 1] }
        })
        .collect();
    let Metrics { kept, removed } = reference.metrics;
    for (seen_items, expected) in [(SeenItems::Kept, kept), (SeenItems::Removed, removed)] {
        let k = NonZeroUsize::new(10).unwrap();
        let mut ranks = RankHistogram::new(k);
        for (_, placement) in evaluate(&model, &cases, seen_items).unwrap().placements() {
            ranks.push(placement);
        }
        let found = (ranks.hit_rate(k).unwrap(), ranks.ndcg(k).unwrap());
        assert!((found.0 - expected.0).abs() < 1e-6, "{seen_items:?}: {found:?} {expected:?}");
        assert!((found.1 - expected.1).abs() < 1e-6, "{seen_items:?}: {found:?} {expected:?}");
    }
}
