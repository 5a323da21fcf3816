//! Processor time of an epoch of a neural model, and of the ranking of all test users.
//!
//! Leave-one-out on `RecBole` files, beside `benches/neural_peer.py`. Prints one line of JSON: seconds of the
//! epoch, of scores and ranks of all test users, and of their ten best items each.
//! Run: `cargo run --release -p sidereal-baselines --features torch --example neural_speed -- sasrec
//! shop.inter shop.item`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::fs::read_to_string;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;
use clap::Parser;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use sidereal_baselines::neural::{EpochReport, NeuralConfig, TrainingView};
use sidereal_baselines::{Case, Recommender, evaluate, top_k};
use sidereal_data::read::recbole::{ReadOptions, read};
use sidereal_data::{HeldOut as _, leave_one_out};
use sidereal_metrics::{RankHistogram, SeenItems};
use sidereal_sid::ItemId;

#[derive(Parser)]
#[command(about)]
struct Args {
    /// Name of the model, such as `sasrec`.
    model: String,
    /// Interactions (`.inter`).
    interactions: PathBuf,
    /// Items (`.item`).
    items: PathBuf,
    /// Settings in the place of the defaults, as JSON.
    #[arg(long, default_value = "{}")]
    settings: String,
    /// Epochs; the time of one is their mean.
    #[arg(long, default_value_t = 1)]
    epochs: usize,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[arg(long, default_value = "cpu")]
    device: String,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut config = NeuralConfig::from_table(&args.model, &serde_json::from_str(&args.settings)?)?;
    config.train_mut().epochs = args.epochs;
    let data = read(&args.interactions, &args.items, &ReadOptions::new(args.seed))?.dataset;
    let split = leave_one_out(&data, NonZeroUsize::MAX)?;
    let sequences: Vec<_> = split.train.sequences().map(|sequence| sequence.events).collect();
    let view =
        TrainingView { num_items: data.num_items(), sequences: &sequences, attributes: None };
    let valid: Vec<Case<'_, _>> = split.valid.samples().map(Case::from).collect();
    let test: Vec<Case<'_, _>> = split.test.samples().map(Case::from).collect();

    // One validation user, so that nothing but the epoch is in its time.
    let mut epochs = Vec::new();
    let (mut clock, mut spent) = (Clock::start()?, Vec::new());
    let mut observe = |report: &EpochReport| {
        spent.push(clock.spent());
        epochs.push(json!({ "loss": report.loss, "steps": report.steps }));
        clock = Clock::now(clock);
    };
    let model = config.fit(&view, &valid[..1], args.seed, &args.device, &mut observe)?;
    let spent = spent.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let count = spent.len().max(1) as f64;
    let epoch = spent.iter().fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));

    let clock = Clock::start()?;
    let ten = NonZeroUsize::new(10).unwrap_or(NonZeroUsize::MIN);
    let mut ranks = RankHistogram::new(ten);
    evaluate(&model, &test, SeenItems::Kept)?.placements().for_each(|(_, place)| ranks.push(place));
    let ranking = clock.spent()?;
    let clock = Clock::start()?;
    let lists = lists(&model, &test, args.seed)?;
    let listing = clock.spent()?;
    let found = json!({
        "model": args.model,
        "epoch": seconds((epoch.0 / count, epoch.1 / count)),
        "epochs": epochs,
        "parameters": model.report().parameters,
        "users": test.len(),
        "ranking": seconds(ranking),
        "lists": seconds(listing),
        "listed": lists,
        "HR@10": ranks.hit_rate(ten)?,
        "NDCG@10": ranks.ndcg(ten)?,
    });
    println!("{found}");
    Ok(())
}

/// The number of items in the lists of the ten best of all users.
fn lists<S>(model: &impl Recommender, test: &[Case<'_, S>], seed: u64) -> anyhow::Result<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (num_items, mut count) = (model.num_items(), 0);
    let mut order: Vec<&Case<'_, S>> = test.iter().collect();
    order.sort_by_key(|case| case.history.len());
    let mut scores = Vec::new();
    for cases in order.chunks(model.scored_together()) {
        let histories: Vec<&[ItemId]> = cases.iter().map(|case| case.history).collect();
        scores.resize(cases.len() * num_items, 0.0);
        model.score_all(&histories, &mut scores)?;
        for scores in scores.chunks_exact(num_items) {
            count += top_k(scores, 10, &mut rng).len();
        }
    }
    Ok(count)
}

fn seconds((processor, wall): (f64, f64)) -> Value {
    json!({ "processor": processor, "wall": wall })
}

/// Seconds of the processor, all threads together, and on the clock of the wall.
#[derive(Clone, Copy)]
struct Clock {
    processor: f64,
    wall: Instant,
}

impl Clock {
    fn start() -> anyhow::Result<Self> {
        Ok(Self { processor: processor_seconds()?, wall: Instant::now() })
    }

    /// A clock that starts now, or `before` where the time of the processor is not known.
    fn now(before: Self) -> Self {
        Self::start().unwrap_or(before)
    }

    fn spent(self) -> anyhow::Result<(f64, f64)> {
        Ok((processor_seconds()? - self.processor, self.wall.elapsed().as_secs_f64()))
    }
}

/// User and system time of this process, from Linux, which counts in hundredths of a second.
fn processor_seconds() -> anyhow::Result<f64> {
    let stat = read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').context("/proc/self/stat has no name")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let [user, system] = [11, 12].map(|at| fields.get(at).map(|ticks| ticks.parse::<f64>()));
    let (user, system) = user.zip(system).context("/proc/self/stat is short")?;
    Ok((user? + system?) / 100.0)
}
