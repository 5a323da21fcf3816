//! Residual quantisation by clusterers from outside: linfa's k-means, which is also the independent
//! reference of this crate's own, and one of this file.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test panics")]

use std::ops::ControlFlow;

use linfa::prelude::*;
use linfa_clustering::{KMeans, KMeansInit};
use ndarray::{Array1, Array2, ArrayBase, Data, Ix2, array};
use sidereal_quantizer::{
    Codebooks, Collisions, FitStep, LinfaKMeansParams, QuantizerConfig, QuantizerError,
    ResidualParams, RqKMeans, RqKMeansParams,
};

/// Rows in 4 groups of 3 groups of 5: centres 100 apart, 10 apart within, points within 0.5.
///
/// Whatever row of each group a k-means begins with, its first assignment is the grouping: the nearest
/// centroid of a row is at most 20 + 1 away, any other at least 80. The grouping is then a fixed point
/// of Lloyd's iterations, and of linfa's, which count the old centroid as one more row of its cluster.
fn grouped() -> Array2<f32> {
    Array2::from_shape_fn((60, 3), |(row, column)| {
        let (coarse, fine, point) = (row / 15, row / 5 % 3, row % 5);
        let at = |on: bool, distance: f32| if on { distance } else { 0.0 };
        let noise = 0.5 * ((row * 3 + column) as f32 * 1.7 + point as f32).sin();
        at(column == coarse % 3, 100.0 + 100.0 * (coarse / 3) as f32)
            + at(column == fine, 10.0)
            + noise
    })
}

