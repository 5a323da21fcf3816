//! A random decoder, with batches for `beam_speed`, `step_speed` and `device_parity`, and the operations that they need.
//! `scripts/gpu.sh` calls it. CPU, seconds.
//! Run: `cargo run --release -p sidereal-train --example speed_input -- --shape nano --out DIR`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use sidereal_policy::{Architecture, Decoder, DecoderConfig};
use tch::Device;

type Error = Box<dyn std::error::Error>;

/// Levels of a Semantic ID, and codes of a level.
const LEVELS: usize = 3;
const CODES: usize = 256;
/// Tokens after each Semantic ID of an RL step: a line's end and the end of the text.
const TAIL: usize = 2;
/// The largest history of a prompt, and the tokens of the words around it.
const MOST_ITEMS: usize = 10;
const WORDS: usize = 84;

#[derive(Parser)]
#[command(about)]
struct Args {
    #[arg(long)]
    shape: Shape,
    /// The folder to write.
    #[arg(long)]
    out: PathBuf,
    #[arg(long, default_value_t = 3686)]
    items: usize,
    /// Batches of each kind.
    #[arg(long, default_value_t = 6)]
    steps: usize,
    /// Users of a batch of beam search.
    #[arg(long, default_value_t = 32)]
    users: usize,
    #[arg(long, default_value_t = 50)]
    beams: usize,
    /// Sequences of a step of supervised training.
    #[arg(long, default_value_t = 128)]
    rows: usize,
    /// Prompts of a step of reinforcement.
    #[arg(long, default_value_t = 64)]
    prompts: usize,
    /// Rollouts of a prompt.
    #[arg(long, default_value_t = 16)]
    group_size: usize,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// The size of the decoder.
#[derive(Clone, Copy, ValueEnum)]
enum Shape {
    /// A Qwen3 of 1.2 million weights.
    Nano,
    /// The shape of Qwen2.5-0.5B: 494 million weights.
    HalfBillion,
}

fn main() -> Result<(), Error> {
    let args = Args::parse();
    fs::create_dir_all(&args.out)?;
    let config = config(args.shape);
    let model = Decoder::random(config.clone(), 1, Device::Cpu)?;
    model.save(&args.out.join("model"))?;
    let mut rng = ChaCha8Rng::seed_from_u64(args.seed);
    let mut code = || rng.gen_range(0..CODES);
    let sids: Vec<[usize; LEVELS]> =
        (0..args.items).map(|_| std::array::from_fn(|_| code())).collect();
    let first = config.vocab_size - LEVELS * CODES;
    let catalogue = json!({
        "sids": sids,
        "codebook_sizes": vec![CODES; LEVELS],
        "ids": (first..config.vocab_size).collect::<Vec<_>>(),
    });
    let mut batches = Batches { rng, sids: &sids, first };
    let beam: Vec<_> = (0..args.steps * args.users).map(|_| batches.prompt()).collect();
    let sft: Vec<Vec<_>> =
        (0..args.steps).map(|_| (0..args.rows).map(|_| batches.sequence()).collect()).collect();
    let rl: Vec<Vec<_>> =
        (0..args.steps).map(|_| (0..args.prompts).map(|_| batches.prompt()).collect()).collect();
    let work = json!({
        "parameters": model.num_parameters(),
        "users": args.users,
        "beams": args.beams,
        "prompts": args.prompts,
        "group_size": args.group_size,
        "beam_flops": beam.chunks(args.users).map(|prompts| searching(&config, prompts, args.beams)).collect::<Vec<_>>(),
        "sft_tokens": sft.iter().map(|rows| rows.iter().map(|(ids, _)| ids.len()).sum()).collect::<Vec<usize>>(),
        "sft_flops": sft.iter().map(|rows| learning(&config, rows)).collect::<Vec<_>>(),
        "rl_flops": rl.iter().map(|prompts| reinforcing(&config, prompts, args.group_size)).collect::<Vec<_>>(),
    });
    let tail = vec![0; TAIL];
    write(&args.out.join("beam.json"), &catalogue, json!({ "prompts": beam }))?;
    let optim = |lr: f64, clip_norm: f64| json!({ "lr": lr, "clip_norm": clip_norm });
    write(&args.out.join("sft.json"), &catalogue, joined(optim(3e-4, 1.0), json!({ "sft": sft })))?;
    let rl = json!({ "rl": rl, "tail": tail, "group_size": args.group_size, "kl_coef": 1e-3 });
    write(&args.out.join("rl.json"), &catalogue, joined(optim(1e-5, 0.3), rl))?;
    fs::write(args.out.join("work.json"), work.to_string())?;
    println!("{work}");
    Ok(())
}

/// The decoder of a shape; the codes are the last ids.
fn config(shape: Shape) -> DecoderConfig {
    let nano = DecoderConfig {
        vocab_size: 2048 + 16 + LEVELS * CODES,
        hidden_size: 128,
        intermediate_size: 384,
        num_hidden_layers: 4,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 32,
        max_position_embeddings: 1024,
        rope_theta: 1e6,
        ..DecoderConfig::tiny(0)
    };
    match shape {
        Shape::Nano => nano,
        Shape::HalfBillion => DecoderConfig {
            architecture: Architecture::Qwen2,
            vocab_size: 151_936 + 256 + LEVELS * CODES,
            hidden_size: 896,
            intermediate_size: 4864,
            num_hidden_layers: 24,
            num_attention_heads: 14,
            num_key_value_heads: 2,
            head_dim: 64,
            ..nano
        },
    }
}

/// Draws prompts and sequences.
struct Batches<'a> {
    rng: ChaCha8Rng,
    sids: &'a [[usize; LEVELS]],
    /// Id of the first code.
    first: usize,
}

