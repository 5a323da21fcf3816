//! Collaborative Semantic IDs against scikit-learn, against all cuts of small graphs, and their laws.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::collections::{BTreeMap, BTreeSet};

use ndarray::Axis;
use proptest::collection::vec;
use proptest::prelude::*;
use serde::Deserialize;
use sidereal_quantizer::{QuantizerError, Spectral, SpectralParams};
use sidereal_sid::{Code, ItemId};

#[derive(Deserialize)]
struct Fixture {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    items: u32,
    groups: u32,
    clusters: usize,
    labels: Vec<u32>,
    sklearn: bool,
}

/// The pairs of `parity/spectral.py`.
fn pairs(items: u32, groups: u32) -> Vec<Vec<ItemId>> {
    let mut pairs = Vec::new();
    for i in 0..items * 6 {
        let first = (i * 7919 + 13) % items;
        let second = if i % 7 == 0 {
            (i * 104_729 + 5) % items
        } else {
            let near = (first + groups * (1 + (i * 31) % 5)) % items;
            near - near % groups + first % groups
        };
        if second < items && first != second {
            pairs.push(vec![ItemId(first), ItemId(second)]);
        }
    }
    pairs
}

/// The first codes, one level of `clusters`.
fn level(model: &Spectral) -> Vec<Code> {
    model.codes().column(0).to_vec()
}

#[test]
fn clusters_are_those_of_scikit_learn() {
    let text = include_str!("parity/spectral.json");
    let fixture: Fixture = serde_json::from_str(text).unwrap();
    for case in fixture.cases {
        assert!(case.sklearn);
        let params = SpectralParams::new([case.clusters], 1, 3);
        let model = params.fit(case.items as usize, &pairs(case.items, case.groups)).unwrap();
        // The numbers of the clusters are arbitrary.
        let found = level(&model);
        let both: BTreeSet<(Code, u32)> =
            found.iter().copied().zip(case.labels.iter().copied()).collect();
        let ours: BTreeSet<Code> = found.iter().copied().collect();
        let theirs: BTreeSet<u32> = case.labels.iter().copied().collect();
        assert_eq!((both.len(), ours.len()), (theirs.len(), theirs.len()), "{} items", case.items);
    }
}

/// Σ over both sides of cut / volume.
fn normalised_cut(weights: &[Vec<f64>], side: &[bool]) -> f64 {
    let sum = |own: bool, other: Option<bool>| -> f64 {
        let inside = |j: usize| other.is_none_or(|other| side[j] == other);
        let rows = weights.iter().enumerate().filter(|(i, _)| side[*i] == own);
        rows.map(|(_, row)| {
            row.iter().enumerate().filter(|(j, _)| inside(*j)).map(|(_, w)| w).sum::<f64>()
        })
        .sum()
    };
    [true, false].map(|own| sum(own, Some(!own)) / sum(own, None)).iter().sum()
}

#[test]
fn two_clusters_are_the_least_normalised_cut_of_all() {
    // Two groups of unequal sizes, joined by a few users.
    for (size, other, bridges) in [(4u32, 6u32, 1u32), (5, 5, 2), (3, 8, 1)] {
        let nodes = size + other;
        let mut sequences = Vec::new();
        for start in 0..size {
            sequences.push(vec![ItemId(start), ItemId((start + 1) % size)]);
            sequences.push(vec![ItemId(start), ItemId((start + 2) % size)]);
        }
        for start in 0..other {
            for step in 1..4 {
                let place = |at: u32| ItemId(size + at % other);
                sequences.push(vec![place(start), place(start + step)]);
            }
        }
        for bridge in 0..bridges {
            sequences.push(vec![ItemId(bridge), ItemId(size + bridge)]);
        }
        let n = nodes as usize;
        let mut weights = vec![vec![0.0; n]; n];
        for pair in sequences.iter().filter(|pair| pair[0] != pair[1]) {
            weights[pair[0].index()][pair[1].index()] += 1.0;
            weights[pair[1].index()][pair[0].index()] += 1.0;
        }
        let model = SpectralParams::new([2], 1, 3).fit(n, &sequences).unwrap();
        let first = level(&model);
        let found: Vec<bool> = first.iter().map(|code| *code == first[0]).collect();
        // Item 0 is on the one side.
        let least = (0..(1u32 << (nodes - 1)) - 1)
            .map(|mask| {
                let side: Vec<bool> =
                    (0..nodes).map(|i| i == 0 || mask >> (i - 1) & 1 == 1).collect();
                (normalised_cut(&weights, &side), side)
            })
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .unwrap();
        assert_eq!(found, least.1, "{size} and {other}");
    }
}

