//! Compares a device with the CPU: logits, loss, gradients and beams of the same decoder on the same batches. With
//! `--reference` it compares logits with those of transformers instead. Ends with the exit code 1 if they differ.
//! Run: `cargo run --release -p sidereal-train --example device_parity -- --model DIR --input rl.json --device cuda`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use serde::Deserialize;
use serde_json::json;
use sidereal_policy::{
    BeamSearch, CompletionToken, Completions, Constraint, Decoder, Hypothesis, LanguageModel as _,
    Place, Policy as _, Scoring, Target, TokenBatch, code_targets, device, target_pass,
    tune_allocator,
};
use sidereal_sid::{Catalog, SemanticId, SidSpec};
use tch::{Device, Kind, Tensor};

type Error = Box<dyn std::error::Error>;

/// Tokens at the end of a prompt that are learned.
const LEARNED: usize = 3;

#[derive(Parser)]
#[command(about)]
struct Args {
    /// Folder or GGUF file of a decoder.
    #[arg(long)]
    model: PathBuf,
    /// JSON of prompts and Semantic IDs, as `speed_input` writes it.
    #[arg(long, required_unless_present = "reference")]
    input: Option<PathBuf>,
    /// JSON of prompts and the logits of their last tokens, as `crates/policy/tests/parity/gguf_models.py` writes it.
    #[arg(long, conflicts_with = "input")]
    reference: Option<PathBuf>,
    #[arg(long, default_value = "cpu")]
    device: String,
    #[arg(long, default_value_t = 8)]
    beams: usize,
    /// The largest difference, as a share of the largest value.
    #[arg(long, default_value_t = 1e-3)]
    tolerance: f64,
}

#[derive(Deserialize)]
struct Input {
    sids: Vec<Vec<u16>>,
    codebook_sizes: Vec<usize>,
    ids: Vec<u32>,
    rl: Vec<Vec<Vec<u32>>>,
}

#[derive(Deserialize)]
struct Reference {
    prompts: Vec<Vec<u32>>,
    /// `[prompts][tokens][V]`.
    logits_of_last: Vec<Vec<Vec<f32>>>,
}

