//! Makes Semantic IDs of a matrix of embeddings and prints how good they are. 12,101 × 384 takes
//! about a second on two cores.
//! Run: `cargo run --release -p sidereal-quantizer --example semantic_ids -- items.npy --out sids`
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "stdout is the result, stderr talk")]

use std::error::Error;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use linfa::ParamGuard;
use sidereal_quantizer::{Collisions, FitStep, Init, Matrix, QualityReport, RqKMeans};

const NEIGHBOURS: NonZeroUsize = NonZeroUsize::new(10).unwrap();
const QUERIES: NonZeroUsize = NonZeroUsize::new(1000).unwrap();

#[derive(Parser)]
#[command(about)]
struct Args {
    /// Embeddings, one row an item: .npy or .safetensors.
    embeddings: PathBuf,
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
    #[arg(long, default_value_t = 7)]
    seed: u64,
    #[arg(long, default_value_t = 25)]
    max_iterations: usize,
    #[arg(long, default_value_t = 1e-4)]
    tolerance: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let matrix = Matrix::open(&args.embeddings)?;
    let rows = matrix.view();
    let params = RqKMeans::params(args.sizes, args.seed)
        .max_iterations(args.max_iterations)
        .tolerance(args.tolerance)
        .init(if args.random_init { Init::Random } else { Init::KMeansPlusPlus })
        .restarts(args.restarts)
        .balance(serde_json::from_value(args.balance.into())?)
        .check()?;
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
    let (codebooks, codes) = (model.codebooks(), model.codes().view());
    let report = QualityReport::from_codes(codes, &codebooks.sizes())?
        .with_reconstruction(codebooks, rows, codes)?
        .with_neighbours(rows, codes, NEIGHBOURS, QUERIES)?;
    println!("{report}");
    let catalog = Collisions::Suffix.catalog(codebooks, rows, codes)?;
    if let Some(out) = args.out {
        codebooks.save(&out)?;
        catalog.save(&out.join("catalog.json"))?;
    }
    Ok(())
}