/// Users who choose within groups of `inner` items, at times within groups of `outer` of these.
fn nested(inner: u32, outer: u32, groups: u32) -> Vec<Vec<ItemId>> {
    let mut sequences = Vec::new();
    for group in 0..groups {
        let start = group * inner;
        for user in 0..inner {
            let at = |step: u32| ItemId(start + (user + step) % inner);
            sequences.push(vec![at(0), at(1), at(2)]);
            sequences.push(vec![at(0), at(3)]);
        }
        // A bridge to the next inner group of the same outer group.
        let next = group - group % outer + (group + 1) % outer;
        for step in 0..2 {
            sequences.push(vec![ItemId(start + step), ItemId(next * inner + step + 1)]);
        }
    }
    for group in 0..groups {
        let far = (group + outer) % groups;
        if group % outer == 0 {
            sequences.push(vec![ItemId(group * inner), ItemId(far * inner)]);
        }
    }
    sequences
}

#[test]
fn groups_within_groups_share_their_codes() {
    // Three groups of three groups of eight items.
    let sequences = nested(8, 3, 9);
    let model = SpectralParams::new([3, 3, 3], 8, 3).fit(72, &sequences).unwrap();
    assert_eq!(model.sizes(), [3, 3, 8]); // no cluster needs a third level
    assert_eq!(model.num_crowded(), 0);
    for (i, one) in model.codes().axis_iter(Axis(0)).enumerate() {
        for (j, two) in model.codes().axis_iter(Axis(0)).enumerate() {
            assert_eq!(one[0] == two[0], i / 24 == j / 24, "{i} {j}");
            assert_eq!(one[0] == two[0] && one[1] == two[1], i / 8 == j / 8, "{i} {j}");
        }
    }
    assert_eq!(model.catalog().unwrap().num_sids(), 72);
    // What may not be divided again is counted.
    let model = SpectralParams::new([3], 8, 3).fit(72, &sequences).unwrap();
    assert_eq!((model.sizes(), model.num_crowded()), (&[3, 24][..], 72));
}

#[test]
fn items_that_no_user_chose_fill_the_smallest_clusters() {
    let mut sequences = nested(6, 1, 2);
    sequences.push(vec![ItemId(3)]);
    // Items 12 to 17 have no neighbours.
    let model = SpectralParams::new([2], 9, 3).fit(18, &sequences).unwrap();
    let first = level(&model);
    let sizes = [0, 1].map(|code| first.iter().filter(|other| **other == code).count());
    assert_eq!(sizes, [9, 9]);
    // Without any edge there are equal parts.
    let none: [Vec<ItemId>; 0] = [];
    let model = SpectralParams::new([4, 4], 3, 3).fit(12, &none).unwrap();
    assert_eq!((model.sizes(), model.num_crowded()), (&[4, 3][..], 0));
}

