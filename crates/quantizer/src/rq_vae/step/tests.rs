//! A step against PyTorch, and against automatic differentiation of the plain formula.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;
use crate::RqVaeParams;
use crate::rq_vae::adamw::AdamW;

/// `tests/parity/rq_vae.json`, which `rq_vae.py` made.
#[derive(Deserialize)]
struct Reference {
    batch: i64,
    widths: Vec<usize>,
    levels: usize,
    codes_per_level: usize,
    beta: f64,
    quantisation_weight: f64,
    learning_rate: f64,
    weight_decay: f64,
    clip_norm: f64,
    norms: Vec<f64>,
    loss: f64,
    codes: Vec<Vec<i64>>,
    gradients: BTreeMap<String, Vec<f64>>,
    after: BTreeMap<String, Vec<f64>>,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("../../../tests/parity/rq_vae.json")).unwrap()
}

/// The closed formula of the rows and parameters.
#[allow(clippy::cast_possible_truncation, reason = "the values are f32")]
fn wave(shape: &[i64], phase: f64, scale: f64) -> Tensor {
    let count = shape.iter().product();
    let value = |i: f64| (scale * (0.7 * i + 0.013 * i * i + phase).sin()) as f32;
    let values: Vec<f32> = (0..count).map(|i: i64| value(i as f64)).collect();
    Tensor::from_slice(&values).view(shape)
}

struct Twin {
    settings: Settings,
    layout: Layout,
    parameters: Parameters,
    gradients: Parameters,
    rows: Tensor,
}

fn twin(reference: &Reference) -> Twin {
    let widths = &reference.widths;
    let (hidden, latent) = (&widths[1..widths.len() - 1], widths[widths.len() - 1]);
    let sizes = vec![reference.codes_per_level; reference.levels];
    let layout = Layout::new(widths[0], hidden, latent, &sizes);
    let parameters = Parameters::zeros(&layout, Device::Cpu).unwrap();
    let mut phase = 0.0;
    for layer in parameters.encoder.iter().chain(&parameters.decoder) {
        phase += 1.0;
        layer.weight.shallow_clone().copy_(&wave(&layer.weight.size(), phase, 0.6));
        layer.bias.shallow_clone().copy_(&wave(&layer.bias.size(), phase + 0.5, 0.2));
    }
    for (level, codebook) in (0..).zip(&parameters.codebooks) {
        let values = wave(&codebook.size(), 0.3 + f64::from(level), 0.5 / f64::from(level + 1));
        codebook.shallow_clone().copy_(&values);
    }
    let settings = Settings::from(
        RqVaeParams::new(sizes, 0)
            .hidden(hidden)
            .latent(latent)
            .beta(reference.beta)
            .quantisation_weight(reference.quantisation_weight)
            .learning_rate(reference.learning_rate)
            .weight_decay(reference.weight_decay)
            .clip_norm(reference.clip_norm),
    );
    Twin {
        settings,
        gradients: Parameters::zeros(&layout, Device::Cpu).unwrap(),
        parameters,
        rows: wave(&[reference.batch, layout.width()], 0.1, 1.0),
        layout,
    }
}

impl Twin {
    fn batch(&self) -> Batch<'_> {
        Batch { rows: &self.rows, collaborative: None, positives: &[], active: 3 }
    }

    fn step(&self) -> Step {
        Step::new(&self.layout, &self.parameters, self.rows.size()[0], Device::Cpu).unwrap()
    }

    fn loss(&self, terms: &Tensor) -> f64 {
        let settings = &self.settings;
        let value = |term: i64| terms.double_value(&[term]);
        value(0)
            + settings.quantisation_weight * (1.0 + settings.beta) * value(1)
            + settings.alignment_weight * value(2)
            + settings.diversity_weight * value(3)
    }
}

/// `‖a - b‖ / ‖b‖` of the named part of a buffer.
fn relative(layout: &Layout, flat: &Tensor, name: &str, expected: &Tensor) -> f64 {
    let entry = layout.entries().into_iter().find(|entry| entry.name == name).unwrap();
    let found = flat.narrow(0, entry.start, entry.len()).to_kind(Kind::Double);
    let expected = expected.to_kind(Kind::Double).view(-1);
    ((found - &expected).norm() / expected.norm()).double_value(&[])
}

#[test]
fn the_first_loss_codes_and_gradients_are_those_of_pytorch() {
    let reference = reference();
    let twin = twin(&reference);
    let (terms, levels) =
        twin.step().run(&twin.settings, &twin.parameters, &twin.gradients, &twin.batch()).unwrap();
    let loss = twin.loss(&terms);
    assert!((loss / reference.loss - 1.0).abs() < 1e-5, "{loss} {}", reference.loss);
    for (level, codes) in levels.codes.iter().enumerate() {
        let expected: Vec<i64> = reference.codes.iter().map(|codes| codes[level]).collect();
        assert_eq!(Vec::<i64>::try_from(codes).unwrap(), expected, "level {level}");
    }
    assert_eq!(reference.gradients.len(), twin.layout.entries().len());
    for (name, expected) in &reference.gradients {
        let expected = Tensor::from_slice(expected);
        let error = relative(&twin.layout, &twin.gradients.flat, name, &expected);
        assert!(error < 1e-5, "{name}: {error}");
    }
}

