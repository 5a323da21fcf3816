//! Reference values of the metrics, from an independent program.
//!
//! `SIDEREAL_VECTORS=DIR` runs the `metrics.json` of another folder.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde::Deserialize;
use sidereal_metrics::{
    ColdItems, Mean, Metric, auc, entropy, hit_rate, mrr, ndcg, pass_at_k, rank_of,
};

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Case {
    Ranking(Ranking),
    Sampling { samples: usize, correct: usize, k: NonZeroUsize, expected: f64 },
    Auc { scores: Vec<f64>, labels: Vec<u8>, expected: f64 },
}

#[derive(Deserialize)]
struct Ranking {
    ranked: Vec<usize>,
    target: usize,
    k: NonZeroUsize,
    hit: f64,
    ndcg: f64,
    mrr: f64,
    categories: Vec<u32>,
    entropy_nats: f64,
    cold: Vec<usize>,
    cold_hit: Option<f64>,
}

fn vectors() -> Result<Vectors, Box<dyn std::error::Error>> {
    let folder = std::env::var_os("SIDEREAL_VECTORS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/conformance"),
        PathBuf::from,
    );
    let path = folder.join("metrics.json");
    let read = |path| {
        Ok::<_, Box<dyn std::error::Error>>(serde_json::from_str(&std::fs::read_to_string(path)?)?)
    };
    read(&path).map_err(|error| format!("{}: {error}", path.display()).into())
}

fn close(found: f64, expected: f64, case: usize, what: &str) {
    let scale = expected.abs().max(1.0);
    assert!((found - expected).abs() <= 1e-9 * scale, "case {case}: {what} {found}, {expected}");
}

#[test]
fn conformance_metrics() {
    for (i, case) in vectors().unwrap().cases.into_iter().enumerate() {
        match case {
            Case::Ranking(case) => {
                let rank = rank_of(&case.ranked, &case.target);
                close(hit_rate(rank, case.k), case.hit, i, "hit rate");
                close(ndcg(rank, case.k), case.ndcg, i, "ndcg");
                close(mrr(rank, case.k), case.mrr, i, "mrr");
                let labels: Vec<u32> =
                    case.ranked.iter().map(|item| case.categories[*item]).collect();
                close(entropy(&labels, case.k), case.entropy_nats, i, "entropy");
                assert!(entropy(&labels, case.k) <= Metric::Entropy(case.k).max() + 1e-12);
                let num_items = case.categories.len();
                let cold = ColdItems::try_from((num_items, case.cold.as_slice())).unwrap();
                let hit = cold.hit_rate(case.target, rank, case.k);
                assert_eq!(hit.is_some(), case.cold_hit.is_some(), "case {i}: cold hit");
                let (found, expected): (Mean, Mean) =
                    (hit.into_iter().collect(), case.cold_hit.into_iter().collect());
                if let (Some(found), Some(expected)) = (found.value(), expected.value()) {
                    close(found, expected, i, "cold hit");
                }
            }
            Case::Sampling { samples, correct, k, expected } => {
                close(pass_at_k(samples, correct, k).unwrap(), expected, i, "pass");
            }
            Case::Auc { scores, labels, expected } => {
                let labels: Vec<bool> = labels.into_iter().map(|label| label != 0).collect();
                close(auc(&scores, &labels).unwrap(), expected, i, "auc");
            }
        }
    }
}

#[test]
fn conformance_vectors_hold_every_kind_of_case() {
    let cases = vectors().unwrap().cases;
    assert!(cases.iter().any(|case| matches!(case, Case::Ranking(_))));
    assert!(cases.iter().any(|case| matches!(case, Case::Sampling { .. })));
    assert!(cases.iter().any(|case| matches!(case, Case::Auc { .. })));
}
