//! Laws of hierarchical k-means.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::collections::BTreeMap;

use ndarray::{Array1, Array2, Axis};
use proptest::collection::vec;
use proptest::prelude::*;
use sidereal_quantizer::{HierarchicalKMeansParams, Init, QualityReport, QuantizerError};
use sidereal_sid::Code;

/// Few distinct values, so that duplicates and ties are common.
fn rows() -> impl Strategy<Value = Array2<f32>> {
    (1usize..70, 1usize..5).prop_flat_map(|(n, d)| {
        vec(-3i8..=3, n * d).prop_map(move |values| {
            let values = values.into_iter().map(|v| f32::from(v) * 0.5).collect();
            Array2::from_shape_vec((n, d), values).unwrap()
        })
    })
}

fn params() -> impl Strategy<Value = HierarchicalKMeansParams> {
    let capacity = prop_oneof![Just(1.0), Just(1.25), Just(1.5), Just(f64::INFINITY)];
    (vec((1usize..9, capacity), 1..4), any::<u64>(), any::<bool>(), 1usize..6).prop_map(
        |(levels, seed, random, iterations)| {
            HierarchicalKMeansParams::new(levels, seed)
                .with_init(if random { Init::Random } else { Init::KMeansPlusPlus })
                .with_max_iterations(iterations)
        },
    )
}

/// Rows of each prefix of `length` codes.
fn clusters(codes: &Array2<Code>, length: usize) -> BTreeMap<Vec<Code>, Vec<usize>> {
    let mut clusters: BTreeMap<Vec<Code>, Vec<usize>> = BTreeMap::new();
    for (row, codes) in codes.axis_iter(Axis(0)).enumerate() {
        clusters.entry(codes.iter().take(length).copied().collect()).or_default().push(row);
    }
    clusters
}

fn mean(rows: &Array2<f32>, of: &[usize]) -> Array1<f64> {
    rows.select(Axis(0), of).mapv(f64::from).mean_axis(Axis(0)).unwrap()
}

fn square(rows: &Array2<f32>, row: usize, centre: &Array1<f64>) -> f64 {
    (&rows.row(row).mapv(f64::from) - centre).mapv(|x| x * x).sum()
}

proptest! {
    #[test]
    fn clusters_keep_their_capacities_and_leaves_their_order(params in params(), rows in rows()) {
        let model = params.fit(rows.view()).unwrap();
        let codes = model.codes();
        prop_assert_eq!(codes.dim(), (rows.nrows(), params.levels.len() + 1));
        for (codes, size) in codes.axis_iter(Axis(1)).zip(model.sizes()) {
            prop_assert!(codes.iter().all(|code| usize::from(*code) < *size));
        }
        for (level, settings) in params.levels.iter().enumerate() {
            let parents = clusters(codes, level);
            let mut error = 0.0;
            for (prefix, own) in clusters(codes, level + 1) {
                let count = parents[&prefix[..level]].len();
                let parts = settings.codes.min(count);
                let most = (settings.capacity * count as f64 / parts as f64 - 1e-9).ceil();
                prop_assert!(own.len() as f64 <= most.max(1.0), "{prefix:?}: {} of {count}", own.len());
                prop_assert!(usize::from(prefix[level]) < parts);
                let centre = mean(&rows, &own);
                error += own.iter().map(|row| square(&rows, *row, &centre)).sum::<f64>();
            }
            let found = model.squared_errors()[level];
            prop_assert!((found - error).abs() <= 1e-3 * (1.0 + error), "{found} {error}");
        }
        // Clusters within clusters explain more.
        prop_assert!(model.squared_errors().windows(2).all(|e| e[1] <= e[0] + 1e-3));
        let last = clusters(codes, params.levels.len());
        prop_assert_eq!(model.sizes().last().copied(), last.values().map(Vec::len).max());
        for own in last.values() {
            let centre = mean(&rows, own);
            let mut order = own.clone();
            order.sort_by_key(|row| codes[[*row, params.levels.len()]]);
            for (number, row) in order.iter().enumerate() {
                prop_assert_eq!(usize::from(codes[[*row, params.levels.len()]]), number);
            }
            let far: Vec<f64> = order.iter().map(|row| square(&rows, *row, &centre)).collect();
            prop_assert!(far.is_sorted_by(|a, b| *a <= b + 1e-5), "{far:?}");
        }
        let catalog = model.catalog().unwrap();
        prop_assert_eq!(catalog.num_sids(), rows.nrows());
        prop_assert_eq!(QualityReport::from_catalog(&catalog).levels.len(), model.sizes().len());
    }

    #[test]
    fn a_seed_gives_the_same_codes_on_any_number_of_threads(params in params(), rows in rows()) {
        let fit = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| params.fit(rows.view()).unwrap())
        };
        prop_assert_eq!(fit(1), fit(3));
    }
}

