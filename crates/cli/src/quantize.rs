//! How vectors become codes: the methods of `sidereal sids`.

use std::ops::ControlFlow;

use clap::{Args, ValueEnum};
use linfa::ParamGuard as _;
use ndarray::{Array2, ArrayView2};
use sidereal_baselines::{Ppmi, PpmiConfig, PpmiVectors};
use sidereal_data::{ItemId, TrainSet};
use sidereal_quantizer::{
    Balance, Codebooks, FitStep, RqKMeans, RqVae, RqVaeEvaluation, RqVaeTraining,
};
use sidereal_sid::Code;
use sidereal_train::{Bars, Observer as _};

use crate::failure::Usage;

/// How codes are made.
#[derive(Debug, Args)]
#[command(next_help_heading = "Method")]
pub(crate) struct MethodArgs {
    /// How vectors become codes.
    #[arg(long, value_enum, default_value = "balanced")]
    pub(crate) method: Method,
    /// The codes of each level, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "SIZES", default_value = "256,256,256")]
    sizes: Vec<usize>,
    /// The most iterations of a run of k-means [default: 100].
    #[arg(long, value_name = "N")]
    iterations: Option<usize>,
    /// Runs of k-means at each level; the best is kept [default: 3].
    #[arg(long, value_name = "N")]
    restarts: Option<usize>,
    /// Steps of RQ-VAE and LETTER [default: 10000].
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Rows of a step of RQ-VAE and LETTER [default: 1024, or all items if there are fewer].
    #[arg(long, value_name = "N")]
    batch_size: Option<usize>,
    /// Weight of LETTER's alignment with collaborative vectors [default: 0.02].
    #[arg(long, value_name = "WEIGHT")]
    alignment: Option<f64>,
    /// Weight of LETTER's diversity of codes [default: 0.0001].
    #[arg(long, value_name = "WEIGHT")]
    diversity: Option<f64>,
}

/// A method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Method {
    /// Residual k-means: every residual takes the nearest centroid.
    RqKmeans,
    /// Residual k-means that uses all codes of a level equally often (SINGER).
    Balanced,
    /// Residual k-means that uses all codes below each prefix equally often.
    BalancedTree,
    /// A residual-quantised autoencoder (TIGER, LC-Rec, SIDReasoner).
    RqVae,
    /// RQ-VAE whose codes follow the interactions and are diverse (LETTER). It needs interactions.
    Letter,
}

/// Codes `[N, L]`, and the rows that the codebooks quantise if these are not the vectors
/// themselves.
#[derive(Debug)]
pub(crate) struct Quantized {
    pub(crate) codebooks: Codebooks,
    pub(crate) codes: Array2<Code>,
    pub(crate) latents: Option<Array2<f32>>,
}

/// The most iterations of a run of k-means.
const ITERATIONS: usize = 100;
/// Runs of each level, because one run may put most rows into one code.
const RESTARTS: usize = 3;
/// What a step of an RQ-VAE and its whole training take.
const BATCH_SIZE: usize = 1024;
const STEPS: usize = 10_000;
/// Progress is shown at this share of the steps.
const SHOWN: usize = 50;
/// LETTER's α and β.
const ALIGNMENT: f64 = 0.02;
const DIVERSITY: f64 = 0.0001;
/// Width of the latent rows, and so of LETTER's collaborative embeddings.
const LATENT: usize = 32;

