//! Trainings of an RQ-VAE: resuming, schedules, files and errors. The step itself is tested beside
//! its code.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failure here is a failed test")]

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use linfa::ParamGuard;
use linfa::prelude::*;
use ndarray::{Array2, ArrayView2, Axis, array};
use sidereal_quantizer::{
    CodebookSchedule, Collisions, EarlyStop, QualityReport, QuantizerError, RqVae, RqVaeEvaluation,
    RqVaeParams, RqVaeTraining, StopMetric,
};

/// Rows in 12 loose groups.
fn rows(num_rows: usize, width: usize) -> Array2<f32> {
    Array2::from_shape_fn((num_rows, width), |(i, d)| {
        let group = ((i * 31) % 12) as f32;
        (1.7 * group + 0.9 * d as f32).sin() + 0.2 * (0.37 * (i * (d + 3)) as f32).sin()
    })
}

fn params() -> RqVaeParams {
    RqVae::params([8, 6, 5], 7)
        .hidden([16, 12])
        .latent(6)
        .batch_size(32)
        .steps(24)
        .evaluate_every(4)
        .learning_rate(3e-3)
}

/// Trains and returns the model with all evaluations.
fn train(training: RqVaeTraining<'_>) -> (RqVae, Vec<RqVaeEvaluation>) {
    let mut evaluations = Vec::new();
    let model = training
        .run(&mut |evaluation: &RqVaeEvaluation| {
            evaluations.push(evaluation.clone());
            ControlFlow::Continue(())
        })
        .unwrap();
    (model, evaluations)
}

fn fit(params: RqVaeParams, rows: &Array2<f32>) -> (RqVae, Vec<RqVaeEvaluation>) {
    train(RqVaeTraining::new(&params.check().unwrap(), rows.view()))
}

fn refused(params: &RqVaeParams, rows: &Array2<f32>) -> QuantizerError {
    params.fit(&DatasetBase::from(rows.view())).unwrap_err()
}

/// Everything of an evaluation but its speed.
fn curve(evaluations: &[RqVaeEvaluation]) -> Vec<String> {
    let timeless = |evaluation: &RqVaeEvaluation| {
        let text = format!("{evaluation:?}");
        text.split(", steps_per_second").next().unwrap().to_owned()
    };
    evaluations.iter().map(timeless).collect()
}

