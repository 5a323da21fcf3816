//! Trains an RQ-VAE and prints steps per second and the quality of its codes as one line of JSON:
//! the Rust side of `rq_vae_peer.py`, which runs it.
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::error::Error;
use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::Parser;
use linfa::ParamGuard;
use sidereal_quantizer::{Matrix, RqVae, RqVaeEvaluation, RqVaeTraining};

#[derive(Parser)]
#[command(about)]
struct Args {
    /// Embeddings, one row an item.
    input: PathBuf,
    #[arg(long, value_delimiter = ',', default_value = "512,256,128,64")]
    hidden: Vec<usize>,
    #[arg(long, default_value_t = 32)]
    latent: usize,
    #[arg(long, default_value_t = 256)]
    codes: usize,
    #[arg(long, default_value_t = 3)]
    levels: usize,
    #[arg(long, default_value_t = 2048)]
    batch: usize,
    #[arg(long, default_value_t = 200)]
    steps: usize,
    /// Steps of a timed window, which an evaluation ends.
    #[arg(long, default_value_t = 20)]
    window: usize,
    /// Weight of all codebook terms; the peer takes their mean over levels, hence 1 / levels.
    #[arg(long)]
    quantisation_weight: Option<f64>,
    /// Regularisation of the last level's balanced assignment; 0 for nearest codes.
    #[arg(long, default_value_t = 0.0)]
    sinkhorn: f64,
    #[arg(long, default_value_t = 20)]
    revive_after: usize,
    #[arg(long, default_value_t = 7)]
    seed: u64,
    #[arg(long, default_value_t = 2)]
    threads: i32,
    #[arg(long, default_value = "cpu")]
    device: String,
    /// What cargo passes to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    tch::set_num_threads(args.threads);
    let matrix = Matrix::open(&args.input)?;
    let mut epsilons = vec![0.0; args.levels];
    if let Some(last) = epsilons.last_mut() {
        *last = args.sinkhorn;
    }
    let params = RqVae::params(vec![args.codes; args.levels], args.seed)
        .hidden(args.hidden)
        .latent(args.latent)
        .batch_size(args.batch)
        .steps(args.steps)
        .evaluate_every(args.window)
        .quantisation_weight(args.quantisation_weight.unwrap_or(1.0 / args.levels as f64))
        .sinkhorn_epsilons(epsilons)
        .revive_after(args.revive_after)
        .device(args.device)
        .check()?;
    let mut rates = Vec::new();
    let mut last = None;
    RqVaeTraining::new(&params, matrix.view()).run(&mut |evaluation: &RqVaeEvaluation| {
        rates.push(evaluation.steps_per_second);
        last = Some(evaluation.clone());
        ControlFlow::Continue(())
    })?;
    rates.sort_by(f64::total_cmp);
    let Some(last) = last else { return Ok(()) };
    let used: Vec<usize> = last.quality.levels.iter().map(|level| level.used).collect();
    let perplexity: Vec<f64> = last.quality.levels.iter().map(|level| level.perplexity).collect();
    let line = serde_json::json!({
        "steps_per_second": f64::midpoint(rates[(rates.len() - 1) / 2], rates[rates.len() / 2]),
        "fastest": rates[rates.len() - 1],
        "collision_rate": last.quality.collision_rate,
        "used": used,
        "perplexity": perplexity,
        "reconstruction": last.reconstruction,
    });
    println!("{line}");
    Ok(())
}
