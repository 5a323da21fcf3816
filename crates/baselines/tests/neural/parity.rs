//! The first loss and all gradients of each model are those of a program of its own, in f64.

use std::collections::BTreeMap;

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use serde_json::Value;
use sidereal_baselines::neural::{Attributes, NEURAL_MODELS, NeuralConfig, Step};
use tch::{Device, Kind, Tensor};

/// What `parity/neural.py` wrote.
#[derive(Deserialize)]
struct Reference {
    attributes: Vec<Vec<u32>>,
    num_attributes: usize,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    model: String,
    settings: Value,
    num_items: usize,
    rows: Vec<Vec<u32>>,
    pretraining: bool,
    loss: f64,
    gradients: BTreeMap<String, Vec<f64>>,
}

/// The weights of `parity/neural.py`.
fn formula(name: &str, shape: &[i64]) -> Tensor {
    let start: usize = name.bytes().zip(1..).map(|(byte, i)| i * usize::from(byte)).sum();
    let (start, count): (f64, i64) = ((start % 101) as f64, shape.iter().product());
    let value =
        |i: i64| 0.4 * (0.9 * (i + 1) as f64 + start).sin() + 0.1 * (2.3 * (i * i) as f64).cos();
    let values: Vec<f64> = (0..count).map(value).collect();
    let tensor = Tensor::from_slice(&values).reshape(shape);
    if name.ends_with("norm.weight") { tensor + 1.0 } else { tensor }
}

#[test]
fn every_first_loss_and_gradient_is_that_of_pytorch() {
    let reference: Reference = serde_json::from_str(include_str!("../parity/neural.json")).unwrap();
    for name in NEURAL_MODELS {
        assert!(reference.cases.iter().any(|case| case.model == name), "{name} has no twin");
    }
    for case in &reference.cases {
        let about = format!("{} {}", case.model, case.settings);
        let config = NeuralConfig::from_table(&case.model, &case.settings).unwrap();
        let known = reference.attributes[..case.num_items].to_vec();
        let known = Attributes::numbered(known, reference.num_attributes).unwrap();
        let model =
            config.build_as(Kind::Double, case.num_items, Some(&known), 1, Device::Cpu).unwrap();
        let weights: BTreeMap<String, Tensor> = model
            .parameters()
            .named()
            .map(|(name, weight)| (name.to_owned(), formula(name, &weight.size())))
            .collect();
        model.parameters().assign(&weights).unwrap();
        let rows: Vec<&[u32]> = case.rows.iter().map(Vec::as_slice).collect();
        let mut step = Step { rng: ChaCha8Rng::seed_from_u64(1), dropout: false, epoch: 0 };
        let loss = if case.pretraining {
            model.pretraining_loss(&rows, &mut step)
        } else {
            model.loss(&rows, &mut step)
        };
        let loss = loss.unwrap();
        loss.backward();
        let found = loss.double_value(&[]);
        assert!((found - case.loss).abs() < 1e-9, "{about}: {found}, PyTorch {}", case.loss);
        let mut met = 0;
        for (name, weight) in model.parameters().named() {
            let gradient = weight.grad();
            let found: Vec<f64> = if gradient.defined() {
                gradient.reshape([-1]).try_into().unwrap()
            } else {
                Vec::new()
            };
            let expected = case.gradients.get(name).cloned().unwrap_or_default();
            met += usize::from(case.gradients.contains_key(name));
            if expected.is_empty() || found.is_empty() {
                // What the loss does not depend on has no gradient, or one of zeros.
                assert!(found.iter().chain(&expected).all(|g| g.abs() < 1e-12), "{about}: {name}");
                continue;
            }
            assert_eq!(found.len(), expected.len(), "{about}: {name}");
            for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let difference = (found - expected).abs();
                assert!(difference < 1e-7, "{about}: {name}[{at}] {found}, PyTorch {expected}");
            }
        }
        assert_eq!(met, case.gradients.len(), "{about}: the twin has weights of other names");
    }
}
