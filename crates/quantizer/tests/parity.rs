//! Residual k-means from given centroids against scikit-learn; `parity/lloyd.py` made the values.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::ops::ControlFlow;

use linfa::ParamGuard;
use ndarray::Array2;
use serde::Deserialize;
use sidereal_quantizer::{Codebooks, FitStep, RqKMeans};

#[derive(Deserialize)]
struct Reference {
    n: usize,
    d: usize,
    k: usize,
    iterations: usize,
    levels: Vec<Level>,
    stopped: Stopped,
}

#[derive(Deserialize)]
struct Level {
    first: Vec<f32>,
    steps: Vec<Step>,
    centroids: Vec<f64>,
    labels: Vec<u16>,
    inertia: f64,
}

#[derive(Deserialize)]
struct Step {
    inertia: f64,
}

#[derive(Deserialize)]
struct Stopped {
    tolerance: f64,
    iterations: usize,
    inertia: f64,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("parity/lloyd.json")).unwrap()
}

#[allow(clippy::cast_possible_truncation, reason = "the rows are f32")]
fn rows(reference: &Reference) -> Array2<f32> {
    Array2::from_shape_fn((reference.n, reference.d), |(i, d)| {
        let group = ((i * 7) % 11) as f64;
        let wave = (0.61 * (i * (d + 1)) as f64 + 0.2 * d as f64).sin();
        ((1.3 * group + 0.7 * d as f64).sin() + 0.4 * wave) as f32
    })
}

fn first(reference: &Reference) -> Vec<Array2<f32>> {
    let shape = (reference.k, reference.d);
    let levels = reference.levels.iter();
    levels.map(|level| Array2::from_shape_vec(shape, level.first.clone()).unwrap()).collect()
}

/// Sums of squares agree to f32 rounding of the rows, 6e-8 relative each, in a sum of 7200.
const RELATIVE: f64 = 1e-6;

#[test]
fn iterations_equal_those_of_scikit_learn() {
    let reference = reference();
    let mut inertia = vec![Vec::new(); reference.levels.len()];
    let model = RqKMeans::params(vec![reference.k; reference.levels.len()], 0)
        .max_iterations(reference.iterations)
        .tolerance(0.0)
        .check()
        .unwrap()
        .fit_from(
            &Codebooks::new(first(&reference)).unwrap(),
            rows(&reference).view(),
            &mut |step: &FitStep| {
                inertia[step.level].push(step.inertia);
                ControlFlow::Continue(())
            },
        )
        .unwrap();
    for (l, level) in reference.levels.iter().enumerate() {
        assert_eq!(model.codes().column(l).to_vec(), level.labels, "labels of level {l}");
        for (found, expected) in model.codebooks().level(l).unwrap().iter().zip(&level.centroids) {
            assert!((f64::from(*found) - expected).abs() < 1e-5, "level {l}: {found} {expected}");
        }
        assert!((model.levels()[l].inertia / level.inertia - 1.0).abs() < RELATIVE);
        // scikit-learn's inertia after i iterations is that of our observer's iteration i + 1.
        for (i, (found, expected)) in inertia[l].iter().skip(1).zip(&level.steps).enumerate() {
            let expected = expected.inertia;
            assert!((found / expected - 1.0).abs() < RELATIVE, "{l} {i}: {found} {expected}");
        }
    }
}

#[test]
fn the_tolerance_stops_where_that_of_scikit_learn_does() {
    let reference = reference();
    let model = RqKMeans::params([reference.k], 0)
        .max_iterations(300)
        .tolerance(reference.stopped.tolerance)
        .check()
        .unwrap()
        .fit_from(
            &Codebooks::new(first(&reference)[..1].to_vec()).unwrap(),
            rows(&reference).view(),
            &mut |_: &FitStep| ControlFlow::Continue(()),
        )
        .unwrap();
    assert_eq!(model.levels()[0].iterations, reference.stopped.iterations);
    assert!((model.levels()[0].inertia / reference.stopped.inertia - 1.0).abs() < RELATIVE);
}
