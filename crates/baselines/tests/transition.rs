//! Item transitions against their equation, computed in fractions by another program.
#![allow(clippy::unwrap_used, reason = "a failed test may panic, in its helpers too")]

mod sequences;

use std::num::NonZeroUsize;

use serde::Deserialize;
use sidereal_baselines::{
    Case, ItemTransition, Recommender as _, Transition, TransitionConfig, evaluate,
};
use sidereal_metrics::{RankHistogram, SeenItems};
use sidereal_sid::ItemId;

use crate::sequences::{NUM_ITEMS, sequences};

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