#[test]
fn own_k_means_and_linfas_end_in_the_same_centroids_from_the_same_first_ones() {
    let rows = grouped();
    // One row of each coarse group; and, in what is left over, one of each fine group.
    let first = rows.select(ndarray::Axis(0), &[0, 16, 32, 48]);
    let fine = array![[9.0f32, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 9.0]] - 10.0 / 3.0;
    let params = [(4, &first), (3, &fine)].map(|(size, first)| {
        let start = KMeansInit::Precomputed(first.clone());
        let params = KMeans::params(size).n_runs(1).tolerance(1e-6).init_method(start);
        (size, params)
    });
    let theirs = ResidualParams::new(params).fit(rows.view()).unwrap();
    let ours = RqKMeans::params([4, 3], 0).tolerance(0.0).check().unwrap();
    let ours = ours
        .fit_from(&Codebooks::new(vec![first, fine]).unwrap(), rows.view(), &mut |_: &FitStep| {
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(theirs.codes(), ours.codes());
    for level in 0..2 {
        // linfa's own centroids: with 15 or 20 rows a cluster they close all but 1/16 of the distance
        // to the mean in an iteration, and stop where they move by less than 1e-6. Rounding of values
        // up to 220 in f32 is 1.6e-5.
        let (own, codebook) = (theirs.models()[level].centroids(), theirs.codebooks().level(level));
        for (found, expected) in [
            (own.view(), ours.codebooks().level(level).unwrap()),
            (codebook.unwrap(), ours.codebooks().level(level).unwrap()),
        ] {
            let far = (&found - &expected).iter().fold(0f32, |most, d| most.max(d.abs()));
            assert!(far < 1e-4, "level {level}: centroids {far} apart");
        }
        // Mean squared distances, within f32 rounding of squares of rows up to 220: 220² · 6e-8.
        let theirs = f64::from(theirs.models()[level].inertia()) * 60.0;
        let ours = ours.levels()[level].inertia;
        assert!((theirs - ours).abs() < 60.0 * 3e-3, "level {level}: {theirs}, {ours}");
    }
}

#[test]
fn both_k_means_find_the_grouping_by_themselves() {
    let rows = grouped();
    let own = QuantizerConfig::RqKmeans(RqKMeansParams::new([4, 3], 5).restarts(8));
    let linfa = LinfaKMeansParams { restarts: 8, ..LinfaKMeansParams::new([4, 3], 5) };
    for config in [own, QuantizerConfig::LinfaKmeans(linfa)] {
        let quantized = config.fit(rows.view()).unwrap();
        let code = |row: usize| quantized.codes.row(row).to_vec();
        // One code a group: the coarse groups, and the fine ones within each.
        for (a, b) in (0..60).flat_map(|a| (0..60).map(move |b| (a, b))) {
            assert_eq!(code(a)[0] == code(b)[0], a / 15 == b / 15, "{config:?}: {a} {b}");
            assert_eq!(code(a) == code(b), a / 5 == b / 5, "{config:?}: {a} {b}");
        }
        let catalog =
            Collisions::Suffix.catalog(&quantized.codebooks, rows.view(), quantized.codes.view());
        assert_eq!(catalog.unwrap().num_sids(), 60);
    }
}

#[test]
fn the_config_builds_the_same_quantizer() {
    let rows = grouped();
    let params = RqKMeansParams::new([6, 5], 9);
    let direct = params.fit(&DatasetBase::from(rows.view())).unwrap();
    let text = r#"{"method":"rq-kmeans","codebook_sizes":[6,5],"seed":9}"#;
    let config: QuantizerConfig = serde_json::from_str(text).unwrap();
    assert_eq!(config, QuantizerConfig::RqKmeans(params));
    let quantized = config.fit(rows.view()).unwrap();
    assert_eq!((&quantized.codebooks, &quantized.codes), (direct.codebooks(), direct.codes()));
    for wrong in [
        r#"{"method":"rq-means","codebook_sizes":[6],"seed":9}"#,
        r#"{"method":"rq-kmeans","codebook_sizes":[6],"seed":9,"sede":1}"#,
        r#"{"method":"linfa-kmeans","codebook_sizes":[6],"seed":9,"balance":"per-level"}"#,
        r#"{"codebook_sizes":[6],"seed":9}"#,
    ] {
        assert!(serde_json::from_str::<QuantizerConfig>(wrong).is_err(), "{wrong}");
    }
}

/// A clusterer that is nobody's k-means: on which side of its mean a row's column lies.
struct Halves {
    column: usize,
}

struct FittedHalves {
    column: usize,
    mean: f32,
}

#[derive(Debug, thiserror::Error)]
enum HalvesError {
    #[error("there is no column {0}")]
    Column(usize),
    #[error(transparent)]
    Linfa(#[from] linfa::Error),
}

impl<D: Data<Elem = f32>, T> Fit<ArrayBase<D, Ix2>, T, HalvesError> for Halves {
    type Object = FittedHalves;

    fn fit(&self, rows: &DatasetBase<ArrayBase<D, Ix2>, T>) -> Result<FittedHalves, HalvesError> {
        let column = self.column;
        if column >= rows.records().ncols() {
            return Err(HalvesError::Column(column));
        }
        let mean = rows.records().column(column).mean().unwrap_or(0.0);
        Ok(FittedHalves { column, mean })
    }
}

impl<D: Data<Elem = f32>> PredictInplace<ArrayBase<D, Ix2>, Array1<usize>> for FittedHalves {
    fn predict_inplace(&self, rows: &ArrayBase<D, Ix2>, sides: &mut Array1<usize>) {
        let side = |value: &f32| usize::from(*value > self.mean);
        sides.assign(&rows.column(self.column).map(side));
    }

    fn default_target(&self, rows: &ArrayBase<D, Ix2>) -> Array1<usize> {
        Array1::zeros(rows.nrows())
    }
}

#[test]
fn a_clusterer_of_ones_own_makes_semantic_ids() {
    let rows = array![[0.0f32, 0.0], [0.0, 2.0], [8.0, 0.0], [8.0, 2.0]];
    let levels = [(2, Halves { column: 0 }), (3, Halves { column: 1 })];
    let model = ResidualParams::new(levels).fit(rows.view()).unwrap();
    assert_eq!(model.codes(), &array![[0, 0], [0, 1], [1, 0], [1, 1]]);
    // Means of the two sides; what is left over is 1 below and above; the third code is unused and
    // repeats the one before it.
    assert_eq!(model.codebooks().level(0).unwrap(), array![[0.0f32, 1.0], [8.0, 1.0]]);
    let second = array![[0.0f32, -1.0], [0.0, 1.0], [0.0, 1.0]];
    assert_eq!(model.codebooks().level(1).unwrap(), second);
    assert_eq!(model.codebooks().decode(model.codes().view()).unwrap(), rows);
    assert_eq!(model.encode(array![[7.0f32, 9.0]].view()).unwrap(), array![[1, 1]]);
    let wide = model.encode(array![[7.0f32]].view());
    assert!(matches!(wide, Err(QuantizerError::Width { found: 1, expected: 2 })));
}

#[test]
fn what_a_clusterer_does_wrong_is_named_with_its_level() {
    let rows = array![[0.0f32, 0.0], [0.0, 2.0], [8.0, 0.0], [8.0, 2.0]];
    let fit = |levels: [(usize, Halves); 2]| ResidualParams::new(levels).fit(rows.view());
    let Err(error) = fit([(2, Halves { column: 0 }), (2, Halves { column: 7 })]) else {
        panic!("a column that there is not was fitted");
    };
    assert!(matches!(error, QuantizerError::Clusterer { level: 1, .. }), "{error}");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(source, "there is no column 7");
    let Err(error) = fit([(2, Halves { column: 0 }), (1, Halves { column: 1 })]) else {
        panic!("two sides were fitted into one code");
    };
    assert!(matches!(error, QuantizerError::Label { level: 1, row: 1, found: 1, size: 1 }));
    let few = QuantizerConfig::LinfaKmeans(LinfaKMeansParams::new([4, 5], 0)).fit(rows.view());
    assert!(matches!(few, Err(QuantizerError::FewRows { level: 1, size: 5, rows: 4 })));
    let none = LinfaKMeansParams { restarts: 0, ..LinfaKMeansParams::new([2], 0) };
    let none = QuantizerConfig::LinfaKmeans(none).fit(rows.view());
    assert!(matches!(none, Err(QuantizerError::Clusterer { level: 0, .. })));
}
