//! Item neighbours and EASE against their equations with dense matrices, and places against scores.
#![allow(clippy::unwrap_used, reason = "a failed test may panic, in its helpers too")]

mod sequences;

use proptest::prelude::*;
use serde::Deserialize;
use sidereal_baselines::{
    Ease, EaseConfig, ItemNeighbours, ItemTransition, Neighbours, NeighboursConfig, Recommender,
    Transition, TransitionConfig,
};
use sidereal_metrics::Placement;
use sidereal_sid::ItemId;

use crate::sequences::{NUM_ITEMS, sequences};

/// What `parity/classics.py` wrote.
#[derive(Deserialize)]
struct Reference {
    scores: Vec<Scores>,
}

#[derive(Deserialize)]
struct Scores {
    user: usize,
    decay: f64,
    neighbours: Vec<f64>,
    ease: Vec<f64>,
}

#[test]
fn scores_are_those_of_the_equations() {
    let reference: Reference = serde_json::from_str(include_str!("parity/classics.json")).unwrap();
    assert_eq!(reference.scores.len(), 10);
    let (num_items, sequences) = (NUM_ITEMS as usize, sequences());
    let train: Vec<&[ItemId]> = sequences.iter().map(|s| &s[..s.len() - 2]).collect();
    for Scores { user, decay, neighbours, ease } in &reference.scores {
        let config = NeighboursConfig::default().with_neighbours(8).with_shrinkage(2.0);
        let settings = Neighbours::try_from(config.with_decay(*decay)).unwrap();
        let near = ItemNeighbours::fit(&settings, num_items, &train).unwrap();
        let config = EaseConfig::default().with_l2(5.0).with_decay(*decay);
        let linear = Ease::fit(&config, num_items, &train).unwrap();
        let history = &sequences[*user][..sequences[*user].len() - 1];
        let models: [(&dyn Recommender, _); 2] = [(&near, neighbours), (&linear, ease)];
        for (model, expected) in models {
            let mut scores = vec![9.0; num_items];
            model.score(history, &mut scores).unwrap();
            for (found, expected) in scores.iter().zip(expected) {
                let near = (f64::from(*found) - expected).abs() < 2e-6;
                assert!(near, "user {user}, decay {decay}: {found} {expected}");
            }
        }
    }
}

#[test]
fn another_decay_needs_no_other_matrix() {
    let train = sequences();
    let fit = |decay| {
        let config = EaseConfig::default().with_decay(decay);
        Ease::fit(&config, NUM_ITEMS as usize, &train).unwrap()
    };
    assert_eq!(fit(1.0).with_decay(0.5).unwrap(), fit(0.5));
    assert!(fit(1.0).with_decay(0.0).is_err());
}

#[test]
fn settings_of_neighbours_outside_their_range_are_refused() {
    for json in [
        r#"{"neighbours":0}"#,
        r#"{"shrinkage":-1}"#,
        r#"{"decay":0}"#,
        r#"{"decay":1.5}"#,
        r#"{"neighbour":5}"#,
    ] {
        assert!(serde_json::from_str::<Neighbours>(json).is_err(), "{json}");
    }
}

fn ids(max: usize) -> impl Strategy<Value = Vec<ItemId>> {
    prop::collection::vec((0..12_u32).prop_map(ItemId), 0..max)
}

proptest! {
    /// The quick way to a place, which looks at few items, against that over all scores.
    #[test]
    fn the_place_of_a_target_is_that_among_all_scores(
        sequences in prop::collection::vec(ids(7), 1..9),
        history in ids(6),
        removed in ids(5),
        target in (0..12_u32).prop_map(ItemId),
        decay in prop::sample::select(vec![0.0, 0.5, 1.0]),
    ) {
        let config = TransitionConfig::default().with_decay(decay).with_window(2);
        let steps = ItemTransition::fit(&Transition::try_from(config).unwrap(), 12, &sequences);
        let config = NeighboursConfig::default().with_neighbours(2).with_decay(decay.max(0.1));
        let near = ItemNeighbours::fit(&Neighbours::try_from(config).unwrap(), 12, &sequences);
        let (steps, near) = (steps.unwrap(), near.unwrap());
        let models: [&dyn Recommender; 2] = [&steps, &near];
        for model in models {
            let mut scores = vec![9.0; 12];
            model.score(&history, &mut scores).unwrap();
            for item in &removed {
                scores[item.index()] = f32::NEG_INFINITY;
            }
            let expected = Placement::from_scores(&scores, target.index()).unwrap();
            let found = model.place(&history, &removed, target, &mut scores).unwrap();
            prop_assert_eq!(found, expected);
        }
    }
}