#[test]
fn three_steps_of_adamw_are_those_of_pytorch() {
    let reference = reference();
    let mut twin = twin(&reference);
    let mut step = twin.step();
    let mut optimiser = AdamW::new(twin.parameters.flat.size()[0], Device::Cpu).unwrap();
    for (index, expected) in reference.norms.iter().enumerate() {
        let _ = step.run(&twin.settings, &twin.parameters, &twin.gradients, &twin.batch()).unwrap();
        let (parameters, gradients) = (&mut twin.parameters.flat, &mut twin.gradients.flat);
        let norm = optimiser.step(&twin.settings, index + 1, parameters, gradients).unwrap();
        assert!((norm.double_value(&[]) / expected - 1.0).abs() < 1e-5);
    }
    for (name, expected) in &reference.after {
        let expected = Tensor::from_slice(expected);
        // Where a gradient is next to nothing, Adam divides rounding by itself.
        let error = relative(&twin.layout, &twin.parameters.flat, name, &expected);
        assert!(error < 1e-4, "{name}: {error}");
    }
}

/// The loss by the plain formula on leaves that require gradients.
fn plain_loss(twin: &Twin, leaves: &Parameters, batch: &Batch<'_>) -> Tensor {
    let settings = &twin.settings;
    let mlp = |layers: &[super::super::layout::Linear], rows: &Tensor| {
        let mut value = rows.shallow_clone();
        for (index, layer) in layers.iter().enumerate() {
            value = value.linear(&layer.weight, Some(&layer.bias));
            if index + 1 < layers.len() {
                value = value.relu();
            }
        }
        value
    };
    let mse = |a: &Tensor, b: &Tensor| a.mse_loss(b, tch::Reduction::Mean);
    let latents = mlp(&leaves.encoder, batch.rows);
    let mut residual = latents.shallow_clone();
    let mut quantised = latents.zeros_like();
    let mut loss = Tensor::from(0f32);
    for (level, codebook) in leaves.codebooks.iter().enumerate().take(batch.active) {
        let code = Tensor::cdist(&residual.detach(), &codebook.detach(), 2.0, None::<i64>)
            .argmin(1, false);
        let entry = codebook.index_select(0, &code);
        let terms =
            mse(&entry, &residual.detach()) + mse(&residual, &entry.detach()) * settings.beta;
        loss += terms * settings.quantisation_weight;
        residual = &residual - entry.detach();
        quantised = &quantised + entry.detach();
        if let Some(positives) = batch.positives.get(level) {
            let rows = batch.rows.size()[0];
            for row in 0..rows {
                let own = code.int64_value(&[row]);
                let positive = positives.int64_value(&[own]);
                if positive == own {
                    continue;
                }
                let products = codebook.mv(&codebook.get(own));
                let others: Vec<i64> = (0..codebook.size()[0]).filter(|k| *k != own).collect();
                let others = products.index_select(0, &Tensor::from_slice(&others));
                let term = products.get(positive) - others.logsumexp(0, false);
                loss -= term * (settings.diversity_weight / rows as f64);
            }
        }
    }
    let through = &latents + (&quantised - &latents).detach();
    if let Some(collaborative) = batch.collaborative {
        let own = Tensor::arange(batch.rows.size()[0], (Kind::Int64, Device::Cpu));
        let scores = through.mm(&collaborative.tr());
        loss += scores.cross_entropy_for_logits(&own) * settings.alignment_weight;
    }
    loss + mse(&mlp(&leaves.decoder, &through), batch.rows)
}

/// Holds a step's loss and gradient against the plain formula's.
fn agree(twin: &Twin, batch: &Batch<'_>) {
    let (terms, _) =
        twin.step().run(&twin.settings, &twin.parameters, &twin.gradients, batch).unwrap();
    let flat = twin.parameters.flat.copy().set_requires_grad(true);
    let leaves = Parameters::over(&twin.layout, flat.shallow_clone()).unwrap();
    let loss = plain_loss(twin, &leaves, batch);
    loss.backward();
    let (found, expected) = (twin.loss(&terms), loss.double_value(&[]));
    assert!((found / expected - 1.0).abs() < 1e-5, "loss {found} {expected}");
    for entry in twin.layout.entries() {
        let expected = flat.grad().narrow(0, entry.start, entry.len());
        if expected.norm().double_value(&[]) > 0.0 {
            let error = relative(&twin.layout, &twin.gradients.flat, &entry.name, &expected);
            assert!(error < 1e-5, "{}: {error}", entry.name);
        } else {
            let found = twin.gradients.flat.narrow(0, entry.start, entry.len());
            assert!(found.norm().double_value(&[]) <= 0.0, "{}", entry.name);
        }
    }
}

#[test]
fn gradients_are_those_of_automatic_differentiation() {
    let twin = twin(&reference());
    agree(&twin, &twin.batch());
}

#[test]
fn levels_that_take_no_part_have_no_gradient() {
    let twin = twin(&reference());
    agree(&twin, &Batch { active: 1, ..twin.batch() });
}

#[test]
fn the_terms_of_letter_have_the_gradients_of_automatic_differentiation() {
    let mut twin = twin(&reference());
    twin.settings.alignment_weight = 0.4;
    twin.settings.diversity_weight = 0.3;
    let collaborative = wave(&[twin.rows.size()[0], twin.layout.latent()], 2.2, 1.0);
    // Code 3 of the first level has no other of its cluster.
    let positives =
        [[1i64, 0, 0, 3, 0], [4, 0, 1, 1, 2], [2, 3, 4, 0, 1]].map(|p| Tensor::from_slice(&p));
    let batch =
        Batch { collaborative: Some(&collaborative), positives: &positives, ..twin.batch() };
    agree(&twin, &batch);
}

#[test]
fn a_linear_network_has_the_gradients_of_automatic_differentiation() {
    let reference = reference();
    let mut twin = twin(&Reference { widths: vec![12, 6], ..reference });
    twin.rows = wave(&[16, 12], 0.4, 2.0);
    agree(&twin, &twin.batch());
}
