//! Vectors of transitions and principal components: numbers of numpy, and laws.
#![allow(clippy::unwrap_used, reason = "a failed test may panic, in its helpers too")]

use ndarray::{Array2, ArrayView2};
use proptest::collection::vec;
use proptest::prelude::*;
use serde::Deserialize;
use sidereal_baselines::{
    PrincipalComponents, TransitionSvd, TransitionSvdConfig, TransitionVectors, VectorError,
};
use sidereal_sid::ItemId;

/// What `parity/item_vectors.py` wrote.
#[derive(Deserialize)]
struct Reference {
    num_items: usize,
    window: usize,
    damping: f64,
    dimensions: usize,
    sequences: Vec<Vec<ItemId>>,
    singular_values: Vec<f64>,
    cosines: Vec<Vec<f64>>,
    embeddings: Vec<Vec<f32>>,
    rank: usize,
    kept: usize,
    spread: Vec<f64>,
    projected_products: Vec<Vec<f64>>,
    whitened_products: Vec<Vec<f64>>,
    explained: f64,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("parity/item_vectors.json")).unwrap()
}

fn matrix(rows: &[Vec<f32>]) -> Array2<f32> {
    Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
}

/// Products of all rows are those of numpy up to `tolerance`.
fn assert_products(rows: ArrayView2<'_, f32>, expected: &[Vec<f64>], tolerance: f64) {
    let rows = rows.mapv(f64::from);
    for ((i, j), found) in rows.dot(&rows.t()).indexed_iter() {
        let expected = expected[i][j];
        assert!((found - expected).abs() < tolerance, "{i}, {j}: {found}, {expected}");
    }
}

#[test]
fn transition_vectors_are_numpys() {
    let reference = reference();
    let config = TransitionSvdConfig::new(3)
        .with_window(reference.window)
        .with_damping(reference.damping)
        .with_dimensions(reference.dimensions)
        .with_oversampling(8)
        .with_power_iterations(80);
    let settings = TransitionSvd::try_from(config).unwrap();
    let vectors =
        TransitionVectors::fit(&settings, reference.num_items, &reference.sequences).unwrap();
    assert_eq!(vectors.vectors().dim(), (reference.num_items, reference.dimensions));
    for (found, expected) in vectors.singular_values().iter().zip(&reference.singular_values) {
        assert!((found - expected).abs() < 1e-9, "{found}, {expected}");
    }
    // Rows are kept as f32.
    assert_products(vectors.vectors(), &reference.cosines, 2e-6);
}

#[test]
fn principal_components_are_numpys() {
    let reference = reference();
    let embeddings = matrix(&reference.embeddings);
    let components = PrincipalComponents::fit(embeddings.view(), reference.kept).unwrap();
    for (found, expected) in components.singular_values().iter().zip(&reference.spread) {
        assert!((found - expected).abs() < 1e-6 * reference.spread[0], "{found}, {expected}");
    }
    assert!((components.explained() - reference.explained).abs() < 1e-9);
    let projected = components.project(embeddings.view()).unwrap();
    let largest = reference.spread[0].powi(2);
    assert_products(projected.view(), &reference.projected_products, 1e-6 * largest);
    let whitened = components.whiten(embeddings.view()).unwrap();
    assert_products(whitened.view(), &reference.whitened_products, 1e-4);

    // Beyond the rank there is nothing, and nothing is divided by it.
    let all = PrincipalComponents::fit(embeddings.view(), embeddings.ncols()).unwrap();
    let whitened = all.whiten(embeddings.view()).unwrap();
    for (column, values) in whitened.columns().into_iter().enumerate() {
        let spread = values.dot(&values) / embeddings.nrows() as f32;
        let expected = if column < reference.rank { 1.0 / embeddings.ncols() as f32 } else { 0.0 };
        assert!((spread - expected).abs() < 1e-5, "{column}: {spread}");
    }
    assert!((all.explained() - 1.0).abs() < 1e-12);
}

#[test]
fn what_cannot_be_fitted_or_projected_is_named() {
    let rows = Array2::<f32>::zeros((3, 2));
    for dimensions in [0, 3] {
        let refused = PrincipalComponents::fit(rows.view(), dimensions);
        assert!(matches!(refused, Err(VectorError::Setting { field: "dimensions", .. })));
    }
    let components = PrincipalComponents::fit(rows.view(), 1).unwrap(); // no spread at all
    assert!(components.whiten(rows.view()).unwrap().iter().all(|x| *x == 0.0));
    let wide = Array2::<f32>::zeros((1, 3));
    assert!(matches!(
        components.project(wide.view()),
        Err(VectorError::Width { found: 3, expected: 2 })
    ));
    let nan = ndarray::array![[0.0, f32::NAN]];
    assert!(matches!(
        components.project(nan.view()),
        Err(VectorError::NotFinite { row: 0, column: 1, .. })
    ));
    let sequences = [vec![ItemId(0), ItemId(2)]];
    let settings = TransitionSvd::try_from(TransitionSvdConfig::new(0)).unwrap();
    let refused = TransitionVectors::fit(&settings, 2, &sequences);
    assert!(matches!(refused, Err(VectorError::Item { item: ItemId(2), .. })));
    for json in [r#"{"seed":1,"window":0}"#, r#"{"seed":1,"damping":1.5}"#, r#"{"seed":1,"x":0}"#] {
        assert!(serde_json::from_str::<TransitionSvd>(json).is_err(), "{json}");
    }
}

proptest! {
    #[test]
    fn the_order_of_a_sequence_does_not_matter_to_transition_vectors_but_the_distance_does(
        sequences in vec(vec((0u32..9).prop_map(ItemId), 0..8), 1..12), seed: u64,
    ) {
        let config = TransitionSvdConfig::new(seed).with_dimensions(9);
        let settings = TransitionSvd::try_from(config).unwrap();
        let products = |sequences: &[Vec<ItemId>]| {
            let vectors = TransitionVectors::fit(&settings, 9, sequences).unwrap().into_vectors();
            vectors.dot(&vectors.t())
        };
        let reversed: Vec<Vec<ItemId>> =
            sequences.iter().map(|s| s.iter().rev().copied().collect()).collect();
        let gaps = products(&sequences) - products(&reversed);
        prop_assert!(gaps.iter().all(|gap| gap.abs() < 1e-4), "{}", gaps);
    }

    #[test]
    fn full_projections_keep_all_distances(values in vec(-5f32..5.0, 12 * 4)) {
        let rows = Array2::from_shape_vec((12, 4), values).unwrap();
        let projected = PrincipalComponents::fit(rows.view(), 4).unwrap().project(rows.view()).unwrap();
        for i in 0..12 {
            for j in 0..i {
                let square = |m: &Array2<f32>| {
                    let gap = &m.row(i) - &m.row(j);
                    gap.dot(&gap)
                };
                prop_assert!((square(&rows) - square(&projected)).abs() < 1e-2);
            }
        }
    }
}