#[test]
fn a_killed_training_continues_on_the_same_curve_to_the_bit() {
    let rows = rows(150, 10);
    let collaborative = rows.slice(ndarray::s![.., 2..8]).to_owned();
    let params = params()
        .schedule(CodebookSchedule::LayerWise { steps_per_level: 7 })
        .sinkhorn_epsilons([0.0, 0.0, 0.05])
        .sinkhorn_iterations(5)
        .revive_after(5)
        .alignment_weight(0.02)
        .diversity_weight(0.01)
        .diversity_clusters(3)
        .weight_decay(0.01)
        .early_stop(EarlyStop { metric: StopMetric::Reconstruction, patience: 9 })
        .check()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let training = || RqVaeTraining::new(&params, rows.view()).collaborative(collaborative.view());
    let (whole, expected) = train(training());
    assert!(expected.iter().any(|evaluation| evaluation.revived > 0));

    // Stopped after every second evaluation, so that every kind of state is carried over.
    let path = folder.path().join("new folder").join("state");
    let mut found = Vec::new();
    let resumed = loop {
        let mut here = 0;
        let result = training().checkpoint(&path).run(&mut |evaluation: &RqVaeEvaluation| {
            found.push(evaluation.clone());
            here += 1;
            if here == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        match result {
            Err(QuantizerError::Paused { step }) => assert_eq!(step, found.last().unwrap().step),
            result => break result.unwrap(),
        }
    };
    assert_eq!(curve(&found), curve(&expected));
    let bits = |model: &RqVae| -> Vec<u32> {
        let latents = model.embed(rows.view()).unwrap();
        let decoded = model.decode(model.encode(rows.view()).unwrap().view()).unwrap();
        latents.iter().chain(&decoded).map(|v| v.to_bits()).collect()
    };
    assert_eq!(bits(&resumed), bits(&whole));
}

#[test]
fn equal_seeds_give_equal_curves_and_other_seeds_others() {
    let rows = rows(100, 9);
    let curve_of = |seed| {
        let params = RqVae::params([6, 4], seed).hidden([8]).latent(4).batch_size(20).steps(8);
        curve(&fit(params.evaluate_every(4), &rows).1)
    };
    assert_eq!(curve_of(1), curve_of(1));
    assert_ne!(curve_of(1), curve_of(2));
}

#[test]
fn training_lowers_the_loss_and_tells_groups_apart() {
    let rows = rows(600, 12);
    let (model, evaluations) = fit(params().steps(400).evaluate_every(50).batch_size(100), &rows);
    let (first, last) = (evaluations.first().unwrap(), evaluations.last().unwrap());
    assert!(last.losses.total < first.losses.total);
    let mean = rows.mean_axis(Axis(0)).unwrap();
    let variance = (&rows - &mean).mapv(|v| f64::from(v * v)).mean().unwrap();
    assert!(last.reconstruction < 0.3 * variance, "{} of {variance}", last.reconstruction);
    let codes = model.encode(rows.view()).unwrap();
    for (level, size) in model.codebooks().sizes().into_iter().enumerate() {
        assert!(codes.column(level).iter().all(|code| usize::from(*code) < size));
    }
    // The last evaluation judged this very model.
    let report = QualityReport::from_codes(codes.view(), &model.codebooks().sizes()).unwrap();
    assert_eq!(report, last.quality);
    let decoded = model.decode(codes.view()).unwrap();
    let error = (&decoded - &rows).mapv(|v| f64::from(v * v)).mean().unwrap();
    assert!((error / last.reconstruction - 1.0).abs() < 1e-5);
}

#[test]
fn codes_become_a_catalogue_and_a_report_as_those_of_k_means_do() {
    let rows = rows(40, 10);
    let (model, _) = fit(params(), &rows);
    let (codes, latents) = (model.encode(rows.view()).unwrap(), model.embed(rows.view()).unwrap());
    let report = QualityReport::from_codes(codes.view(), &model.codebooks().sizes())
        .and_then(|r| r.with_reconstruction(model.codebooks(), latents.view(), codes.view()))
        .unwrap();
    assert_eq!(report.levels.len(), 3);
    for collisions in [Collisions::Suffix, Collisions::Slot] {
        let catalog = collisions.catalog(model.codebooks(), latents.view(), codes.view()).unwrap();
        assert_eq!(catalog.num_sids(), 40);
    }
}

#[test]
fn levels_join_one_by_one() {
    let schedule = CodebookSchedule::LayerWise { steps_per_level: 8 };
    let (model, evaluations) = fit(params().schedule(schedule), &rows(100, 10));
    let levels: Vec<usize> = evaluations.iter().map(|e| e.quality.levels.len()).collect();
    // Evaluated after 4, 8, … 24 steps; the step after the 8th and the 16th has a level more.
    assert_eq!(levels, [1, 1, 2, 2, 3, 3]);
    assert_eq!(model.codebooks().sizes(), [8, 6, 5]);
}

#[test]
fn dead_codes_are_revived_only_if_asked_for() {
    // Two distinct rows: k-means leaves six of eight codes unused.
    let rows = Array2::from_shape_fn((64, 4), |(i, d)| if (i + d) % 2 == 0 { 1.0 } else { -1.0 });
    let revived = |after| -> usize {
        fit(params().revive_after(after), &rows).1.iter().map(|e| e.revived).sum()
    };
    assert_eq!(revived(0), 0);
    assert_eq!(revived(25), 0, "24 steps never reach the 25th");
    assert!(revived(6) >= 6);
}

#[test]
fn early_stopping_waits_as_long_as_its_patience_and_returns_the_best() {
    // Equal rows always collide: the first evaluation stays the best.
    let rows = Array2::from_elem((64, 5), 0.5);
    let stop = EarlyStop { metric: StopMetric::CollisionRate, patience: 3 };
    let (_, evaluations) = fit(params().early_stop(stop).steps(400), &rows);
    let best: Vec<bool> = evaluations.iter().map(|e| e.best).collect();
    assert_eq!(best, [true, false, false, false]);

    let rows = rows_that_vary();
    let stop = EarlyStop { metric: StopMetric::Reconstruction, patience: 2 };
    let (model, evaluations) = fit(params().early_stop(stop).learning_rate(0.2).steps(400), &rows);
    let best = evaluations.iter().rfind(|e| e.best).unwrap();
    assert!(evaluations.iter().all(|e| e.reconstruction >= best.reconstruction));
    let decoded = model.decode(model.encode(rows.view()).unwrap().view()).unwrap();
    let error = (&decoded - &rows).mapv(|v| f64::from(v * v)).mean().unwrap();
    assert!((error / best.reconstruction - 1.0).abs() < 1e-5);
}

fn rows_that_vary() -> Array2<f32> {
    rows(90, 8)
}

#[test]
fn a_saved_model_loads_back_equal() {
    let rows = rows(50, 10);
    let (model, _) = fit(params(), &rows);
    let folder = tempfile::tempdir().unwrap();
    model.save(folder.path()).unwrap();
    let loaded = RqVae::load(folder.path(), "cpu").unwrap();
    assert_eq!(loaded.codebooks(), model.codebooks());
    assert_eq!(loaded.embed(rows.view()).unwrap(), model.embed(rows.view()).unwrap());
    let codes = model.encode(rows.view()).unwrap();
    assert_eq!(loaded.decode(codes.view()).unwrap(), model.decode(codes.view()).unwrap());
}

#[test]
fn damaged_models_are_refused() {
    let (model, _) = fit(params(), &rows(50, 10));
    let folder = tempfile::tempdir().unwrap();
    model.save(folder.path()).unwrap();
    let tensors = folder.path().join("rq_vae.safetensors");
    let bytes = fs::read(&tensors).unwrap();
    let load = || RqVae::load(folder.path(), "cpu").unwrap_err();
    for len in [0, 4, 50, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&tensors, &bytes[..len]).unwrap();
        let error = load();
        assert!(
            matches!(
                error,
                QuantizerError::TruncatedHeader { .. } | QuantizerError::TruncatedTensor { .. }
            ),
            "{len}: {error}"
        );
    }
    fs::write(&tensors, &bytes).unwrap();
    let spec = folder.path().join("rq_vae.json");
    let write = |hidden: &str, sizes: &str| {
        let text =
            format!(r#"{{"width":10,"hidden":{hidden},"latent":6,"codebook_sizes":{sizes}}}"#);
        fs::write(&spec, text).unwrap();
    };
    write("[16,13]", "[8,6,5]");
    assert!(
        matches!(load(), QuantizerError::TensorKind { tensor, .. } if tensor.starts_with("enc"))
    );
    write("[16,12]", "[8,6]");
    assert!(matches!(load(), QuantizerError::SpecMismatch { .. }));
    write("[16,12]", "8");
    assert!(matches!(load(), QuantizerError::Spec { .. }));
    fs::remove_file(&spec).unwrap();
    assert!(matches!(load(), QuantizerError::Io { .. }));
}

/// A checkpoint of a training of `params()` on `rows` that was stopped.
fn stopped(path: &Path, rows: ArrayView2<'_, f32>) {
    let params = params().check().unwrap();
    let result = RqVaeTraining::new(&params, rows)
        .checkpoint(path)
        .run(&mut |_: &RqVaeEvaluation| ControlFlow::Break(()));
    assert!(matches!(result, Err(QuantizerError::Paused { step: 4 })));
}

#[test]
fn a_checkpoint_of_another_run_is_refused_by_what_differs() {
    let rows = rows(50, 10);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    stopped(&path, rows.view());
    let part = |params: RqVaeParams, rows: &Array2<f32>| {
        let params = params.check().unwrap();
        let result = RqVaeTraining::new(&params, rows.view())
            .checkpoint(&path)
            .run(&mut |_: &RqVaeEvaluation| ControlFlow::Continue(()));
        match result {
            Err(QuantizerError::OtherRun { part, .. }) => part,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(part(params().learning_rate(1e-4), &rows), "settings");
    let mut other = rows.clone();
    other[[3, 3]] += 1.0;
    assert_eq!(part(params(), &other), "rows");
}

#[test]
fn a_damaged_checkpoint_is_refused() {
    let rows = rows(50, 10);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    stopped(&path, rows.view());
    let params = params().check().unwrap();
    let resume = || {
        RqVaeTraining::new(&params, rows.view())
            .checkpoint(&path)
            .run(&mut |_: &RqVaeEvaluation| ControlFlow::Continue(()))
            .unwrap_err()
    };
    let bytes = fs::read(&path).unwrap();
    for len in [0, 7, 300, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&path, &bytes[..len]).unwrap();
        let error = resume();
        assert!(
            matches!(
                error,
                QuantizerError::TruncatedHeader { .. } | QuantizerError::TruncatedTensor { .. }
            ),
            "{len}: {error}"
        );
    }
    // A safetensors file, but of something else.
    let (model, _) = fit(self::params(), &rows);
    model.save(folder.path()).unwrap();
    fs::copy(folder.path().join("rq_vae.safetensors"), &path).unwrap();
    assert!(matches!(resume(), QuantizerError::Checkpoint { .. }));
}

#[test]
fn rows_that_do_not_fit_are_refused() {
    let mut bad = rows(50, 10);
    bad[[17, 4]] = f32::NAN;
    assert!(matches!(
        refused(&params(), &bad),
        QuantizerError::NotFinite { row: 17, column: 4, .. }
    ));
    assert!(matches!(
        refused(&params(), &rows(31, 10)),
        QuantizerError::Batch { batch_size: 32, rows: 31 }
    ));
    assert!(matches!(
        refused(&params(), &Array2::zeros((0, 3))),
        QuantizerError::EmptyMatrix { .. }
    ));
    let (model, _) = fit(params(), &rows(50, 10));
    assert!(matches!(
        model.encode(rows(5, 9).view()),
        Err(QuantizerError::Width { found: 9, expected: 10 })
    ));
    assert!(matches!(model.embed(bad.view()), Err(QuantizerError::NotFinite { row: 17, .. })));
    assert!(matches!(
        model.decode(array![[0, 0, 5]].view()),
        Err(QuantizerError::Code { row: 0, level: 2, code: 5, size: 5 })
    ));
    assert!(matches!(
        model.decode(array![[0, 0, 0, 0]].view()),
        Err(QuantizerError::Levels { found: 4, expected: 3 })
    ));
}

#[test]
fn collaborative_embeddings_that_do_not_fit_are_refused() {
    let rows = rows(50, 10);
    let error = |weight: f64, embeddings: Option<Array2<f32>>| {
        let params = params().alignment_weight(weight).check().unwrap();
        let mut training = RqVaeTraining::new(&params, rows.view());
        if let Some(embeddings) = &embeddings {
            training = training.collaborative(embeddings.view());
        }
        training.run(&mut |_: &RqVaeEvaluation| ControlFlow::Continue(())).unwrap_err()
    };
    let ones = |rows, width| Some(Array2::ones((rows, width)));
    assert!(matches!(error(0.1, None), QuantizerError::Alignment { given: false, .. }));
    assert!(matches!(error(0.0, ones(50, 6)), QuantizerError::Alignment { given: true, .. }));
    assert!(matches!(error(0.1, ones(49, 6)), QuantizerError::Rows { found: 49, expected: 50 }));
    assert!(matches!(error(0.1, ones(50, 7)), QuantizerError::Width { found: 7, expected: 6 }));
}

#[test]
fn a_training_that_diverges_says_so() {
    assert!(matches!(
        refused(&params().learning_rate(1e30), &rows(50, 10)),
        QuantizerError::Diverged { step: 4, .. }
    ));
}

#[test]
fn a_missing_device_is_an_error_that_says_what_to_do() {
    let error = refused(&params().device("cuda:4096"), &rows(50, 10)).to_string();
    assert!(error.contains("use `cpu`"), "{error}");
}
