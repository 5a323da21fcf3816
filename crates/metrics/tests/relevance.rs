//! Metrics of several relevant items: parity with ranx, laws, and one target as the special case.
#![allow(clippy::unwrap_used, reason = "a failing test panics")]

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use proptest::prelude::*;
use serde::Deserialize;
use sidereal_metrics::{Relevance, hit_rate, mrr, ndcg};

type Of = fn(&Relevance, NonZeroUsize) -> f64;

const METRICS: [(&str, Of); 6] = [
    ("hit_rate", Relevance::hit_rate),
    ("recall", Relevance::recall),
    ("precision", Relevance::precision),
    ("ndcg", Relevance::ndcg),
    ("map", Relevance::average_precision),
    ("mrr", Relevance::mrr),
];

#[derive(Deserialize)]
struct Reference {
    values: BTreeMap<String, Vec<f64>>,
}

/// The lists of `parity/relevance.py`.
fn user(user: usize) -> Relevance {
    let mut ranked: Vec<usize> = (0..31).collect();
    ranked.sort_by_key(|item| (7 * item + 13 * user) % 31);
    let relevant: Vec<usize> = (0..=user % 10).map(|j| (5 * user + 3 * j * j + j) % 31).collect();
    Relevance::of_list(&ranked[..20], &relevant).unwrap()
}

#[test]
fn values_are_those_of_ranx() {
    let reference: Reference = serde_json::from_str(include_str!("parity/relevance.json")).unwrap();
    assert_eq!(reference.values.len(), 30);
    for (name, expected) in &reference.values {
        let (metric, k) = name.split_once('@').unwrap();
        let of = METRICS.iter().find(|(name, _)| *name == metric).unwrap().1;
        assert_eq!(expected.len(), 40);
        for (at, expected) in expected.iter().enumerate() {
            let found = of(&user(at), k.parse().unwrap());
            // Both sum a few terms in f64.
            assert!((found - expected).abs() < 1e-12, "{name}, user {at}: {found}, {expected}");
        }
    }
}

fn n(value: usize) -> NonZeroUsize {
    NonZeroUsize::new(value).unwrap()
}

/// Some of 12 items relevant, at least one; the first 0 to 12 of them in any order ranked.
fn case() -> impl Strategy<Value = (Vec<u32>, Vec<u32>)> {
    let items: Vec<u32> = (0..12).collect();
    let relevant = prop::sample::subsequence(items.clone(), 1..=12);
    (Just(items).prop_shuffle(), 0..=12usize, relevant)
        .prop_map(|(ranked, len, relevant)| (ranked[..len].to_vec(), relevant))
}

proptest! {
    #[test]
    fn with_one_target_each_metric_is_that_of_one_target(
        rank in prop::option::of(1usize..40), k in 1usize..30
    ) {
        let (rank, k) = (rank.map(n), n(k));
        let one = Relevance::new(rank, 1).unwrap();
        let bits = |values: [f64; 5]| values.map(f64::to_bits);
        prop_assert_eq!(
            bits([one.hit_rate(k), one.recall(k), one.ndcg(k), one.mrr(k), one.average_precision(k)]),
            bits([hit_rate(rank, k), hit_rate(rank, k), ndcg(rank, k), mrr(rank, k), mrr(rank, k)])
        );
        prop_assert_eq!(one.precision(k).to_bits(), (hit_rate(rank, k) / k.get() as f64).to_bits());
    }

    #[test]
    fn metrics_lie_in_their_ranges_and_all_but_two_never_fall((ranked, relevant) in case()) {
        let user = Relevance::of_list(&ranked, &relevant).unwrap();
        for (name, of) in METRICS {
            let values: Vec<f64> = (1..=14).map(|k| of(&user, n(k))).collect();
            prop_assert!(values.iter().all(|v| (0.0..=1.0 + 1e-12).contains(v)), "{name} {values:?}");
            // A longer list divides precision by more, and NDCG by a larger ideal.
            if !["precision", "ndcg"].contains(&name) {
                prop_assert!(values.is_sorted(), "{name} {values:?}");
            }
        }
    }

    #[test]
    fn the_order_of_relevant_items_first_is_the_best((ranked, relevant) in case(), k in 1usize..14) {
        let others = ranked.iter().filter(|item| !relevant.contains(item));
        let best: Vec<u32> = relevant.iter().chain(others).copied().collect();
        let (user, best) = (
            Relevance::of_list(&ranked, &relevant).unwrap(),
            Relevance::of_list(&best, &relevant).unwrap(),
        );
        for (name, of) in METRICS {
            prop_assert!(of(&user, n(k)) <= of(&best, n(k)) + 1e-12, "{name}");
        }
        prop_assert!((best.ndcg(n(k)) - 1.0).abs() < 1e-12);
        let most = k.min(relevant.len()) as f64;
        prop_assert!((best.recall(n(k)) - most / relevant.len() as f64).abs() < 1e-12);
        prop_assert!((best.precision(n(k)) - most / k as f64).abs() < 1e-12);
        prop_assert!((best.average_precision(n(k)) - most / relevant.len() as f64).abs() < 1e-12);
    }
}
