//! Seconds for the metrics of many users' lists, made elsewhere. CPU.
//! `python crates/metrics/benches/list_peer.py` makes the input and runs this beside numpy.
//! Run: `cargo run --release -p sidereal-metrics --example list_speed -- --lists FILE --targets FILE`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Parser;
use rayon::prelude::*;
use sidereal_metrics::{ExposureCounts, MetricError, RankHistogram, rank_of};

#[derive(Parser)]
#[command(about)]
struct Args {
    /// Recommended items, `[users, top]`, row after row: little-endian 32-bit numbers.
    #[arg(long)]
    lists: PathBuf,
    /// The item that each user chose.
    #[arg(long)]
    targets: PathBuf,
    #[arg(long, default_value = "20")]
    top: NonZeroUsize,
    #[arg(long, default_value_t = 12_101)]
    items: usize,
    /// Timed evaluations, after one that is not.
    #[arg(long, default_value_t = 5)]
    repeats: usize,
}

/// A shard of the users, and all of them.
type Counted = (RankHistogram, ExposureCounts);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let (lists, targets) = (numbers(&args.lists)?, numbers(&args.targets)?);
    if lists.len() != targets.len() * args.top.get() {
        let (found, users) = (lists.len(), targets.len());
        return Err(
            format!("{found} items in lists of {users} users, needed {} each", args.top).into()
        );
    }
    let mut seconds = Vec::new();
    let mut values = BTreeMap::new();
    for _ in 0..=args.repeats {
        let start = Instant::now();
        values = evaluate(&lists, &targets, &args)?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    let threads = rayon::current_num_threads();
    println!(
        "{}",
        serde_json::json!({ "seconds": seconds[1..], "threads": threads, "metrics": values })
    );
    Ok(())
}

fn numbers(path: &Path) -> std::io::Result<Vec<u32>> {
    let bytes = std::fs::read(path)?;
    let (words, _) = bytes.as_chunks();
    Ok(words.iter().map(|word| u32::from_le_bytes(*word)).collect())
}

fn evaluate(
    lists: &[u32],
    targets: &[u32],
    args: &Args,
) -> Result<BTreeMap<String, f64>, MetricError> {
    let top = args.top.get();
    let empty = || (RankHistogram::new(args.top), ExposureCounts::new(args.items));
    let shard = targets.len().div_ceil(rayon::current_num_threads()).max(1);
    let (ranks, exposure) = lists
        .par_chunks(shard * top)
        .zip(targets.par_chunks(shard))
        .map(|(lists, targets)| {
            let (mut ranks, mut exposure) = empty();
            for (list, target) in lists.chunks_exact(top).zip(targets) {
                ranks.push(rank_of(list, target));
                exposure.push(list.iter().map(|item| *item as usize))?;
            }
            Ok((ranks, exposure))
        })
        .try_reduce(empty, |all, more| merged(all, &more))?;
    let mut values = BTreeMap::new();
    for k in [1, 3, 5, 10, 20].into_iter().filter_map(NonZeroUsize::new) {
        if k > args.top {
            break;
        }
        values.insert(format!("hr@{k}"), ranks.hit_rate(k)?);
        values.insert(format!("ndcg@{k}"), ranks.ndcg(k)?);
    }
    values.insert("mrr".into(), ranks.mrr(args.top)?);
    values.insert("coverage".into(), exposure.coverage());
    // Nats here, bits at the peer.
    values.extend(exposure.entropy().map(|nats| ("entropy".into(), nats / 2f64.ln())));
    Ok(values)
}

fn merged(mut all: Counted, more: &Counted) -> Result<Counted, MetricError> {
    all.0.merge(&more.0)?;
    all.1.merge(&more.1)?;
    Ok(all)
}