#[test]
fn groups_that_lie_apart_are_found_at_both_levels() {
    // Five far places of 8 rows, each of two near places of 4.
    let place = |row: usize, d: usize| {
        let (far, near) = (row % 5, row / 5 % 2);
        let base = if d == far { 100.0 } else { 0.0 };
        base + if d == 5 && near == 1 { 4.0 } else { 0.0 } + (row * (d + 3) % 7) as f32 * 0.01
    };
    let rows = Array2::from_shape_fn((40, 6), |(row, d)| place(row, d));
    for capacity in [1.0, 1.25, f64::INFINITY] {
        let params = HierarchicalKMeansParams::new([(5, capacity), (2, capacity)], 3);
        let model = params.fit(rows.view()).unwrap();
        for (i, one) in model.codes().axis_iter(Axis(0)).enumerate() {
            for (j, two) in model.codes().axis_iter(Axis(0)).enumerate() {
                assert_eq!(one[0] == two[0], i % 5 == j % 5);
                let together = i % 5 == j % 5 && i / 5 % 2 == j / 5 % 2;
                assert_eq!(one[0] == two[0] && one[1] == two[1], together);
            }
        }
        assert_eq!(model.sizes(), [5, 2, 4]);
    }
}

#[test]
fn settings_outside_their_range_are_refused() {
    let rows = Array2::<f32>::zeros((3, 2));
    let fit = |params: HierarchicalKMeansParams| params.fit(rows.view()).unwrap_err();
    let params = || HierarchicalKMeansParams::new([(2, 1.5)], 0);
    assert!(matches!(fit(HierarchicalKMeansParams::new([], 0)), QuantizerError::Sizes(_)));
    assert!(matches!(fit(HierarchicalKMeansParams::new([(0, 1.5)], 0)), QuantizerError::Sizes(_)));
    for capacity in [0.9, f64::NAN] {
        let error = fit(HierarchicalKMeansParams::new([(2, capacity)], 0)).to_string();
        assert_eq!(error, format!("capacity must be a number of at least 1, but it is {capacity}"));
    }
    assert!(matches!(fit(params().with_max_iterations(0)), QuantizerError::MaxIterations));
    let tolerance = fit(params().with_tolerance(f64::NAN));
    assert!(matches!(tolerance, QuantizerError::Tolerance { .. }));
    let none = params().fit(Array2::zeros((0, 2)).view());
    assert!(matches!(none, Err(QuantizerError::EmptyMatrix { .. })));

    let text = r#"{"seed":7,"levels":[{"codes":256,"capacity":1.25},{"codes":8,"capacity":1.5}]}"#;
    let read: HierarchicalKMeansParams = serde_json::from_str(text).unwrap();
    assert_eq!(read, HierarchicalKMeansParams::new([(256, 1.25), (8, 1.5)], 7));
    assert!(serde_json::from_str::<HierarchicalKMeansParams>(r#"{"seed":7,"level":[]}"#).is_err());
}