fn main() -> Result<ExitCode, Error> {
    let args = Args::parse();
    let _ = tune_allocator();
    let there = device(&args.device)?;
    let differences = match (&args.reference, &args.input) {
        (Some(path), _) => {
            let reference: Reference = serde_json::from_reader(File::open(path)?)?;
            let model = Decoder::load(&args.model, there)?;
            BTreeMap::from([("logits".to_owned(), beside(&model, &reference)?)])
        }
        (None, Some(path)) => {
            let input: Input = serde_json::from_reader(File::open(path)?)?;
            let here = measure(&args, &input, Device::Cpu, None)?;
            let other = measure(&args, &input, there, Some(&here.beams))?;
            here.differences(&other)
        }
        (None, None) => return Err("give `--input` or `--reference`".into()),
    };
    let passed = differences.values().all(|found| *found <= args.tolerance);
    println!(
        "{}",
        json!({
            "device": args.device,
            "tolerance": args.tolerance,
            "differences": differences,
            "passed": passed,
        })
    );
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The largest difference from the logits of a reference.
fn beside(model: &Decoder, reference: &Reference) -> Result<f64, Error> {
    let mut worst = 0f64;
    for (prompt, expected) in reference.prompts.iter().zip(&reference.logits_of_last) {
        let found = logits_of_last(model, std::slice::from_ref(prompt), expected.len())?;
        let expected: Vec<f32> = expected.concat();
        if found.len() != expected.len() {
            return Err(
                format!("{} logits, and {} of the reference", found.len(), expected.len()).into()
            );
        }
        worst = worst.max(largest(&found, &expected));
    }
    Ok(worst)
}

/// What one device computes.
struct Measured {
    /// Of the last token of each prompt.
    logits: Vec<f32>,
    loss: f64,
    /// By weight: of the loss, and of log-probabilities of rollouts with weights of both signs.
    gradients: BTreeMap<String, [Vec<f32>; 2]>,
    beams: Vec<Vec<Hypothesis>>,
}

/// Computes on a device. Gradients of rollouts are of `rollouts`, or of the beams that are found.
fn measure(
    args: &Args,
    input: &Input,
    device: Device,
    rollouts: Option<&[Vec<Hypothesis>]>,
) -> Result<Measured, Error> {
    let sids = input.sids.iter().map(|codes| SemanticId::from(codes.clone())).collect();
    let catalog = Catalog::new(SidSpec::new(input.codebook_sizes.clone(), 0)?, sids)?;
    let constraint = &Constraint::from_ids(&catalog, input.ids.clone(), device)?;
    let model = &Decoder::load(&args.model, device)?.require_grad(true);
    let prompts = input.rl.first().ok_or("no batch of prompts")?;
    let prompts = &prompts[..prompts.len().min(4)];
    let logits = logits_of_last(model, prompts, 1)?;
    let limit = model.config().max_position_embeddings;
    let batch = TokenBatch::new(prompts, 0, limit, device)?;

    let places = places(prompts, LEARNED + 1, 1);
    let targets: Vec<Target> =
        places.iter().map(|at| Target::Word(prompts[at.row][at.position + 1])).collect();
    let states = model.forward_at(&batch, &places, 0.0)?;
    let pass = target_pass(model, constraint, states, &targets, Scoring::Full)?;
    let slope = -1.0 / targets.len() as f64;
    let loss = slope * pass.logp().sum(Kind::Double).double_value(&[]);
    let d_logp = pass.logp().full_like(slope);
    pass.backward(&d_logp)?;
    let of_loss = take_gradients(model)?;

    let search = BeamSearch { model, constraint, beam_width: args.beams, scoring: Scoring::Full };
    let beams = search.search(&batch, &vec![&[][..]; prompts.len()])?;
    let groups = rollouts.unwrap_or(&beams);
    let completion = |found: &Hypothesis| -> Result<Vec<CompletionToken>, Error> {
        let codes = code_targets(constraint.trie(), &[], &found.tokens)?;
        Ok(codes.into_iter().map(CompletionToken::Scored).collect())
    };
    let groups = groups.iter().map(|group| group.iter().map(completion).collect());
    let groups = groups.collect::<Result<Vec<Vec<_>>, Error>>()?;
    let begun = vec![0; prompts.len()];
    let completions = Completions { prompts: &batch, begun: &begun, rollouts: &groups };
    let scored = model.completion_pass(constraint, &completions, Scoring::Full.into())?;
    let count = i64::try_from(scored.pass.logp().numel())?;
    let signs = Tensor::arange(count, (Kind::Float, device)).remainder(2.0) - 0.4;
    let d_logp = signs.view_as(scored.pass.logp());
    scored.pass.backward(&d_logp)?;
    let of_rollouts = take_gradients(model)?;
    let both = of_loss.into_iter().zip(of_rollouts.into_values());
    let gradients = both.map(|((name, loss), rollouts)| (name, [loss, rollouts])).collect();
    Ok(Measured { logits, loss, gradients, beams })
}

impl Measured {
    /// The largest difference of each value, as a share of the largest value; for beams also the share of those that
    /// only one side found.
    fn differences(&self, other: &Self) -> BTreeMap<String, f64> {
        let share = |one: &[f32], other: &[f32]| largest(one, other) / scale(one).max(1e-12);
        let of_gradient = |which: usize| {
            let pairs = self.gradients.iter().filter_map(|(name, one)| {
                Some(share(&one[which], &other.gradients.get(name)?[which]))
            });
            pairs.fold(0.0, f64::max)
        };
        let scores = |beams: &[Vec<Hypothesis>]| -> Vec<f32> {
            beams.iter().flatten().map(|found| found.score).collect()
        };
        let (mut alone, mut all) = (0usize, 0usize);
        for (one, other) in self.beams.iter().zip(&other.beams) {
            all += one.len();
            alone += one.iter().filter(|it| !other.iter().any(|its| its.node == it.node)).count();
        }
        let mut found = BTreeMap::from([
            ("logits".to_owned(), share(&self.logits, &other.logits)),
            ("loss".to_owned(), (self.loss - other.loss).abs() / self.loss.abs().max(1e-12)),
            ("gradient of the loss".to_owned(), of_gradient(0)),
            ("gradient of rollouts".to_owned(), of_gradient(1)),
            ("scores of beams".to_owned(), share(&scores(&self.beams), &scores(&other.beams))),
        ]);
        // Beams of nearly equal scores may change places at the end of the list.
        if alone * 50 > all {
            found.insert("beams of one side".to_owned(), alone as f64 / all as f64);
        }
        found
    }
}

/// Logits of the last `count` tokens of each prompt.
fn logits_of_last(model: &Decoder, prompts: &[Vec<u32>], count: usize) -> Result<Vec<f32>, Error> {
    let _guard = tch::no_grad_guard();
    let limit = model.config().max_position_embeddings;
    let batch = TokenBatch::new(prompts, 0, limit, model.device())?;
    let states = model.forward_at(&batch, &places(prompts, count, 0), 0.0)?;
    let logits = model.head().logits(&states)?.to_kind(Kind::Float).to_device(Device::Cpu);
    Ok(Vec::try_from(logits.contiguous().view(-1))?)
}

/// The places of the last tokens of each prompt: `from` the end, to `to` before it.
fn places(prompts: &[Vec<u32>], from: usize, to: usize) -> Vec<Place> {
    let of = |(row, prompt): (usize, &Vec<u32>)| {
        let len = prompt.len();
        (len.saturating_sub(from)..len - to).map(move |position| Place { row, position })
    };
    prompts.iter().enumerate().flat_map(of).collect()
}

/// The gradients of all weights, which are then zero.
fn take_gradients(model: &Decoder) -> Result<BTreeMap<String, Vec<f32>>, Error> {
    let mut gradients = BTreeMap::new();
    for (name, weight) in model.weights() {
        let mut gradient = weight.grad();
        if gradient.defined() {
            let values = gradient.to_kind(Kind::Float).to_device(Device::Cpu);
            gradients.insert(name.clone(), Vec::try_from(values.contiguous().view(-1))?);
            let _ = gradient.zero_();
        }
    }
    Ok(gradients)
}

fn largest(one: &[f32], other: &[f32]) -> f64 {
    if one.len() != other.len() {
        return f64::INFINITY;
    }
    let pairs = one.iter().zip(other).map(|(one, other)| f64::from((one - other).abs()));
    // A NaN on either side is a difference.
    pairs.fold(0.0, |most, found| if found <= most { most } else { found })
}

fn scale(values: &[f32]) -> f64 {
    values.iter().fold(0.0, |most, value| f64::max(most, f64::from(value.abs())))
}
