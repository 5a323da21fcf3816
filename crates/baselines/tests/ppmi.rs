//! Collaborative vectors: numbers of numpy, and laws.
#![allow(clippy::unwrap_used, reason = "a failed test may panic, in its helpers too")]

use ndarray::Array2;
use proptest::collection::vec;
use proptest::prelude::*;
use serde::Deserialize;
use sidereal_baselines::{Ppmi, PpmiConfig, PpmiMatrix, PpmiVectors, VectorError};
use sidereal_sid::ItemId;

fn settings(config: PpmiConfig) -> Ppmi {
    Ppmi::try_from(config).unwrap()
}

fn dense(matrix: &PpmiMatrix) -> Array2<f64> {
    let n = matrix.num_items();
    let mut dense = Array2::zeros((n, n));
    for i in 0..n {
        for (j, value) in matrix.row(ItemId(u32::try_from(i).unwrap())) {
            dense[[i, j.index()]] = value;
        }
    }
    dense
}

fn cosines(vectors: &PpmiVectors) -> Array2<f32> {
    vectors.vectors().dot(&vectors.vectors().t())
}

/// What `parity/ppmi.py` wrote.
#[derive(Deserialize)]
struct Reference {
    num_items: usize,
    window: usize,
    context_smoothing: f64,
    dimensions: usize,
    sequences: Vec<Vec<ItemId>>,
    upper_triangle: Vec<(usize, usize, f64)>,
    singular_values: Vec<f64>,
    cosines: Vec<Vec<f32>>,
    cosines_full: Vec<Vec<f32>>,
}

impl Reference {
    fn read() -> Self {
        serde_json::from_str(include_str!("parity/ppmi.json")).unwrap()
    }

    fn config(&self) -> PpmiConfig {
        PpmiConfig::new(11)
            .with_window(self.window)
            .with_context_smoothing(self.context_smoothing)
            .with_dimensions(self.dimensions)
    }

    fn fit(&self, config: PpmiConfig) -> PpmiVectors {
        PpmiVectors::fit(&settings(config), self.num_items, &self.sequences).unwrap()
    }
}

fn assert_cosines(vectors: &PpmiVectors, expected: &[Vec<f32>]) {
    for ((i, j), found) in cosines(vectors).indexed_iter() {
        // Both sides are sums of unit vectors' products, kept as f32.
        assert!((found - expected[i][j]).abs() < 2e-6, "{i}, {j}: {found}, {}", expected[i][j]);
    }
}

#[test]
fn the_matrix_is_numpys() {
    let reference = Reference::read();
    let settings = settings(reference.config());
    let matrix = PpmiMatrix::fit(&settings, reference.num_items, &reference.sequences).unwrap();
    let mut expected = Array2::zeros((reference.num_items, reference.num_items));
    for (i, j, value) in &reference.upper_triangle {
        expected[[*i, *j]] = *value;
        expected[[*j, *i]] = *value;
    }
    let found = dense(&matrix);
    assert!((&found - &expected).iter().all(|gap| gap.abs() < 1e-12));
    assert_eq!(matrix.num_nonzero(), expected.iter().filter(|x| **x > 0.0).count());
}

#[test]
fn leading_singular_values_and_cosines_are_numpys() {
    let reference = Reference::read();
    // Eight of 42 dimensions through 18 directions: truly projected, and iterated to the end.
    let vectors = reference.fit(reference.config().with_power_iterations(60));
    assert_eq!(vectors.singular_values().len(), reference.dimensions);
    for (found, expected) in vectors.singular_values().iter().zip(&reference.singular_values) {
        assert!((found - expected).abs() < 1e-9, "{found}, {expected}");
    }
    assert_cosines(&vectors, &reference.cosines);
}

#[test]
fn all_singular_values_and_cosines_are_numpys_and_further_columns_zero() {
    let reference = Reference::read();
    let vectors = reference.fit(reference.config().with_dimensions(50).with_power_iterations(0));
    assert_eq!(vectors.vectors().dim(), (42, 50));
    let rank = reference.singular_values.iter().filter(|sigma| **sigma > 1e-9).count();
    assert_eq!(vectors.singular_values().len(), rank);
    for (found, expected) in vectors.singular_values().iter().zip(&reference.singular_values) {
        assert!((found - expected).abs() < 1e-9, "{found}, {expected}");
    }
    assert_cosines(&vectors, &reference.cosines_full);
    assert!(vectors.vectors().columns().into_iter().skip(rank).flatten().all(|x| *x == 0.0));
    assert_eq!(vectors.num_zero(), 2); // items 40 and 41, which nobody bought
}

#[test]
fn the_default_iterations_find_the_leading_values_within_a_percent() {
    let reference = Reference::read();
    let vectors = reference.fit(reference.config());
    for (found, expected) in vectors.singular_values().iter().zip(&reference.singular_values) {
        assert!(*found <= expected + 1e-9 && *found > 0.99 * expected, "{found}, {expected}");
    }
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    // Above two blocks of 2,048 rows, so that threads do share the sums.
    let walk = |s: u32| [s * 7, s * 11 + 3, s * s + 1, s / 3].map(|x| ItemId(x % 5000));
    let sequences: Vec<_> = (0..9000).map(walk).collect();
    let settings = settings(PpmiConfig::new(5).with_dimensions(6));
    let fit = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| PpmiVectors::fit(&settings, 5000, &sequences)).unwrap()
    };
    let alone = fit(1);
    assert_eq!(alone, fit(3));
    assert_eq!(alone, fit(8));
    assert!(alone.singular_values().iter().all(|sigma| *sigma > 1.0));
}