#[test]
fn more_components_than_clusters_stay_whole() {
    // Five groups of eight items that no user joins, in three clusters.
    let of_group = |group: u32| (0..8).map(move |item| ItemId(item * 5 + group));
    let sequences: Vec<Vec<ItemId>> = (0..5).map(|group| of_group(group).collect()).collect();
    for largest in [8, 4] {
        let model = SpectralParams::new([3, 3], largest, 3).fit(40, &sequences).unwrap();
        assert_eq!(model.sizes()[..2], [3, 3]);
        let prefix = |item: u32| {
            let codes = model.codes().row(item as usize);
            (codes[0], codes[1])
        };
        for group in 0..5 {
            let first: BTreeSet<Code> = of_group(group).map(|item| prefix(item.0).0).collect();
            assert_eq!(first.len(), 1, "{group}");
            let both: BTreeSet<_> = of_group(group).map(|item| prefix(item.0)).collect();
            assert!(largest < 8 || both.len() == 1, "{group}");
        }
        let leaves: BTreeSet<_> = (0..40).map(prefix).collect();
        assert!(leaves.len() >= 5, "{leaves:?}");
    }
}

fn sequences() -> impl Strategy<Value = (usize, Vec<Vec<ItemId>>)> {
    (1u32..60).prop_flat_map(|items| {
        let sequence = vec((0..items).prop_map(ItemId), 0..6);
        (Just(items as usize), vec(sequence, 0..80))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_item_has_a_semantic_id_and_clusters_keep_their_size_or_are_counted(
        (items, sequences) in sequences(),
        sizes in vec(2usize..6, 1..4),
        largest in 1usize..12,
        regulariser in prop_oneof![Just(0.0), Just(0.5)],
    ) {
        let params =
            SpectralParams::new(sizes.clone(), largest, 1).with_regulariser(regulariser);
        let model = params.fit(items, &sequences).unwrap();
        let levels = model.sizes().len() - 1;
        prop_assert!(levels <= sizes.len() && model.sizes()[..levels] == sizes[..levels]);
        let mut clusters: BTreeMap<Vec<Code>, Vec<Code>> = BTreeMap::new();
        for codes in model.codes().axis_iter(Axis(0)) {
            for (code, size) in codes.iter().zip(model.sizes()) {
                prop_assert!(usize::from(*code) < *size);
            }
            let prefix = codes.iter().take(levels).copied().collect();
            clusters.entry(prefix).or_default().push(codes[levels]);
        }
        let mut crowded = 0;
        for numbers in clusters.values() {
            prop_assert!(numbers.iter().copied().eq((0..).take(numbers.len())), "{numbers:?}");
            crowded += if numbers.len() > largest { numbers.len() } else { 0 };
        }
        prop_assert_eq!(model.num_crowded(), crowded);
        prop_assert_eq!(model.catalog().unwrap().num_sids(), items);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        prop_assert_eq!(pool.install(|| params.fit(items, &sequences).unwrap()), model);
    }
}

#[test]
fn settings_outside_their_range_are_refused() {
    let fit = |params: SpectralParams| params.fit(3, &[vec![ItemId(0)]]).unwrap_err();
    assert!(matches!(fit(SpectralParams::new([], 2, 0)), QuantizerError::Sizes(_)));
    let error = fit(SpectralParams::new([2], 0, 0)).to_string();
    assert_eq!(error, "largest must be at least 1, but it is 0");
    for regulariser in [-0.1, f64::NAN, f64::INFINITY] {
        let error = fit(SpectralParams::new([2], 2, 0).with_regulariser(regulariser)).to_string();
        assert!(error.contains("regulariser must be"), "{error}");
    }
    let params = SpectralParams::new([2], 2, 0);
    let error = params.fit(3, &[vec![ItemId(3)]]).unwrap_err().to_string();
    assert!(error.contains("outside the catalogue of 3 items"), "{error}");
    let none = params.fit(0, &[vec![]]);
    assert!(matches!(none, Err(QuantizerError::EmptyMatrix { .. })));
    let read: SpectralParams =
        serde_json::from_str(r#"{"seed":7,"codebook_sizes":[20,20],"largest":500}"#).unwrap();
    assert_eq!(read, SpectralParams::new([20, 20], 500, 7));
}