impl Batches<'_> {
    fn words(&mut self, count: usize) -> Vec<usize> {
        (0..count).map(|_| self.rng.gen_range(1..2000)).collect()
    }

    /// The ids of a random item's Semantic ID.
    fn item(&mut self) -> Vec<usize> {
        let item = self.rng.gen_range(0..self.sids.len());
        let code = |(level, code): (usize, &usize)| self.first + level * CODES + code;
        self.sids[item].iter().enumerate().map(code).collect()
    }

    /// Words, and a history of one to ten items.
    fn prompt(&mut self) -> Vec<usize> {
        let mut ids: Vec<usize> = (1..=WORDS).collect();
        for _ in 0..self.rng.gen_range(1..=MOST_ITEMS) {
            ids.extend(self.item());
            ids.push(1);
        }
        ids.extend(self.words(4));
        ids
    }

    /// A sequence with the number of its last tokens that are learned: a history of items, or (two in five) of titles,
    /// and an item or (one in four) a title.
    fn sequence(&mut self) -> (Vec<usize>, usize) {
        let mut ids = if self.rng.gen_bool(0.4) {
            let titles = self.rng.gen_range(1..=MOST_ITEMS);
            let len = (0..titles).map(|_| self.rng.gen_range(14..34)).sum::<usize>();
            self.words(WORDS + len)
        } else {
            self.prompt()
        };
        let answer = if self.rng.gen_bool(0.25) {
            let len = self.rng.gen_range(14..34);
            self.words(len)
        } else {
            let mut item = self.item();
            item.extend([0; TAIL]);
            item
        };
        let learned = answer.len();
        ids.extend(answer);
        (ids, learned)
    }
}

/// Operations of a pass forward: a third of those of training, which goes back twice.
fn forward(config: &DecoderConfig, lens: &[usize], targets: usize) -> f64 {
    config.training_flops(lens, targets) / 3.0
}

/// Operations of the tokens that each of some answers has after its prompt, forward, each of them scored.
fn answering(config: &DecoderConfig, prompt: usize, answers: usize, len: usize) -> f64 {
    answers as f64 * (forward(config, &[prompt + len], len) - forward(config, &[prompt], 0))
}

/// Operations of a beam search: the prompts, their first level, and one token of each beam for every other level.
fn searching(config: &DecoderConfig, prompts: &[Vec<usize>], beams: usize) -> f64 {
    let of = |prompt: &Vec<usize>| {
        forward(config, &[prompt.len()], 1) + answering(config, prompt.len(), beams, LEVELS - 1)
    };
    prompts.iter().map(of).sum()
}

/// Operations of a step of supervised training.
fn learning(config: &DecoderConfig, rows: &[(Vec<usize>, usize)]) -> f64 {
    let lens: Vec<usize> = rows.iter().map(|(ids, _)| ids.len()).collect();
    config.training_flops(&lens, rows.iter().map(|(_, learned)| *learned).sum())
}

/// Operations of a step of reinforcement: rollouts by beam search, a pass of the reference, and a pass forward and back
/// of the policy. A prompt is read once for all its rollouts.
fn reinforcing(config: &DecoderConfig, prompts: &[Vec<usize>], group_size: usize) -> f64 {
    let scored = |prompt: &Vec<usize>| {
        let len = prompt.len();
        forward(config, &[len], 0) + answering(config, len, group_size, LEVELS + TAIL)
    };
    searching(config, prompts, group_size) + 4.0 * prompts.iter().map(scored).sum::<f64>()
}

/// Two tables as one.
fn joined(mut one: Value, other: Value) -> Value {
    if let (Value::Object(one), Value::Object(other)) = (&mut one, other) {
        one.extend(other);
    }
    one
}

fn write(path: &Path, catalogue: &Value, batches: Value) -> Result<(), Error> {
    Ok(fs::write(path, joined(catalogue.clone(), batches).to_string())?)
}
