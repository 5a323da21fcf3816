//! Users per second of constrained beam search, for a checkpoint and prompts made elsewhere. CPU or
//! CUDA. `python crates/policy/benches/beam_peer.py` makes the input and runs this beside PyTorch.
//! Run: `cargo run --release -p sidereal-policy --example beam_speed -- --model DIR --input FILE`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::path::PathBuf;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use serde::Deserialize;
use sidereal_policy::{
    BeamSearch, Constraint, Decoder, Hypothesis, Scoring, TokenBatch, device, tune_allocator,
};
use sidereal_sid::{Catalog, SemanticId, SidSpec};
use tch::Kind;

#[derive(Parser)]
#[command(about)]
struct Args {
    /// Checkpoint directory.
    #[arg(long)]
    model: PathBuf,
    /// JSON: prompts, Semantic IDs, codebook sizes, and the vocabulary id of each code.
    #[arg(long)]
    input: PathBuf,
    #[arg(long, default_value_t = 50)]
    beams: usize,
    /// Users searched for together.
    #[arg(long, default_value_t = 8)]
    batch: usize,
    #[arg(long, default_value = "full")]
    scoring: ScoringArg,
    #[arg(long, default_value = "float32")]
    dtype: Dtype,
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Batches before the first timed one; the input's prompts are used in order.
    #[arg(long, default_value_t = 1)]
    warmup: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum ScoringArg {
    Full,
    Renormalised,
}

#[derive(Clone, Copy, ValueEnum)]
enum Dtype {
    Float32,
    Bfloat16,
}

#[derive(Deserialize)]
struct Input {
    prompts: Vec<Vec<u32>>,
    sids: Vec<Vec<u16>>,
    codebook_sizes: Vec<usize>,
    /// Vocabulary id of each code, level after level.
    ids: Vec<u32>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let _ = tune_allocator();
    let device = device(&args.device)?;
    let input: Input = serde_json::from_reader(std::fs::File::open(&args.input)?)?;
    let sids: Vec<SemanticId> = input.sids.into_iter().map(SemanticId::from).collect();
    let catalog = Catalog::new(SidSpec::new(input.codebook_sizes, 0)?, sids)?;
    let constraint = Constraint::from_ids(&catalog, input.ids, device)?;
    let kind = match args.dtype {
        Dtype::Float32 => Kind::Float,
        Dtype::Bfloat16 => Kind::BFloat16,
    };
    let model = Decoder::load_as(&args.model, device, kind)?;
    let scoring = match args.scoring {
        ScoringArg::Full => Scoring::Full,
        ScoringArg::Renormalised => Scoring::Renormalised,
    };
    let limit = model.config().max_position_embeddings;
    let search =
        BeamSearch { model: &model, constraint: &constraint, beam_width: args.beams, scoring };

    let (mut seconds, mut last) = (Vec::new(), Vec::new());
    for (turn, prompts) in input.prompts.chunks_exact(args.batch).enumerate() {
        let start = Instant::now();
        let prompts = TokenBatch::new(prompts, 0, limit, device)?;
        last = search.search(&prompts, &vec![&[][..]; args.batch])?;
        if turn >= args.warmup {
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    seconds.sort_by(f64::total_cmp);
    let median = seconds.get(seconds.len() / 2).ok_or("no timed batch: give more prompts")?;
    let tokens = |found: &Hypothesis| constraint.ids(&found.tokens);
    println!(
        "{}",
        serde_json::json!({
            "users_per_s": args.batch as f64 / median,
            "best_users_per_s": args.batch as f64 / seconds[0],
            "p50_ms": 1e3 * median,
            "threads": tch::get_num_threads(),
            "beams": last.iter().map(|user| user.iter().map(tokens).collect()).collect::<Vec<Vec<_>>>(),
            "scores": last
                .iter()
                .map(|user| user.iter().map(|found| found.score).collect())
                .collect::<Vec<Vec<f32>>>(),
        })
    );
    Ok(())
}
