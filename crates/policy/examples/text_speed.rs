//! Tokens per second of writing free text, for a checkpoint and prompts made elsewhere. CPU or
//! CUDA. `python crates/policy/benches/text_peer.py` makes the input and runs this beside
//! transformers.
//! Run: `cargo run --release -p sidereal-policy --example text_speed -- --model DIR --input FILE`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use sidereal_policy::{
    Decoder, SamplingConfig, Text, TextSampler, TokenBatch, device, tune_allocator,
};

#[derive(Parser)]
#[command(about = "Tokens per second of writing free text")]
struct Args {
    /// Checkpoint directory.
    #[arg(long)]
    model: PathBuf,
    /// JSON: a list of prompts, each a list of vocabulary ids.
    #[arg(long)]
    input: PathBuf,
    /// Texts of each prompt.
    #[arg(long, default_value_t = 8)]
    rollouts: usize,
    /// Tokens of each text.
    #[arg(long, default_value_t = 256)]
    budget: usize,
    /// Prompts whose texts are written together.
    #[arg(long, default_value_t = 16)]
    batch: usize,
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Batches before the first timed one; the input's prompts are used in order.
    #[arg(long, default_value_t = 1)]
    warmup: usize,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let _ = tune_allocator();
    let device = device(&args.device)?;
    let input: Vec<Vec<u32>> = serde_json::from_reader(std::fs::File::open(&args.input)?)?;
    let model = Decoder::load(&args.model, device)?;
    let sampler = TextSampler {
        model: &model,
        num_ids: model.config().vocab_size,
        sampling: SamplingConfig::default(),
        budget: args.budget,
        stops: &[],
        seed: 1,
    };
    let limit = model.config().max_position_embeddings;
    let (mut seconds, mut last) = (Vec::new(), Vec::new());
    for (turn, prompts) in input.chunks_exact(args.batch).enumerate() {
        let start = Instant::now();
        let prompts = TokenBatch::new(prompts, 0, limit, device)?;
        last = sampler.write(&prompts, &[], args.rollouts)?;
        if turn >= args.warmup {
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    seconds.sort_by(f64::total_cmp);
    let median = seconds.get(seconds.len() / 2).ok_or("no timed batch: give more prompts")?;
    let tokens = args.batch * args.rollouts * args.budget;
    let ids = |text: &Text| text.tokens.iter().map(|token| token.id).collect::<Vec<_>>();
    let logps = |text: &Text| -> Vec<f32> {
        text.tokens.iter().filter_map(|token| token.drawn).map(|drawn| drawn.logp).collect()
    };
    let first: Vec<&Text> = last.iter().filter_map(|texts| texts.first()).collect();
    println!(
        "{}",
        serde_json::json!({
            "tokens_per_s": tokens as f64 / median,
            "p50_s": median,
            "threads": tch::get_num_threads(),
            "texts": first.iter().map(|text| ids(text)).collect::<Vec<_>>(),
            "logp": first.iter().map(|text| logps(text)).collect::<Vec<_>>(),
        })
    );
    Ok(())
}