impl MethodArgs {
    /// Accepts the options of the method.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let of_k_means = [("--iterations", self.iterations), ("--restarts", self.restarts)];
        let of_vae = [("--steps", self.steps), ("--batch-size", self.batch_size)];
        let of_letter = [("--alignment", self.alignment), ("--diversity", self.diversity)];
        let names = |options: &[(&'static str, Option<usize>)]| -> Vec<&'static str> {
            options.iter().filter(|(_, value)| value.is_some()).map(|(name, _)| *name).collect()
        };
        let letter = of_letter.iter().filter(|(_, value)| value.is_some()).map(|(name, _)| *name);
        let (k_means, vae, letter) =
            (names(&of_k_means), names(&of_vae), letter.collect::<Vec<_>>());
        let wrong = match self.method {
            Method::RqKmeans | Method::Balanced | Method::BalancedTree => [vae, letter].concat(),
            Method::RqVae => [k_means, letter].concat(),
            Method::Letter => k_means,
        };
        match wrong.first() {
            Some(option) => Err(Usage::error(format!(
                "`{option}` does not go with this method: leave it out or choose another `--method`"
            ))),
            None => Ok(()),
        }
    }
}

/// Makes codes of vectors `[N, D]`; `neighbours` are those that LETTER aligns with.
pub(crate) fn quantize(
    how: &MethodArgs,
    vectors: ArrayView2<'_, f32>,
    neighbours: Option<&Array2<f32>>,
    seed: u64,
    device: &str,
) -> anyhow::Result<Quantized> {
    match how.method {
        Method::RqKmeans => k_means(how, Balance::None, vectors, seed),
        Method::Balanced => k_means(how, Balance::PerLevel, vectors, seed),
        Method::BalancedTree => k_means(how, Balance::PerParent, vectors, seed),
        Method::RqVae | Method::Letter => rq_vae(how, vectors, neighbours, seed, device),
    }
}

fn k_means(
    how: &MethodArgs,
    balance: Balance,
    vectors: ArrayView2<'_, f32>,
    seed: u64,
) -> anyhow::Result<Quantized> {
    let iterations = how.iterations.unwrap_or(ITERATIONS);
    let restarts = how.restarts.unwrap_or(RESTARTS);
    let params = RqKMeans::params(how.sizes.clone(), seed)
        .max_iterations(iterations)
        .restarts(restarts)
        .balance(balance)
        .check()?;
    let per_level = iterations.saturating_mul(restarts);
    let total = per_level.saturating_mul(how.sizes.len()).max(1);
    let mut bars = Bars::default();
    let model = params.fit_observed(vectors, &mut |step: &FitStep| {
        let done = step.level * per_level + step.restart * iterations + step.iteration;
        bars.on_progress("quantize", "iterations", done.min(total - 1), total);
        ControlFlow::Continue(())
    })?;
    bars.on_progress("quantize", "iterations", total, total);
    let (codebooks, codes) = (model.codebooks().clone(), model.codes().clone());
    Ok(Quantized { codebooks, codes, latents: None })
}

fn rq_vae(
    how: &MethodArgs,
    vectors: ArrayView2<'_, f32>,
    neighbours: Option<&Array2<f32>>,
    seed: u64,
    device: &str,
) -> anyhow::Result<Quantized> {
    let steps = how.steps.unwrap_or(STEPS);
    let batch_size = how.batch_size.unwrap_or_else(|| BATCH_SIZE.min(vectors.nrows()));
    let mut params = RqVae::params(how.sizes.clone(), seed)
        .latent(LATENT)
        .steps(steps)
        .batch_size(batch_size)
        .evaluate_every((steps / SHOWN).max(1))
        .device(device);
    if neighbours.is_some() {
        params = params
            .alignment_weight(how.alignment.unwrap_or(ALIGNMENT))
            .diversity_weight(how.diversity.unwrap_or(DIVERSITY));
    }
    let params = params.check()?;
    let mut training = RqVaeTraining::new(&params, vectors.view());
    if let Some(neighbours) = neighbours {
        training = training.collaborative(neighbours.view());
    }
    let mut bars = Bars::default();
    let model = training.run(&mut |evaluation: &RqVaeEvaluation| {
        bars.on_progress("quantize", "steps", evaluation.step, steps);
        ControlFlow::Continue(())
    })?;
    let (codes, latents) = (model.encode(vectors)?, model.embed(vectors)?);
    Ok(Quantized { codebooks: model.codebooks().clone(), codes, latents: Some(latents) })
}

/// Vectors `[N, d]` of who chose what near what, of these training events.
pub(crate) fn collaborative(
    train: &TrainSet,
    num_items: usize,
    seed: u64,
) -> anyhow::Result<Array2<f32>> {
    let sequences: Vec<&[ItemId]> = train.sequences().map(|s| s.events).collect();
    let settings = Ppmi::try_from(PpmiConfig::new(seed).with_dimensions(LATENT))?;
    Ok(PpmiVectors::fit(&settings, num_items, &sequences)?.into_vectors())
}
