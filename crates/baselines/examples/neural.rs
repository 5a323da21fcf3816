//! Trains a neural model on `RecBole` files, leave-one-out, and prints its accuracy on the test items.
//! Run: `cargo run --release -p sidereal-baselines --features torch --example neural -- sasrec
//! shop.inter shop.item --settings '{"train": {"epochs": 5}}'`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Parser;
use sidereal_baselines::neural::{Attributes, EpochReport, NeuralConfig, TrainingView};
use sidereal_baselines::{Case, evaluate};
use sidereal_data::read::recbole::{ReadOptions, read};
use sidereal_data::{HeldOut as _, leave_one_out};
use sidereal_metrics::{RankHistogram, SeenItems};

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
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[arg(long, default_value = "cpu")]
    device: String,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let config = NeuralConfig::from_table(&args.model, &serde_json::from_str(&args.settings)?)?;
    let data = read(&args.interactions, &args.items, &ReadOptions::new(args.seed))?.dataset;
    let split = leave_one_out(&data, NonZeroUsize::MAX)?;
    let sequences: Vec<_> = split.train.sequences().map(|sequence| sequence.events).collect();
    let attributes = Attributes::of(data.items());
    let (num_items, attributes) = (data.num_items(), Some(&attributes));
    let view = TrainingView { num_items, sequences: &sequences, attributes };
    let valid: Vec<Case<'_, _>> = split.valid.samples().map(Case::from).collect();
    let test: Vec<Case<'_, _>> = split.test.samples().map(Case::from).collect();

    let mut show = |epoch: &EpochReport| println!("{epoch:?}");
    let model = config.fit(&view, &valid, args.seed, &args.device, &mut show)?;
    println!("{:?}", model.report());
    for seen_items in [SeenItems::Kept, SeenItems::Removed] {
        let [five, ten] =
            [NonZeroUsize::new(5), NonZeroUsize::new(10)].map(|k| k.unwrap_or(NonZeroUsize::MIN));
        let mut ranks = RankHistogram::new(ten);
        evaluate(&model, &test, seen_items)?.placements().for_each(|(_, place)| ranks.push(place));
        print!("seen items {seen_items:?}:");
        for k in [five, ten] {
            print!(" HR@{k} {:.4} NDCG@{k} {:.4}", ranks.hit_rate(k)?, ranks.ndcg(k)?);
        }
        println!();
    }
    Ok(())
}
