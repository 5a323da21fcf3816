//! Makes Semantic IDs of a matrix of embeddings and prints how good they are. 12,101 × 384 takes
//! about a second on two cores.
//! Run: `cargo run --release -p sidereal-quantizer --example quantize -- items.npy --out sids`
//! With libtorch also by an RQ-VAE (3,686 × 384: about 20 steps a second):
//! `cargo run --release -p sidereal-quantizer --features torch --example quantize -- items.npy
//! --method rq-vae --steps 2000 --out sids`
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "stdout is the result, stderr talk")]

use std::error::Error;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use linfa::ParamGuard;
use ndarray::{Array2, ArrayView2};
use sidereal_quantizer::{Codebooks, Collisions, FitStep, Init, Matrix, QualityReport, RqKMeans};
#[cfg(feature = "torch")]
use sidereal_quantizer::{RqVae, RqVaeEvaluation, RqVaeTraining};
use sidereal_sid::Code;

const NEIGHBOURS: NonZeroUsize = NonZeroUsize::new(10).unwrap();
const QUERIES: NonZeroUsize = NonZeroUsize::new(1000).unwrap();

#[derive(Clone, Copy, ValueEnum)]
enum Method {
    RqKmeans,
    #[cfg(feature = "torch")]
    RqVae,
}

#[derive(Parser)]
#[command(about)]
struct Args {
    /// Embeddings, one row an item: .npy or .safetensors.
    embeddings: PathBuf,
    #[arg(long, value_enum, default_value = "rq-kmeans")]
    method: Method,
    /// Where codebooks and catalogue are written.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Codes of each level.
    #[arg(long, value_delimiter = ',', default_value = "256,256,256")]
    sizes: Vec<usize>,
    /// Choose the first centroids at random instead of by k-means++.
    #[arg(long)]
    random_init: bool,
    /// Runs of each level; the best is kept.
    #[arg(long, default_value_t = 1)]
    restarts: usize,
    /// Use the codes of a level evenly: per-level or per-parent.
    #[arg(long, default_value = "none")]
    balance: String,
    /// Fit to a random sample of this many rows for each code; 0 for all.
    #[arg(long, default_value_t = 0)]
    max_rows_per_code: usize,
    /// Print the report as JSON, with the seconds of the fit.
    #[arg(long)]
    json: bool,
    #[arg(long, default_value_t = 7)]
    seed: u64,
    #[arg(long, default_value_t = 25)]
    max_iterations: usize,
    #[arg(long, default_value_t = 1e-4)]
    tolerance: f64,
    /// Steps of an RQ-VAE; it goes on from `OUT/rq_vae.checkpoint` where that exists.
    #[cfg(feature = "torch")]
    #[arg(long, default_value_t = 2000)]
    steps: usize,
    #[cfg(feature = "torch")]
    #[arg(long, default_value_t = 1024)]
    batch_size: usize,
    /// `cpu`, `cuda`, `cuda:N` or `auto`.
    #[cfg(feature = "torch")]
    #[arg(long, default_value = "cpu")]
    device: String,
}

/// Codes `[N, L]`, and the rows that the codebooks quantise: the embeddings or latent ones.
struct Quantised {
    codebooks: Codebooks,
    codes: Array2<Code>,
    latents: Option<Array2<f32>>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let matrix = Matrix::open(&args.embeddings)?;
    let rows = matrix.view();
    let start = Instant::now();
    let quantised = match args.method {
        Method::RqKmeans => rq_kmeans(&args, rows)?,
        #[cfg(feature = "torch")]
        Method::RqVae => rq_vae(&args, rows)?,
    };
    let seconds = start.elapsed().as_secs_f64();
    let (codebooks, codes) = (&quantised.codebooks, quantised.codes.view());
    let quantised_rows = quantised.latents.as_ref().map_or(rows, Array2::view);
    let report = QualityReport::from_codes(codes, &codebooks.sizes())?
        .with_reconstruction(codebooks, quantised_rows, codes)?
        .with_neighbours(rows, codes, NEIGHBOURS, QUERIES)?;
    if args.json {
        println!("{}", serde_json::json!({ "seconds": seconds, "report": report }));
    } else {
        println!("{report}");
    }
    let catalog = Collisions::Suffix.catalog(codebooks, quantised_rows, codes)?;
    if let Some(out) = args.out {
        codebooks.save(&out)?;
        catalog.save(&out.join("catalog.json"))?;
        #[cfg(feature = "page")]
        {
            let mut page = sidereal_page::Page::new("Semantic IDs");
            report.push_to(&mut page, &catalog);
            page.write(&out.join("quality.html"))?;
        }
    }
    Ok(())
}

fn rq_kmeans(args: &Args, rows: ArrayView2<'_, f32>) -> Result<Quantised, Box<dyn Error>> {
    let mut params = RqKMeans::params(args.sizes.clone(), args.seed)
        .max_iterations(args.max_iterations)
        .tolerance(args.tolerance)
        .init(if args.random_init { Init::Random } else { Init::KMeansPlusPlus })
        .restarts(args.restarts)
        .balance(serde_json::from_value(args.balance.clone().into())?);
    if args.max_rows_per_code > 0 {
        params = params.max_rows_per_code(args.max_rows_per_code);
    }
    let params = params.check()?;
    let start = Instant::now();
    let model = params.fit_observed(rows, &mut |step: &FitStep| {
        if step.iteration == 1 || step.iteration.is_multiple_of(5) {
            let error = step.inertia / rows.nrows() as f64;
            eprintln!("level {} iteration {:>3} error {error:.5}", step.level, step.iteration);
        }
        ControlFlow::Continue(())
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let iterations: Vec<usize> = model.levels().iter().map(|level| level.iterations).collect();
    eprintln!("{} x {}: {seconds:.3} s, {iterations:?} iterations", rows.nrows(), rows.ncols());
    let (codebooks, codes) = (model.codebooks().clone(), model.codes().clone());
    Ok(Quantised { codebooks, codes, latents: None })
}

#[cfg(feature = "torch")]
fn rq_vae(args: &Args, rows: ArrayView2<'_, f32>) -> Result<Quantised, Box<dyn Error>> {
    let params = RqVae::params(args.sizes.clone(), args.seed)
        .steps(args.steps)
        .batch_size(args.batch_size)
        .evaluate_every(100)
        .device(&*args.device)
        .check()?;
    let mut training = RqVaeTraining::new(&params, rows);
    if let Some(out) = &args.out {
        std::fs::create_dir_all(out)?;
        training = training.checkpoint(out.join("rq_vae.checkpoint"));
    }
    let model = training.run(&mut |evaluation: &RqVaeEvaluation| {
        let (step, error) = (evaluation.step, evaluation.reconstruction);
        let collisions = 100.0 * evaluation.quality.collision_rate;
        let rate = evaluation.steps_per_second;
        eprintln!("step {step:>6} error {error:.6} collisions {collisions:.2} % {rate:.1} steps/s");
        ControlFlow::Continue(())
    })?;
    if let Some(out) = &args.out {
        model.save(out)?;
    }
    let (codes, latents) = (model.encode(rows)?, model.embed(rows)?);
    Ok(Quantised { codebooks: model.codebooks().clone(), codes, latents: Some(latents) })
}