#[test]
fn an_item_outside_the_catalogue_is_named() {
    let sequences = [vec![ItemId(0), ItemId(1)], vec![ItemId(1), ItemId(2)]];
    let error = PpmiVectors::fit(&settings(PpmiConfig::new(0)), 2, &sequences).unwrap_err();
    assert!(matches!(error, VectorError::Item { sequence: 1, position: 1, item: ItemId(2), .. }));
    assert_eq!(
        error.to_string(),
        "sequence 1, position 1: item 2 is outside the catalogue of 2 items"
    );
}

#[test]
fn nothing_to_learn_from_gives_zero_rows() {
    let settings = settings(PpmiConfig::new(0).with_dimensions(3));
    for num_items in [0, 1, 4] {
        let none: [Vec<ItemId>; 0] = [];
        let vectors = PpmiVectors::fit(&settings, num_items, &none).unwrap();
        assert_eq!(vectors.vectors(), Array2::<f32>::zeros((num_items, 3)));
        assert!(vectors.singular_values().is_empty());
    }
}

const NUM_ITEMS: u32 = 12;

fn sequences() -> impl Strategy<Value = Vec<Vec<ItemId>>> {
    vec(vec((0..NUM_ITEMS).prop_map(ItemId), 0..9), 0..14)
}

fn config() -> impl Strategy<Value = PpmiConfig> {
    (any::<u64>(), 1usize..7, 0.0f64..=1.0, 0usize..4).prop_map(|(seed, window, alpha, power)| {
        PpmiConfig::new(seed)
            .with_window(window)
            .with_context_smoothing(alpha)
            .with_power_iterations(power)
            .with_dimensions(NUM_ITEMS as usize)
    })
}

fn permuted(sequences: &[Vec<ItemId>], order: &[u32]) -> Vec<Vec<ItemId>> {
    let rename = |item: &ItemId| ItemId(order[item.index()]);
    sequences.iter().map(|items| items.iter().map(rename).collect()).collect()
}

fn order() -> impl Strategy<Value = Vec<u32>> {
    Just((0..NUM_ITEMS).collect::<Vec<_>>()).prop_shuffle()
}

proptest! {
    #[test]
    fn the_matrix_is_symmetric_and_positive(sequences in sequences(), config in config()) {
        let matrix = PpmiMatrix::fit(&settings(config), 12, &sequences).unwrap();
        let dense = dense(&matrix);
        prop_assert_eq!(dense.t(), dense.view()); // to the last bit
        for item in (0..NUM_ITEMS).map(ItemId) {
            prop_assert!(matrix.row(item).all(|(_, value)| value > 0.0 && value.is_finite()));
            prop_assert!(matrix.row(item).is_sorted_by(|a, b| a.0 < b.0));
        }
        prop_assert_eq!(matrix.row(ItemId(NUM_ITEMS)).count(), 0);
    }

    #[test]
    fn rows_have_length_one_or_zero_and_square_sums_are_the_matrix(
        sequences in sequences(), config in config(),
    ) {
        let settings = settings(config);
        let matrix = dense(&PpmiMatrix::fit(&settings, 12, &sequences).unwrap());
        let vectors = PpmiVectors::fit(&settings, 12, &sequences).unwrap();
        for (row, entries) in vectors.vectors().rows().into_iter().zip(matrix.rows()) {
            let expected = if entries.iter().any(|x| *x > 0.0) { 1.0 } else { 0.0 };
            prop_assert!((row.dot(&row) - expected).abs() < 1e-5);
        }
        // Σ σ² is the squared Frobenius norm.
        let squares: f64 = vectors.singular_values().iter().map(|sigma| sigma.powi(2)).sum();
        let norm: f64 = matrix.iter().map(|x| x.powi(2)).sum();
        prop_assert!((squares - norm).abs() <= 1e-9 * norm, "{} {}", squares, norm);
        prop_assert!(vectors.singular_values().is_sorted_by(|a, b| a >= b));
    }

    #[test]
    fn renamed_items_keep_their_vectors_up_to_rotation(
        sequences in sequences(), config in config(), order in order(),
    ) {
        let settings = settings(config);
        let renamed = permuted(&sequences, &order);
        let plain = cosines(&PpmiVectors::fit(&settings, 12, &sequences).unwrap());
        let other = cosines(&PpmiVectors::fit(&settings, 12, &renamed).unwrap());
        for ((i, j), value) in plain.indexed_iter() {
            let there = other[[order[i] as usize, order[j] as usize]];
            prop_assert!((value - there).abs() < 1e-4, "{} {}: {} {}", i, j, value, there);
        }
    }

    #[test]
    fn a_seed_gives_the_same_bits_and_another_the_same_cosines(
        sequences in sequences(), config in config(), seed in any::<u64>(),
    ) {
        let fit = |config| PpmiVectors::fit(&settings(config), 12, &sequences).unwrap();
        let vectors = fit(config.clone());
        prop_assert_eq!(&vectors, &fit(config.clone()));
        let mut other = config;
        other.seed = seed;
        let gaps = cosines(&vectors) - cosines(&fit(other));
        prop_assert!(gaps.iter().all(|gap| gap.abs() < 1e-4), "{}", gaps);
    }
}
